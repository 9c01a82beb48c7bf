import { Effect, Option } from "effect"
import { Device, Fail, Locked, MapFlags, Mm, Page, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, onKernel, one, pageAt, pageDevice, rw, withMemory } from "./support.ts"

const map = { length: Units.pages(4), prot: rw, flags: MapFlags.SHARED }

/** A process with four pages of a device that keeps its state `self` and inserts nothing by itself. */
const withMixed = <A, E, R>(
  body: (mm: Mm.Mm, base: Units.PageAligned<Units.UserAddr>) => Effect.Effect<A, E, R>,
  request: Partial<Task.MmapRequest> = {}
) =>
  Effect.gen(function* () {
    const device = Device.make({ open: Effect.void, kind: "mixedmap", mmap: () => Effect.void })
    yield* Device.register("/dev/mixed", device)
    return yield* Task.run(
      "test",
      Effect.scoped(
        Effect.gen(function* () {
          const fd = yield* Task.open(device, "rw")
          const base = yield* Task.mmap({ ...map, ...request, fd })
          return yield* body(yield* Mm.current, base)
        })
      )
    )
  })

/** Inserts `page` at `at`, under the VMA's own lock. */
const insert = (mm: Mm.Mm, at: Units.PageAligned<Units.UserAddr>, page: Page.Page) =>
  Locked.withUser(mm, (mm) =>
    Locked.withVma(mm, at, (vma) => (vma.has("VM_MIXEDMAP") ? vma.vmInsertPage(at, page) : Fail.fail("EPERM")))
  )
const tag = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )

