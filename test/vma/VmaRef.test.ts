import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import { Device, Kernel, Locked, MapFlags, Mm, Page, ProtFlags, Task, Units, VmaRef } from "pagewright"
import { describe, expect, it } from "vitest"
import {
  anonymous,
  checkTables,
  defectOf,
  inMmapHook,
  one,
  onKernel,
  pageAt,
  pageDevice,
  rw,
  withMemory
} from "./support.ts"

describe("VmaRef", () => {
  it("every view of one VMA has the same identity, another VMA another one [R-REF-02, R-REF-05]", () =>
    onKernel(
      withMemory(2, (mm, base) =>
        Effect.gen(function* () {
          const other = yield* Task.mmap({ length: one, prot: ProtFlags.NONE, flags: anonymous })
          yield* Locked.withUser(mm, (mm) =>
            Locked.mmapRead(mm, (mmap) =>
              Effect.gen(function* () {
                const [a, b, c] = [
                  yield* mmap.vmaLookup(base),
                  yield* mmap.vmaLookup(pageAt(base, 1)),
                  yield* mmap.vmaLookup(other)
                ]
                const before = [a.start, a.end, a.flags()]
                expect(a.asPtr()).toBe(b.asPtr())
                expect(a.asPtr()).not.toBe(c.asPtr())
                expect([a.start, a.end, a.flags()]).toEqual(before)
              })
            )
          )
        })
      )
    ))

  it("a narrowed view is the same VMA [R-REF-02, R-MIX-03]", () =>
    onKernel(
      inMmapHook((vma) =>
        Effect.gen(function* () {
          const ptr = vma.asPtr()
          const mixed = yield* vma.setMixedmap()
          const seen = Option.getOrThrow(mixed.asMixedmapVma())
          expect([mixed.asPtr(), seen.asPtr()]).toEqual([ptr, ptr])
          expect([seen.start, seen.end, seen.flags()]).toEqual([vma.start, vma.end, vma.flags()])
        })
      )
    ))

  it("a view that is made by hand dies without a lock, and after its lock [R-REF-03]", async () => {
    const { View } = await import("../../lib/vma/view.ts")
    const { Guard, World } = await import("../../lib/vma/world.ts")
    const { boot } = await import("../../lib/mm/sys/boot.ts")
    const world = new World(boot({ frames: 64 }))
    const guard = new Guard(world, 0, undefined)
    const unlocked = new View(guard, 1)
    expect(() => Effect.runSync(unlocked.zapPageRangeSingle(Units.va("0x1000"), one))).toThrow(/without a lock/)
    guard.live = false
    expect(() => unlocked.start).toThrow("BUG: use after unlock")
  })

  it("mm() is the address space it lies in, and takes no reference [R-REF-06]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Locked.withUser(mm, (user) =>
          Locked.withVma(user, base, (vma) =>
            Effect.gen(function* () {
              const before = yield* Mm.stat(mm)
              expect(Mm.asPtr(vma.mm())).toBe(Mm.asPtr(mm))
              expect(yield* Mm.stat(mm)).toEqual(before)
              // it has users: locks hang on it
              expect(
                Option.isSome(yield* Locked.tryVmaRead(vma.mm(), base, (again) => Effect.succeed(again.end)))
              ).toBe(true)
            })
          )
        )
      )
    ))

  it("flags() is the 64-bit word: a readable mixed map has 0x10000001 [R-REF-08]", () =>
    onKernel(
      Effect.gen(function* () {
        const flags = yield* inMmapHook((vma) => Effect.map(vma.setMixedmap(), (mixed) => mixed.flags()))
        expect(flags & 0x10000001n).toBe(0x10000001n)
        expect(flags & 0x2n).toBe(0n)
      })
    ))

  it("start is the first address, end the first behind it, both page aligned [R-REF-09]", () =>
    onKernel(
      withMemory(3, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, pageAt(base, 2), (vma) => {
            expect(Units.raw(vma.end) - Units.raw(vma.start)).toBe(3 * 4096)
            expect([Units.raw(vma.start) % 4096, Units.raw(vma.end) % 4096]).toEqual([0, 0])
            return Effect.void
          })
        )
      )
    ))

  it("no method of a VmaRef changes its geometry or its flags [R-REF-12]", () =>
    onKernel(
      withMemory(2, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.mmapRead(mm, (mmap) =>
            Effect.gen(function* () {
              const vma = yield* mmap.vmaLookup(base)
              const before = [vma.start, vma.end, vma.flags()]
              yield* vma.zapPageRangeSingle(vma.start, Units.pages(2))
              yield* Effect.flatMap(vma.slice(vma.start, one), (range) => range.zapPageRangeSingle)
              expect([vma.asMixedmapVma(), vma.asPfnmapVma()]).toEqual([Option.none(), Option.none()])
              expect([vma.start, vma.end, vma.flags()]).toEqual(before)
            })
          )
        )
      )
    ))

  it("every method works whatever the flags are [R-REF-10]", () =>
    onKernel(
      Effect.forEach(["setMixedmap", "setPfnmap", "setIo"] as const, (set) =>
        Effect.scoped(
          inMmapHook((vma) =>
            Effect.gen(function* () {
              const edited = yield* vma[set]()
              yield* edited.zapPageRangeSingle(edited.start, one)
              yield* edited.slice(edited.start, one)
              return [edited.start, edited.end, edited.flags(), edited.asPtr(), edited.has("VM_READ")].length
            })
          )
        )
      ).pipe(Effect.map((answers) => expect(answers).toEqual([5, 5, 5])))
    ))

  it("is() tells both branches the truth", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, base, (vma) => {
            expect([VmaRef.is(vma, "VM_WRITE").set, VmaRef.is(vma, "VM_EXEC").set]).toEqual([true, false])
            return Effect.void
          })
        )
      )
    ))
})

