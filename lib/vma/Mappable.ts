/** Objects of one's own to map: a mutable map from offsets to pages of memory files, told of whoever maps it. Floor 8.
 *
 * What a page cache is to a file, an object's `translate` is to the object; the core asks both in the same place. A
 * translation stands until its mappings are told to forget it.
 * @source gvisor pkg/sentry/memmap/memmap.go
 */
import { type Context, Effect, type Scope } from "effect"
import { nameOf } from "../flags/Errno.ts"
import { putObject } from "../mm/area/object.ts"
import { registerOps } from "../mm/area/ops.ts"
import { PAGE_SIZE } from "../mm/base/units.ts"
import { invalidate as forget } from "../mm/object/invalidate.ts"
import { FILE_OBJECT } from "../mm/store/files.ts"
import { mmapObject } from "../mm/sys/mmap-object.ts"
import type { Access, Within } from "./AccessType.ts"
import { bits, effective } from "./AccessType.ts"
import { tellObjectForgets } from "./asking.ts"
import { type ErrnoName, type Fail, fail, make as failOf } from "./Fail.ts"
import type { InHook } from "./hook.ts"
import type { Markers, Takes } from "./Lockdep.ts"
import { type Kernel, onWorld } from "./machine.ts"
import type { Mappable, MappingIdentity } from "./mappable-handle.ts"
import { type Agreement, MappableObject, type Mapping } from "./mappable-object.ts"
import type { InvalidateOpts } from "./mapping-space.ts"
import { IdentityObject, takeOver } from "./mapping-identity.ts"
import { onProcess, type Task } from "./process.ts"
import type { MemoryFile } from "./memory-file.ts"
import { type AddrRange, format, intersect, isPages, make as range, type PageRange } from "./Range.ts"
import { failureOf, inner, mappableOf, servicesAs, unitOf } from "./raw.ts"
import type { AfterUnlock } from "./region.ts"
import { type Register, wordOf } from "./register.ts"
import { door } from "./rim.ts"
import { type Answer, type Ask, busError, type Reason } from "./translation.ts"
import type { PageAligned, UserAddr } from "./unit.ts"
import { flush } from "./world.ts"

export type { Agreement, Mapping } from "./mappable-object.ts"
export type { InvalidateOpts, MappingSpace } from "./mapping-space.ts"
export type { Mappable, MappingIdentity } from "./mappable-handle.ts"
export { identity, type IdentityOptions } from "./mapping-identity.ts"
export {
  type Answer,
  type Ask,
  type BusError,
  busError,
  type Found,
  type Partial,
  type Reason,
  type Translation
} from "./translation.ts"
export { checkTranslateResult, question } from "./question.ts"

/** Makes an object on the current machine, until the current Scope ends; who maps it then keeps the pages it has, and gets
 * SIGBUS for others.
 *
 * `translate` is asked with the locks of a fault held, and may answer at once or with an effect. At once is as quick as a
 * page cache. On a restored machine the object takes over the saved one of its name, and is told of every mapping that has.
 * @returns ENOMEM no room for one more
 */
export const make = <
  const Max extends Access = "rwx",
  E extends Reason = never,
  R = never,
  Q = never,
  U = never
