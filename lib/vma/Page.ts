/** Pages that a driver owns: allocated into a Scope, stored anywhere, put exactly once. Floor 8. */
import { Effect, type Scope } from "effect"
import { PAGE_SHIFT as SHIFT, PAGE_SIZE as SIZE } from "../mm/base/units.ts"
import { F_DRIVER } from "../mm/store/frames.ts"
import { access } from "./access.ts"
import { type Fail, fail } from "./Fail.ts"
import { OwnedPage, siteOf } from "./handles.ts"
import type { Sleeps, Takes } from "./Lockdep.ts"
import { type Kernel, onWorld } from "./machine.ts"
import type { Mapped, Page } from "./page-handle.ts"
import { onProcess, type Task } from "./process.ts"
import { inner, mappedOf, numberOf, pageOf, ran } from "./raw.ts"
import type { AfterUnlock, AnyEffect, Body, Release, Stay } from "./region.ts"
import type { UserAddr } from "./unit.ts"
import { enter, Guard, type World } from "./world.ts"

export type { Mapped, Page } from "./page-handle.ts"

/** log2 of `PAGE_SIZE`. @source rust/kernel/page.rs (v6.18) */
export const PAGE_SHIFT = SHIFT
/** Bytes in a page. @source rust/kernel/page.rs (v6.18) */
export const PAGE_SIZE = SIZE
/** The bits of a 64-bit address that name its page. @source rust/kernel/page.rs (v6.18) */
export const PAGE_MASK = BigInt.asUintN(64, ~BigInt(SIZE - 1))

/** How to allocate: may it sleep, are the bytes to be zero. */
export type Gfp = `GFP_${"KERNEL" | "ATOMIC"}` | `GFP_${"KERNEL" | "ATOMIC"}|__GFP_ZERO`

/** Allocates one page, owned by the current Scope, which puts it at its end unless `put` was called before. Without
 * `__GFP_ZERO` its bytes are whatever they were.
 * @returns ENOMEM when no frame is free
 * @source rust/kernel/page.rs Page::alloc_page (v6.18)
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Page } from "pagewright"
 * const greeting = Effect.gen(function*() {
 *   const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
 *   yield* Page.write(page, 0, new TextEncoder().encode("hello"))
 *   return page
 * })
 * ```
 */
export const allocPage = <const G extends Gfp>(
  gfp: G
): Effect.Effect<
  Page,
  Fail<"ENOMEM">,
  Kernel | Scope.Scope | (G extends `GFP_KERNEL${string}` ? Sleeps<"alloc_page(GFP_KERNEL)"> : never)
> =>
  Effect.acquireRelease(
    onWorld((w) => {
      const { frames } = w.k
      const frame = gfp.endsWith("__GFP_ZERO") ? frames.allocZeroed() : frames.alloc()
      if (frame === 0) return fail("ENOMEM")
      frames.setFlag(frame, F_DRIVER)
      return Effect.succeed(pageOf(new OwnedPage(w, frame)))
    }),
    (page) =>
      Effect.sync(() => {
        const owned = inner(page, OwnedPage)
        if (owned.gone === undefined) owned.put("by the scope that owned it")
      })
  )

/** Gives the page back before its Scope does. The frame is free when no mapping holds it any more.
 *
 * Dies when the page was put before, naming both places; so does every later use of the page.
 * @source rust/kernel/page.rs impl Drop for Page (v6.18)
 */
export const put = (page: Page): Effect.Effect<void> => {
  const site = siteOf(2)
  return Effect.sync(() => inner(page, OwnedPage).put(site))
}

/** NUMA node of the page: this machine has one. @source rust/kernel/page.rs Page::nid (v6.18) */
export const nid = (page: Page): number => {
  inner(page, OwnedPage)
  return 0
}

/** Copies `length` bytes out of the page, from byte `offset` on.
 * @returns EINVAL beyond the page
 * @source rust/kernel/page.rs Page::read_raw (v6.18)
 */
export const read = (page: Page, offset: number, length: number): Effect.Effect<Uint8Array, Fail<"EINVAL">> =>
  onBytes(page, offset, length, (bytes) => bytes.slice())

/** Copies `bytes` into the page, from byte `offset` on; every mapping of the page sees them.
 * @returns EINVAL beyond the page
 * @source rust/kernel/page.rs Page::write_raw (v6.18)
 */
export const write = (page: Page, offset: number, bytes: Uint8Array): Effect.Effect<void, Fail<"EINVAL">> =>
  onBytes(page, offset, bytes.length, (into) => into.set(bytes))

/** Zeroes `length` bytes of the page, from byte `offset` on.
 * @returns EINVAL beyond the page
 * @source rust/kernel/page.rs Page::fill_zero_raw (v6.18)
 */
export const fillZero = (page: Page, offset: number, length: number): Effect.Effect<void, Fail<"EINVAL">> =>
  onBytes(page, offset, length, (into) => {
    into.fill(0)
  })

/** Copies `length` bytes of the calling process, from address `from` on, into the page, from byte `offset` on.
 * @returns EINVAL beyond the page | EFAULT where the process may not read
 * @locks none held on entry: it may fault, and a fault may take mmap_lock
 * @partial bytes before the one that faulted are copied
 * @source rust/kernel/page.rs Page::copy_from_user_slice_raw (v6.18)
 */