describe("zap on VmaRef", () => {
  const afterZap = (first: number, pages: number) =>
    onKernel(
      withMemory(3, (mm, base) =>
        Effect.gen(function* () {
          for (const n of [0, 1, 2]) yield* Task.store8(pageAt(base, n), 7)
          yield* Locked.withUser(mm, (mm) =>
            Locked.mmapRead(mm, (mmap) =>
              Effect.flatMap(mmap.vmaLookup(base), (vma) =>
                vma.zapPageRangeSingle(
                  Units.pageFloor(Units.userAddr(Units.raw(base) + first * 4096)),
                  Units.pages(pages)
                )
              )
            )
          )
          yield* checkTables
          const bytes = yield* Effect.forEach([0, 1, 2], (n) => Task.load8(pageAt(base, n)))
          return [bytes.join(""), (yield* Kernel.warnings).length] as const
        })
      )
    )

  it("inside the VMA it clears exactly the range [R-ZAP-03]", async () => {
    expect(await afterZap(1, 1)).toEqual(["707", 0])
    expect(await afterZap(2, 1)).toEqual(["770", 0])
  })
  it("below it, above it, across its end: nothing happens, and that is said once [R-ZAP-02, R-ZAP-03, R-ZAP-04]", async () => {
    expect(await afterZap(-1, 2)).toEqual(["777", 1])
    expect(await afterZap(2, 2)).toEqual(["777", 1])
  })
  it("a sum of exactly 2^64 counts as overflow [R-ZAP-01]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          yield* Task.store8(base, 7)
          yield* Locked.withUser(mm, (mm) =>
            Locked.mmapRead(mm, (mmap) =>
              Effect.flatMap(mmap.vmaLookup(base), (vma) =>
                vma.zapPageRangeSingle(Units.va("0xffff_ffff_ffff_f000"), one)
              )
            )
          )
          expect([yield* Task.load8(base), (yield* Kernel.warnings).length]).toEqual([7, 1])
        })
      )
    ))
  it("no size at all is fine, at the end too [R-ZAP-05]", async () => {
    expect(await afterZap(0, 0)).toEqual(["777", 0])
    expect(await afterZap(3, 0)).toEqual(["777", 0])
  })
  it("an unaligned range that got past the types is refused [R-ZAP-06]", () =>
    onKernel(
      withMemory(2, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, base, (vma) =>
            Effect.gen(function* () {
              const unaligned = Units.userAddr(Units.raw(vma.start) + 1)
              const claimed = Units.isPageAligned(unaligned) ? unaligned : Object.assign(unaligned, {})
              expect(yield* defectOf(vma.zapPageRangeSingle(claimed as never, one))).toMatch(
                /expected a multiple of 4096/
              )
            })
          )
        )
      )
    ))
  it("the checked slice answers EFAULT outside the VMA", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Locked.withUser(mm, (mm) =>
          Locked.withVma(mm, base, (vma) =>
            Effect.gen(function* () {
              for (const [at, size] of [
                [vma.end, one],
                [vma.start, Units.pages(2)]
              ] as const) {
                expect(
                  yield* Effect.as(vma.slice(at, size), "fine").pipe(Effect.catch((e) => Effect.succeed(e._tag)))
                ).toBe("EFAULT")
              }
            })
          )
        )
      )
    ))
  it("a zap runs beside faults, which fill the range again at once [R-ZAP-09]", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          yield* Task.store8(base, 7)
          const zapped = yield* Deferred.make<void>()
          const fault = yield* Effect.forkChild(Effect.andThen(Deferred.await(zapped), Task.store8(base, 9)))
          yield* Locked.withUser(mm, (mm) =>
            Locked.withVma(mm, base, (vma) =>
              Effect.gen(function* () {
                yield* vma.zapPageRangeSingle(vma.start, one)
                yield* Deferred.succeed(zapped, undefined)
                yield* Fiber.join(fault) // it faults while this section holds the VMA's lock
              })
            )
          )
          expect(yield* Task.load8(base)).toBe(9)
        })
      )
    ))
})