>(definition: {
  /** For messages, and for whoever restores a saved machine. */
  readonly name: string
  /** What it may at most be used for, reading included if anything is; `"rwx"` if absent. */
  readonly maxPerms?: Max
  /** A range is mapped from now on: by mmap, by growth, by a fork. May refuse. @locks mmap write */
  readonly addMapping?: (mapping: Mapping) => InHook<Q, Agreement<Q>>
  /** A range, or a part of one, is mapped no longer. @locks mmap read or write */
  readonly removeMapping?: (mapping: Mapping) => InHook<Q, void | Effect.Effect<void, never, Q>>
  /** A range, maybe an empty one, is mapped a second time, at `to` of the same space: mremap. Lengths may differ. May refuse.
   * @locks mmap write
   */
  readonly copyMapping?: (mapping: Mapping<AddrRange>, to: PageRange<"addr">) => InHook<Q, Agreement<Q>>
  /** Where are these pages? @locks mmap or VMA, read */
  readonly translate: <here extends AfterUnlock>(
    ask: Ask<Max, here>
  ) => InHook<R, Answer<here> | Effect.Effect<Answer<here>, E, R>>
  /** Before the machine is saved: forget translations that would not survive it. @locks none */
  readonly invalidateUnsavable?: Effect.Effect<void, Fail<ErrnoName>, U>
}): Effect.Effect<Mappable<Max>, Fail<"ENOMEM">, Kernel | Scope.Scope | Exclude<R | Q | U, Markers>> =>
  Effect.contextWith((services: Context.Context<Exclude<R | Q | U, Markers>>) =>
    Effect.map(
      Effect.acquireRelease(
        onWorld((w) =>
          Effect.suspend((): Effect.Effect<MappableObject, Fail<"ENOMEM">> => {
            const saved = w.restored.objects.get(definition.name)
            const row = saved?.row ?? w.k.files.allocObj(FILE_OBJECT, 0)
            if (row === 0) return fail("ENOMEM")
            const object = new MappableObject(w, definition, servicesAs<never>(services), row)
            const ops = { name: object.name, hooks: object.hooks, translate: object.translate }
            object.ops = saved?.ops ?? registerOps(w.k, ops)
            w.k.ops[object.ops] = ops
            w.drivers[object.ops] = object
            w.objects.add(object)
            return saved === undefined ? Effect.succeed(object) : Effect.as(takeOver(object), object)
          })
        ),
        (object) =>
          Effect.sync(() => {
            object.end()
            object.world.objects.delete(object)
            putObject(object.world.k, object.row)
          })
      ),
      (object) => mappableOf<Mappable<Max>>(object)
    )
  )

/** An object of fixed length, such as a vdso: its bytes are `file` from `offset` on, and nobody is told of its mappings. Beyond
 * its length is SIGBUS. Dies with a RangeError for what is not whole pages.
 * @source gvisor pkg/sentry/mm/special_mappable.go
 */
export const special = <const Max extends Access = "r-x">(definition: {
  readonly name: string
  readonly file: MemoryFile
  /** Byte offset in the file; 0 if absent. */
  readonly offset?: number
  /** Bytes; whole pages, and one at least. */
  readonly length: number
  /** `"r-x"` if absent. */
  readonly maxPerms?: Max
}): Effect.Effect<Mappable<Max>, Fail<"ENOMEM">, Kernel | Scope.Scope> => {
  const { file, length, name, offset = 0 } = definition
  const whole = range<"mappable">(0, length)
  if (!isPages(whole) || !isPages(range(offset, offset + length)))
    return Effect.die(new RangeError(`${name} is ${length} bytes from ${offset} of a file, expected whole pages`))
  const beyond = busError(failOf("EFAULT"))
  return make<Max>({
    name,
    ...(definition.maxPerms === undefined ? {} : { maxPerms: definition.maxPerms }),
    translate: (ask) => {
      const source = intersect(whole, ask.optional)
      if (ask.required.end <= length) return ask.translation({ source, file, offset: offset + source.start })
      return ask.required.start < length
        ? { translations: [ask.translation({ source, file, offset: offset + source.start })], error: beyond }
        : { translations: [], error: beyond }
    }
  })
}

/** Every mapping of `range` forgets its translations: the next access asks again. Private copies stay unless they are to go
 * too.
 * @locks none, so it may be called while others fault, and by the object itself
 * @source mm/memory.c unmap_mapping_range (v6.18)
 */
export const invalidate = <Max extends Access>(
  object: Mappable<Max>,
  range: PageRange<"mappable">,
  options: InvalidateOpts
): Effect.Effect<void> =>
  Effect.sync(() => {
    const { row, world } = inner(object, MappableObject)
    if (!isPages(range)) throw new RangeError(`${format(range)} is no range of pages`)
    tellObjectForgets(world, row, range)
    forget(world.k, row, range.start / PAGE_SIZE, range.end / PAGE_SIZE, options.invalidatePrivate)
    flush(world)
  })

// ---- mapping

/** How much a mapping is locked in memory: not, at once, or as pages come. The greater of two is what counts. */
export const MLockMode = { None: 0, Eager: 1, Lazy: 2 } as const
export type MLockMode = (typeof MLockMode)[keyof typeof MLockMode]
/** The greater of two modes. */
export const mlockMax = (a: MLockMode, b: MLockMode): MLockMode => (a > b ? a : b)