export const copyFromUserSlice = (
  page: Page,
  offset: number,
  length: number,
  from: UserAddr
): Effect.Effect<void, Fail<"EINVAL" | "EFAULT">, Task | Takes<"mmap_lock">> =>
  onProcess((p) =>
    Effect.suspend((): Effect.Effect<void, Fail<"EINVAL" | "EFAULT">> => {
      const frame = inner(page, OwnedPage).use(p.world)
      if (!fits(offset, length, PAGE_SIZE)) return fail("EINVAL")
      const into = bytesOf(p.world, frame, offset, length)
      const copied = access(
        p,
        numberOf(from),
        length,
        false,
        (bytes, at, done, n) => into.set(bytes.subarray(at, at + n), done),
        () => {}
      )
      return Effect.catch(copied, () => fail("EFAULT"))
    })
  )

/** Runs `body` while the whole page is mapped into the kernel. Mappings end in the reverse order of their beginnings.
 * @source rust/kernel/page.rs Page::with_page_mapped (v6.18)
 */
export const withPageMapped = <Fx extends AnyEffect>(
  page: Page,
  body: <here extends AfterUnlock>(bytes: Mapped<here>) => Stay<Effect.Success<Fx>, Effect.Error<Fx>, Body<Fx, here>>
): Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>, Release<Effect.Services<Fx>>> =>
  mapped(page, 0, PAGE_SIZE, (view) => ran<Fx>(body(mappedOf(view))))

/** Runs `body` with `length` bytes of the page, from byte `offset` on.
 * @returns EINVAL beyond the page; then `body` is not run
 * @source rust/kernel/page.rs Page::with_pointer_into_page (v6.18)
 */
export const withPointerIntoPage = <Fx extends AnyEffect>(
  page: Page,
  offset: number,
  length: number,
  body: <here extends AfterUnlock>(bytes: Mapped<here>) => Stay<Effect.Success<Fx>, Effect.Error<Fx>, Body<Fx, here>>
): Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx> | Fail<"EINVAL">, Release<Effect.Services<Fx>>> =>
  Effect.suspend((): Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx> | Fail<"EINVAL">> =>
    fits(offset, length, PAGE_SIZE)
      ? mapped(page, offset, length, (view) => ran<Fx>(body(mappedOf(view))))
      : fail("EINVAL")
  )

/** Do `length` bytes from `offset` on lie within `size`? Nothing but whole numbers does. */
const fits = (offset: number, length: number, size: number): boolean =>
  Number.isInteger(offset) && Number.isInteger(length) && offset >= 0 && length >= 0 && offset + length <= size

const bytesOf = (w: World, frame: number, offset: number, length: number): Uint8Array =>
  w.k.frames.bytes.subarray(frame * PAGE_SIZE + offset, frame * PAGE_SIZE + offset + length)

const onBytes = <A>(
  page: Page,
  offset: number,
  length: number,
  use: (bytes: Uint8Array) => A
): Effect.Effect<A, Fail<"EINVAL">> =>
  Effect.suspend(() => {
    const owned = inner(page, OwnedPage)
    const frame = owned.use(owned.world)
    return fits(offset, length, PAGE_SIZE)
      ? Effect.succeed(use(bytesOf(owned.world, frame, offset, length)))
      : fail("EINVAL")
  })

/** Bytes of a page while their section lasts. */
class MappedView {
  readonly #guard: Guard
  readonly #at: number
  readonly size: number
  constructor(guard: Guard, at: number, size: number) {
    this.#guard = guard
    this.#at = at
    this.size = size
  }
  read(offset: number, length: number): Effect.Effect<Uint8Array, Fail<"EINVAL">> {
    return this.#within(offset, length, (bytes) => bytes.slice())
  }
  write(offset: number, bytes: Uint8Array): Effect.Effect<void, Fail<"EINVAL">> {
    return this.#within(offset, bytes.length, (into) => into.set(bytes))
  }
  #within<A>(offset: number, length: number, use: (bytes: Uint8Array) => A): Effect.Effect<A, Fail<"EINVAL">> {
    return Effect.suspend(() => {
      const k = enter(this.#guard)
      if (!fits(offset, length, this.size)) return fail("EINVAL")
      const from = this.#at + offset
      return Effect.succeed(use(k.frames.bytes.subarray(from, from + length)))
    })
  }
}

const mapped = <A, E, R>(
  page: Page,
  offset: number,
  length: number,
  body: (view: MappedView) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const owned = inner(page, OwnedPage)
    const frame = owned.use(owned.world)
    const guard = new Guard(owned.world, 0, undefined)
    owned.world.k.frames.get(frame) // the mapping keeps the frame, whoever puts the page meanwhile
    const view = new MappedView(guard, frame * PAGE_SIZE + offset, length)
    return Effect.onExit(
      Effect.suspend(() => body(view)),
      () => {
        guard.live = false
        owned.world.k.frames.put(frame)
        return Effect.void
      }
    )
  })