describe("VmaMixedMap", () => {
  it("asMixedmapVma answers a view exactly where bit 28 is set, and changes nothing [R-MIX-01]", () =>
    onKernel(
      Effect.gen(function* () {
        const look = (mm: Mm.Mm, base: Units.PageAligned<Units.UserAddr>) =>
          Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) => {
              const before = vma.flags()
              const found = Option.isSome(vma.asMixedmapVma())
              expect(vma.flags()).toBe(before)
              return Effect.succeed([found, (before & 0x10000000n) !== 0n])
            })
          )
        expect(yield* withMemory(1, look)).toEqual([false, false])
        expect(yield* withMixed(look)).toEqual([true, true])
      })
    ))

  it("what setMixedmap set is found by a lookup later [R-MIX-02]", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.setMixedmap()) })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.scoped(
            Effect.gen(function* () {
              const fd = yield* Task.open(device, "rw")
              const base = yield* Task.mmap({ ...map, fd })
              const found = yield* Locked.withUser(yield* Mm.current, (mm) =>
                Locked.mmapRead(mm, (mmap) => Effect.map(mmap.vmaLookup(base), (vma) => vma.has("VM_MIXEDMAP")))
              )
              expect(found).toBe(true)
            })
          )
        )
      })
    ))

  it("has every method of a VmaRef [R-MIX-03]", () =>
    onKernel(
      withMixed((mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, base, (vma) =>
            Effect.gen(function* () {
              const mixed = Option.getOrThrow(vma.asMixedmapVma())
              expect(mixed.start).toBe(base)
              yield* mixed.zapPageRangeSingle(mixed.start, one)
              yield* mixed.slice(mixed.start, one)
            })
          )
        )
      )
    ))

  it("a page is inserted under the VMA's lock as under mmap_lock [R-MIX-04]", () =>
    onKernel(
      withMixed((mm, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL")
          yield* Locked.withUser(mm, (mm) =>
            Effect.gen(function* () {
              const own = yield* Locked.tryVmaRead(mm, base, (vma) =>
                vma.has("VM_MIXEDMAP") ? vma.vmInsertPage(base, page) : Fail.fail("EPERM")
              )
              expect(Option.isSome(own)).toBe(true)
              const next = pageAt(base, 1)
              yield* Locked.mmapRead(mm, (mmap) =>
                Effect.gen(function* () {
                  const vma = yield* mmap.vmaLookup(next)
                  if (vma.has("VM_MIXEDMAP")) yield* vma.vmInsertPage(next, page)
                })
              )
            })
          )
          yield* Page.write(page, 0, Uint8Array.of(42))
          expect([yield* Task.load8(base), yield* Task.load8(pageAt(base, 1))]).toEqual([42, 42])
        })
      )
    ))

  it("vmInsertPage maps exactly one page; a C errno is its failure [R-MIX-05, R-INS-01, R-INS-12]", () =>
    onKernel(
      withMixed((mm, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
          expect(yield* tag(insert(mm, pageAt(base, 1), page))).toBe("done")
          expect(yield* tag(insert(mm, pageAt(base, 1), page))).toBe("EBUSY")
          expect(yield* tag(Task.load8(pageAt(base, 1)))).toBe("done")
          expect([yield* tag(Task.load8(base)), yield* tag(Task.load8(pageAt(base, 2)))]).toEqual(["SIGBUS", "SIGBUS"])
          const outside = Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) =>
              vma.has("VM_MIXEDMAP") ? vma.vmInsertPage(vma.end, page) : Fail.fail("EPERM")
            )
          )
          expect(yield* tag(outside)).toBe("EFAULT")
          yield* checkTables
        })
      )
    ))

  it("the mapping keeps the page when its owner puts it; the last of the two frees it [R-MIX-06]", () =>
    onKernel(
      withMixed((mm, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
          yield* Page.write(page, 0, Uint8Array.of(42))
          yield* insert(mm, base, page)
          yield* Page.put(page)
          expect(yield* Task.load8(base)).toBe(42)
          yield* checkTables
          yield* Task.munmap(base, one)
        })
      )
    ))

  it("insertion through the view never has to set the flag: it works under the read lock [R-MIX-07]", () =>
    onKernel(
      withMixed((mm, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL")
          expect(yield* tag(insert(mm, base, page))).toBe("done")
        })
      )
    ))

  it("vmInsertPages stops at the first failure and says how many were not mapped [R-INS-19]", () =>
    onKernel(
      withMixed((mm, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
          yield* insert(mm, pageAt(base, 1), page)
          const all = Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) =>
              vma.has("VM_MIXEDMAP") ? vma.vmInsertPages(base, [page, page, page]) : Effect.void
            )
          )
          const failure = yield* Effect.flip(all).pipe(Effect.orDie)
          expect(failure).toMatchObject({ _tag: "EBUSY", errno: 16, remaining: 2 })
          expect([yield* tag(Task.load8(base)), yield* tag(Task.load8(pageAt(base, 2)))]).toEqual(["done", "SIGBUS"])
        })
      )
    ))

  it("a driver's page is shared with who maps it shared, and copied for who maps it privately and writes [R-INS-15]", () =>
    onKernel(
      Effect.gen(function* () {
        for (const [flags, byte] of [
          [MapFlags.SHARED, 7],
          [MapFlags.PRIVATE, 42]
        ] as const) {
          const left = yield* Effect.scoped(
            withMixed(
              (mm, base) =>
                Effect.gen(function* () {
                  const page = yield* Page.allocPage("GFP_KERNEL")
                  yield* Page.write(page, 0, Uint8Array.of(42))
                  yield* insert(mm, base, page)
                  yield* Task.store8(base, 7)
                  expect(yield* Task.load8(base)).toBe(7)
                  return (yield* Page.read(page, 0, 1))[0]
                }),
              { flags }
            )
          )
          expect(left).toBe(byte)
        }
      })
    ))

  it("a page can be put where nothing may be accessed; it stays inaccessible [R-INS-17]", () =>
    onKernel(
      withMixed(
        (mm, base) =>
          Effect.gen(function* () {
            const page = yield* Page.allocPage("GFP_KERNEL")
            expect(yield* tag(insert(mm, base, page))).toBe("done")
            expect(yield* tag(Task.load8(base))).toBe("SIGSEGV")
          }),
        { prot: ProtFlags.NONE }
      )
    ))

  it("a forked child has the inserted pages, since a fault could not bring them back [R-FLAG-29]", () =>
    onKernel(
      Effect.gen(function* () {
        const device = pageDevice()
        yield* Device.register("/dev/page", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const base = yield* Task.mmap({ ...map, fd })
            yield* Task.store8(base, 42)
            const child = yield* Task.fork(Effect.all([Task.load8(base), Effect.exit(Task.load8(pageAt(base, 1)))]))
            const [byte, other] = yield* Task.wait(child)
            expect([byte, other._tag]).toEqual([42, "Failure"])
          })
        )
      })
    ))
})