describe("what types cannot see", () => {
  it("M61 a VMA that was laundered dies after its section", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const kept: unknown[] = []
          yield* Locked.withUser(mm, (mm) => Locked.withVma(mm, base, (vma) => Effect.sync(() => void kept.push(vma))))
          const vma = kept[0] as VmaRef.AnyVma<Locked.AfterUnlock>
          expect(() => vma.start).toThrow("BUG: use after unlock")
          expect(yield* defectOf(vma.zapPageRangeSingle(base, one) as Effect.Effect<void>)).toMatch(
            "BUG: use after unlock"
          )
        })
      )
    ))
  it("M60 a fiber that is left behind in a section finds it revoked", () =>
    onKernel(
      withMemory(1, (mm, base) =>
        Effect.gen(function* () {
          const left = yield* Locked.withUser(mm, (mm) =>
            Locked.mmapRead(mm, (mmap) =>
              Effect.gen(function* () {
                const vma = yield* mmap.vmaLookup(base)
                const late = Effect.andThen(Effect.yieldNow, vma.slice(base, one))
                const fiber = yield* Effect.forkDetach(Effect.asVoid(late))
                return { poll: () => fiber.pollUnsafe() }
              })
            )
          )
          yield* Effect.yieldNow
          yield* Effect.yieldNow
          expect(Exit.isFailure(left.poll()!)).toBe(true)
          expect(String(left.poll())).toMatch("use after unlock")
        })
      )
    ))
  it("a page that was put is refused, with the place where that was", () =>
    onKernel(
      Effect.gen(function* () {
        const device = pageDevice()
        yield* Device.register("/dev/page", device)
        const page = yield* Page.allocPage("GFP_KERNEL")
        yield* Page.put(page)
        expect(yield* defectOf(Page.read(page, 0, 1))).toMatch(/is used after it was put at .*VmaRef\.test\.ts/)
      })
    ))
  it("two kernels do not share pages", () =>
    onKernel(
      Effect.gen(function* () {
        const foreign = yield* Effect.provide(Effect.scoped(Page.allocPage("GFP_ATOMIC")), Kernel.layer({ frames: 16 }))
        const open = Effect.succeed(foreign)
        const device = Device.make({ open, kind: "mixedmap", mmap: (page, vma) => vma.vmInsertPage(vma.start, page) })
        yield* Device.register("/dev/foreign", device)
        const mapping = Effect.flatMap(Task.open(device, "rw"), (fd) =>
          Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd })
        )
        expect(yield* defectOf(Task.run("test", mapping))).toMatch(/used after it was put|another kernel/)
      })
    ))
})
