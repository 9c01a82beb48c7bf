/**
 * A binder-style driver. Messages travel through pages that the receiver maps read-only: a page is inserted when it is
 * first used; one that is done with goes on a list; under memory pressure the shrinker takes the oldest pages off that
 * list, zaps them from the receiver's address space and gives them back.
 *
 * After drivers/android/binder/page_range.rs. Locks: the range's mutex, then mmap_lock or the VMA's own.
 */
import { Effect, Option, Scope } from "effect"
import { Device, Fail, Locked, Mm, Mutex, Page, Units, type VmaRef } from "pagewright"

declare module "pagewright" {
  interface LockClasses {
    readonly binder_mm_lock: "sleeps"
  }
  interface LockOrder {
    readonly "binder_mm_lock > mmap_lock": true
  }
}

/** ioctl: the caller receives from now on. */
export const RECEIVE = 1
/** ioctl: sends the argument to the receiver; answers the number of the page where it lies. */
export const SEND = 2
/** ioctl: the page of that number is done with. */
export const DONE = 3

const MOST_PAGES = 1024 // 4 MiB
const onePage = Units.pages(1)

/** What one open file has: the process that opened it, and the pages of its range. */
const makeRange = (mm: Mm.Mm, scope: Scope.Scope) => ({
  mm,
  scope,
  /** Where it is mapped; `size` is 0 until it is. */
  base: Units.va("0x000"),
  size: 0,
  pages: new Map<number, Page.Page>(),
  lock: Mutex.make("binder_mm_lock")
})
type Range = ReturnType<typeof makeRange>
const addressOf = (range: Range, index: number) => Units.offset(range.base, Units.pages(index))

export const makeBinder = () => {
  let receiver: Range | undefined
  /** Pages that nobody uses, the one that waits longest first. */
  const idle = new Map<Page.Page, { readonly range: Range; readonly index: number }>()

  const insert =
    (range: Range, index: number, page: Page.Page) =>
    <here extends Locked.AfterUnlock>(vma: VmaRef.AnyVma<here>) =>
      Device.owns(range, vma) && vma.has("VM_MIXEDMAP")
        ? vma.vmInsertPage(addressOf(range, index), page)
        : Fail.fail("ESRCH")

  /** Page `index` of the range, mapped and in use. The caller holds the range's lock. */
  const use = (range: Range, index: number) =>
    Effect.gen(function* () {
      const there = range.pages.get(index)
      if (there !== undefined) return idle.delete(there) ? there : yield* Fail.fail("EBUSY")
      if (index >= range.size) return yield* Fail.fail("ENOMEM")
      const fresh = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO").pipe(Scope.provide(range.scope))
      yield* Locked.withUserAsync(range.mm, (mm) =>
        Locked.withVma(mm, addressOf(range, index), insert(range, index, fresh))
      ).pipe(Effect.onError(() => Page.put(fresh)))
      range.pages.set(index, fresh)
      return fresh
    })

  const firstFree = (range: Range) => {
    for (let index = 0; ; index++) {
      const page = range.pages.get(index)
      if (page === undefined || idle.has(page)) return index
    }
  }

  const send = (to: Range, message: bigint) =>
    Mutex.withLock(to.lock, () =>
      Effect.gen(function* () {
        const index = firstFree(to)
        const page = yield* use(to, index)
        yield* Page.write(page, 0, new Uint8Array(BigUint64Array.of(message).buffer))
        return index
      })
    ).pipe(Effect.uninterruptible) // as in Linux: nobody is killed between mapping a page and noting it

  const done = (range: Range, index: number) => {
    const page = range.pages.get(index)
    if (page === undefined || idle.has(page)) return Fail.fail("EINVAL")
    return Effect.sync(() => idle.set(page, { range, index }))
  }

  /** Gives an idle page back; false where that would have to wait for somebody. */
  const free = (page: Page.Page, range: Range, index: number) =>
    Locked.withUserAsync(range.mm, (mm) =>
      Mutex.tryLock(range.lock, () =>
        Locked.mmapReadTry(mm, (mmap) =>
          Effect.gen(function* () {
            if (!idle.delete(page)) return false
            range.pages.delete(index)
            const vma = yield* Effect.option(mmap.vmaLookup(addressOf(range, index)))
            if (Option.isSome(vma) && Device.owns(range, vma.value))
              yield* vma.value.zapPageRangeSingle(addressOf(range, index), onePage)
            yield* Page.put(page)
            return true
          })
        )
      )
    ).pipe(
      Effect.map((locked) => Option.getOrElse(Option.flatten(locked), () => false)),
      Effect.catchTag("ESRCH", () => Effect.succeed(false))
    )

  return {
    device: Device.make({
      open: Effect.gen(function* () {
        return makeRange(yield* Mm.current, yield* Effect.scope)
      }),
      mmap: (range, vma) =>
        Effect.gen(function* () {
          if (Mm.asPtr(vma.mm()) !== Mm.asPtr(range.mm)) return yield* Fail.fail("EINVAL")
          if (Units.raw(vma.start) === 0) return yield* Fail.fail("EINVAL")
          const sealed = yield* Effect.mapError(vma.tryClearMaywrite(), () => Fail.make("EPERM"))
          if (range.size > 0) return yield* Fail.fail("EBUSY")
          yield* sealed.setDontcopy().setMixedmap()
          range.base = vma.start
          range.size = Math.min(Units.pageCount(Units.between(vma.start, vma.end)), MOST_PAGES)
        }),
      ioctl: (range, command, argument) =>
        Effect.gen(function* () {
          if (command === SEND)
            return receiver === undefined ? yield* Fail.fail("ESRCH") : yield* send(receiver, argument)
          if (command === DONE) yield* done(range, Number(argument))
          else if (command === RECEIVE) receiver = range
          else return yield* Fail.fail("EINVAL")
          return 0
        }),
      release: (range) =>
        Effect.sync(() => {
          if (receiver === range) receiver = undefined
          for (const page of range.pages.values()) idle.delete(page)
        })
    }),
    /** The shrinker: gives up to `most` idle pages back, answers how many. */
    shrink: (most: number) =>
      Effect.forEach([...idle].slice(0, most), ([page, { index, range }]) => free(page, range, index)).pipe(
        Effect.map((freed) => freed.filter(Boolean).length)
      )
  }
}