/** What a mapping may be asked to be, whatever it maps. */
export interface Placement {
  /** Bytes; rounded up to pages. */
  readonly length: Register
  /** Where; a hint, unless `fixed`. */
  readonly addr?: Register
  /** Shall the mapping grow downwards? Anonymous memory only. */
  readonly growsDown?: boolean
  /** Is it a stack? It is not merged with what is none. */
  readonly stack?: boolean
  /** Within the second GiB; ignored with `fixed`. */
  readonly map32Bit?: boolean
  readonly mlockMode?: MLockMode
  /** Make every page resident before it returns. With `"required"`, a failure to do so undoes the mapping. */
  readonly precommit?: boolean | "required"
}

/** At `addr` or nowhere. Without either of the two, what is there makes it fail with ENOMEM. */
export interface Fixed {
  readonly fixed?: boolean
  /** What is there goes. */
  readonly unmap?: boolean
  /** What is there makes it fail with EEXIST. */
  readonly noReplace?: boolean
  /** Also where nothing may be mapped: below the lowest address. With `unmap` only. */
  readonly force?: boolean
}

/** Memory of no object. */
export interface AnonymousOpts extends Placement, Fixed {
  readonly identity?: undefined
  readonly private?: boolean
  readonly perms: Access
  readonly maxPerms?: Access
}

/** An object, in a private copy for whoever writes: no ceiling but reading. */
export interface PrivateOpts<Max extends Access> extends Placement, Fixed {
  readonly identity: MappingIdentity<Max>
  /** Byte offset in the object. */
  readonly offset?: Register
  /** Name in /proc/PID/maps; the identity's if absent. Mappings of two names do not merge. */
  readonly hint?: string
  readonly private: true
  readonly perms: Access
  /** What mprotect may at most give; all if absent. */
  readonly maxPerms?: Access
}

/** An object itself. */
export interface SharedOpts<Max extends Access> extends Placement, Fixed {
  readonly identity: MappingIdentity<Max>
  readonly offset?: Register
  readonly hint?: string
  readonly private?: false
  /** What it may be used for. */
  readonly perms: Within<Max>
  /** What mprotect may at most give; the object's own ceiling if absent. */
  readonly maxPerms?: Within<Max>
}

/** Everything that a mapping may be asked to be. */
export type MMapOpts<Max extends Access> = AnonymousOpts | PrivateOpts<Max> | SharedOpts<Max>

/** Maps an object into the current process.
 * @returns address | the errnos of docs/spec/gvisor-memmap.md G-MM-01 and G-MM-02, in their order | what the object refuses
 *   with
 * @partial where the object refuses, what `unmap` replaced is gone
 * @locks takes mmap_lock, write
 * @source gvisor pkg/sentry/mm/syscalls.go MMap
 */
export const map = <Max extends Access>(
  options: MMapOpts<Max>
): Effect.Effect<PageAligned<UserAddr>, Fail<ErrnoName>, Task | Takes<"mmap_lock">> =>
  onProcess((p) => {
    const identity = options.identity === undefined ? undefined : inner(options.identity, IdentityObject)
    const ceiling = options.private === true || identity === undefined ? "rwx" : identity.object.max
    const maxPerms = options.maxPerms ?? ceiling
    if (effective(maxPerms) !== maxPerms)
      return Effect.die(new RangeError(`maxPerms is ${maxPerms}, and not reading: expected ${effective(maxPerms)}`))
    return door(
      p.world,
      p.pid,
      () =>
        mmapObject(p.world.k, p.pid, {
          file:
            identity === undefined
              ? 0
              : identity.rowOn(p.world, options.identity === undefined ? undefined : options.hint),
          length: wordOf(options.length),
          offset: options.identity === undefined ? 0 : wordOf(options.offset ?? 0),
          addr: wordOf(options.addr ?? 0),
          fixed: options.fixed === true,
          unmap: options.unmap === true,
          noReplace: options.noReplace === true,
          map32Bit: options.map32Bit === true,
          perms: bits(options.perms),
          maxPerms: bits(maxPerms),
          private: options.private === true || (options.identity === undefined && options.private !== false),
          growsDown: options.growsDown === true,
          stack: options.stack === true,
          precommit: options.precommit !== undefined && options.precommit !== false,
          required: options.precommit === "required",
          mlock: options.mlockMode ?? MLockMode.None,
          force: options.force === true
        }),
      (r): Effect.Effect<PageAligned<UserAddr>, Fail<ErrnoName>> =>
        r >= 0 ? Effect.succeed(unitOf(r)) : Effect.fail(failureOf(failOf(nameOf(r) ?? "EINVAL")))
    )
  })
