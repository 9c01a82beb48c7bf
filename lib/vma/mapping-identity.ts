/** Identities of mappings: the open files of objects of one's own. Floor 8; `Mappable` has the names.
 *
 * One object may have several: mappings of two of them never merge, as mappings through two open files never do. Every piece
 * of a mapping holds the identity; the last one to let go is told outside of all locks.
 * @source gvisor pkg/sentry/memmap/memmap.go MappingIdentity
 */
import { type Context, Effect, Scope } from "effect"
import { fput } from "../mm/area/object.ts"
import { FILE_OBJECT, FMODE_READ, FMODE_WRITE } from "../mm/store/files.ts"
import type { Access } from "./AccessType.ts"
import { bits } from "./AccessType.ts"
import { type ErrnoName, type Fail, fail } from "./Fail.ts"
import type { Mappable, MappingIdentity } from "./mappable-handle.ts"
import type { Markers } from "./Lockdep.ts"
import { MappableObject, servicesOfOwner } from "./mappable-object.ts"
import type { MappableRange } from "./Range.ts"
import { discharged, inner, mappableOf } from "./raw.ts"
import { releaseFiles } from "./rim.ts"
import type { World } from "./world.ts"

/** What /proc/PID/maps shows of it. */
export interface IdentityOptions<out R = never> {
  /** Name; the object's if absent. */
  readonly name?: string
  /** Device: the major number times 2^20, plus the minor one. 0:1 if absent. */
  readonly device?: number
  /** Inode number; the object's row if absent. */
  readonly inode?: number
  /** Stores a range of the object: msync(2) with MS_SYNC asks for it, for shared mappings, with no lock held. */
  readonly msync?: (range: MappableRange) => Effect.Effect<void, Fail<ErrnoName>, R>
}

/** An identity at run time. */
export class IdentityObject {
  readonly object: MappableObject
  readonly msync: ((range: MappableRange) => Effect.Effect<void, Fail<ErrnoName>>) | undefined
  readonly #scope: Scope.Closeable
  /** Rows of files by name: the first is its own. */
  readonly #rows = new Map<string, number>()
  #live = true
  constructor(
    object: MappableObject,
    scope: Scope.Closeable,
    msync?: (range: MappableRange) => Effect.Effect<void, Fail<ErrnoName>>
  ) {
    this.object = object
    this.#scope = scope
    this.msync = msync
  }

  /** An open file of that name, which it holds; 0 when rows ran out. Files of two names are two: their mappings do not merge. */
  open(name: string, id: string): number {
    const { max, ops, row, world } = this.object
    const { files } = world.k
    const f = files.allocFile(FILE_OBJECT, row, FMODE_READ | ((bits(max) & 2) === 0 ? 0 : FMODE_WRITE), name)
    if (f === 0) return 0
    files.addObjRefs(row, 1)
    files.setOps(f, ops)
    files.setId(f, id)
    world.files.set(f, { driver: this.object, state: this, scope: this.#scope })
    this.#rows.set(name, f)
    return f
  }
  /** Its row of files, or another one for a name of its own; the first one where rows ran out.
   * Throws RangeError once its Scope has ended, and on another machine.
   */
  rowOn(world: World, name = ""): number {
    const own = this.#rows.values().next().value
    if (!this.#live || own === undefined || world !== this.object.world)
      throw new RangeError(`an identity of ${this.object.name} is used where it is not alive`)
    if (name === "") return own
    return this.#rows.get(name) ?? (this.open(name, world.k.files.id(own)) || own)
  }

  /** Does a Scope hold it? */
  isHeld(): boolean {
    return this.#live
  }

  /** Its Scope has ended. @returns the rows that it held */
  end(): readonly number[] {
    this.#live = false
    return [...this.#rows.values()]
  }
}

/** On a restored machine: `object` answers for the mappings that the saved one had, and is told of them. */
export const takeOver = (object: MappableObject): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { name, row, world } = object
    const { files, mappings } = world.k
    world.restored.objects.delete(name)
    files.addObjRefs(row, 1)
    for (let f = 1; f < files.fileLimit(); f++) {
      if (files.kind(f) !== FILE_OBJECT || files.obj(f) !== row) continue
      const scope = yield* Scope.make()
      const state = new IdentityObject(object, scope)
      state.end()
      world.files.set(f, { driver: object, state, scope })
    }
    const areas: number[] = []
    for (let v = mappings.find(row, 0, Infinity); v !== 0; v = mappings.next(v, 0, Infinity)) areas.push(v)
    for (const v of areas) yield* Effect.orDie(object.meet(v))
  })

const twoDigits = (n: number): string => n.toString(16).padStart(2, "0")

/** An identity of `object`, until the current Scope ends; mappings hold on to it beyond that.
 * @returns ENFILE no room for one more
 */
export const identity = <Max extends Access, R = never>(
  object: Mappable<Max>,
  options: IdentityOptions<R> = {}
): Effect.Effect<MappingIdentity<Max>, Fail<"ENFILE">, Scope.Scope | Exclude<R, Markers>> =>
  Effect.contextWith((services: Context.Context<Exclude<R, Markers>>) =>
    Effect.map(
      Effect.acquireRelease(
        Effect.flatMap(Scope.make(), (scope) =>
          Effect.suspend((): Effect.Effect<IdentityObject, Fail<"ENFILE">> => {
            const own = inner(object, MappableObject)
            const { msync } = options
            const lent = servicesOfOwner(services)
            const it = new IdentityObject(
              own,
              scope,
              msync === undefined ? undefined : (range) => Effect.provideContext(discharged(msync(range)), lent)
            )
            const device = options.device ?? 1
            const id = `${twoDigits(device >> 20)}:${twoDigits(device & 0xfffff)} ${options.inode ?? own.row}`
            if (it.open(options.name ?? own.name, id) === 0) return fail("ENFILE")
            return Effect.succeed(it)
          })
        ),
        (it) =>
          Effect.suspend(() => {
            const w = it.object.world
            for (const f of it.end()) fput(w.k, f)
            return releaseFiles(w)
          })
      ),
      (it) => mappableOf<MappingIdentity<Max>>(it)
    )
  )
