import { Cause, Effect, Exit, Option } from "effect"
import { Device, type Locked, MapFlags, Mm, Page, ProtFlags, Task, Units, type VmaNew } from "pagewright"
import { describe, expect, it } from "vitest"
import { vmFlagsMod } from "../../lib/mm/area/vm-flags.ts"
import { boot } from "../../lib/mm/sys/boot.ts"
import { spawn } from "../../lib/mm/sys/process.ts"
import { defectOf, type HookTest, inMmapHook, one, onKernel, pageAt, rw } from "./support.ts"

const readOnly = { prot: ProtFlags.READ }
const writable = { prot: rw }
const tag = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )

describe("VmaNew", () => {
  it("is a VmaRef: geometry, flags, mm, zap, narrowing [R-NEW-02]", () =>
    onKernel(
      inMmapHook((vma) =>
        Effect.gen(function* () {
          expect(Units.raw(vma.end) - Units.raw(vma.start)).toBe(4 * 4096)
          expect(vma.has("VM_SHARED")).toBe(true)
          expect(Option.isNone(vma.asMixedmapVma())).toBe(true)
          yield* vma.zapPageRangeSingle(vma.start, one)
          return (yield* Mm.stat(vma.mm())).users
        })
      )
    ).then((users) => expect(users).toBe(1)))

  it("an update sets, then clears: a bit in both is cleared [R-NEW-04]", () => {
    const k = boot({ frames: 64 })
    const mm = k.tasks.mm(spawn(k, "test"))
    const v = k.vmas.alloc(mm, 16, 17)
    const r = k.runs.alloc(0)
    k.runs.current = r
    expect(k.runs.tryLock(k.runs.mmapLock(mm), 2)).toBe(true)
    vmFlagsMod(k, v, 0x4000, 0x4000)
    expect(k.vmas.flags(v)).toBe(0)
    vmFlagsMod(k, v, 0x4000, 0)
    vmFlagsMod(k, v, 0x20000, 0x4000)
    expect(k.vmas.flags(v)).toBe(0x20000)
    expect(() => vmFlagsMod(k, v, 0x10000400, 0)).toThrow("VM_PFNMAP and VM_MIXEDMAP at once") // [R-NEW-05] a valid combination
    k.runs.unlock(k.runs.mmapLock(mm), 2)
    expect(() => vmFlagsMod(k, v, 1, 0)).toThrow("not held for writing")
  })

  it("setMixedmap sets bit 28 and answers a view of the same VMA that maps pages at once [R-NEW-06]", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const [before, after, same] = yield* inMmapHook((vma) =>
          Effect.gen(function* () {
            const before = vma.flags()
            const mixed = yield* vma.setMixedmap()
            yield* mixed.vmInsertPage(mixed.start, page)
            return [before, mixed.flags(), mixed.asPtr() === vma.asPtr()] as const
          })
        )
        expect([before & 0x10000000n, after & 0x10000000n, same]).toEqual([0n, 0x10000000n, true])
      })
    ))

  it.each([
    ["setIo", 0x4000n],
    ["setDontexpand", 0x40000n],
    ["setDontcopy", 0x20000n],
    ["setDontdump", 0x4000000n]
  ] as const)(
    "%s sets its bit, once or twice, and nothing else [R-NEW-08, R-NEW-09, R-NEW-10, R-NEW-11, R-NEW-12]",
    (set, bit) =>
      onKernel(
        inMmapHook((vma) =>
          Effect.gen(function* () {
            const before = vma.flags()
            const edited = yield* vma[set]()
            expect(edited.flags()).toBe(before | bit)
            yield* edited[set]()
            expect(edited.flags()).toBe(before | bit)
          })
        )
      )
  )

  it("a VMA with VM_DONTCOPY is not in a forked child [R-NEW-10]", () =>
    onKernel(
      Effect.gen(function* () {
        const lines = (set: "setDontcopy" | "setDontdump") =>
          Effect.scoped(
            Effect.gen(function* () {
              const device = Device.make({
                open: Effect.void,
                mmap: (_, vma) =>
                  set === "setDontcopy" ? Effect.asVoid(vma.setDontcopy()) : Effect.asVoid(vma.setDontdump())
              })
              yield* Device.register("/dev/test", device)
              return yield* Task.run(
                "test",
                Effect.gen(function* () {
                  const fd = yield* Task.open(device, "rw")
                  yield* Task.mmap({ length: one, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
                  const maps = yield* Effect.flatMap(Task.fork(Task.maps), Task.wait)
                  return maps.includes("/dev/test")
                })
              )
            })
          )
        expect([yield* lines("setDontcopy"), yield* lines("setDontdump")]).toEqual([false, true])
      })
    ))

  it("predicates look at what is allowed now, not at what may be [R-NEW-13]", () =>
    onKernel(
      inMmapHook((vma) => {
        expect([vma.readable(), vma.writable(), vma.executable()]).toEqual([true, false, false])
        expect([vma.has("VM_MAYWRITE"), vma.has("VM_MAYEXEC")]).toEqual([true, true])
        return Effect.void
      }, readOnly)
    ))

  /** Clears twice; answers what the flag says after each. */
  const clearedTwice: Record<string, HookTest<readonly [boolean, boolean]>> = {
    tryClearMayread: (vma) =>
      Effect.gen(function* () {
        const first = yield* vma.tryClearMayread()
        const has = first.has("VM_MAYREAD")
        return [has, (yield* first.tryClearMayread()).has("VM_MAYREAD")] as const
      }),
    tryClearMaywrite: (vma) =>
      Effect.gen(function* () {
        const first = yield* vma.tryClearMaywrite()
        const has = first.has("VM_MAYWRITE")
        return [has, (yield* first.tryClearMaywrite()).has("VM_MAYWRITE")] as const
      }),
    tryClearMayexec: (vma) =>
      Effect.gen(function* () {
        const first = yield* vma.tryClearMayexec()
        const has = first.has("VM_MAYEXEC")
        return [has, (yield* first.tryClearMayexec()).has("VM_MAYEXEC")] as const
      })
  }
  it.each([
    ["tryClearMayread", ProtFlags.NONE, ProtFlags.READ],
    ["tryClearMaywrite", ProtFlags.READ, rw],
    ["tryClearMayexec", ProtFlags.READ, ProtFlags.READ | ProtFlags.EXEC]
  ] as const)(
    "%s clears its flag for good, or answers EINVAL and changes nothing [R-NEW-14, R-NEW-15, R-NEW-16, R-NEW-17, R-ERR-03]",
    (clear, allowed, refused) =>
      onKernel(
        Effect.gen(function* () {
          const body = clearedTwice[clear]!
          expect(yield* Effect.scoped(inMmapHook(body, { prot: allowed }))).toEqual([false, false])
          const flags: Array<bigint> = []
          const guarded: HookTest<string> = (vma) =>
            Effect.gen(function* () {
              flags.push(vma.flags())
              const said = yield* tag(body(vma))
              flags.push(vma.flags())
              return said
            })
          expect(yield* Effect.scoped(inMmapHook(guarded, { prot: refused }))).toBe("EINVAL")
          expect(flags[0]).toBe(flags[1])
        })
      )
  )

  it("a right whose may-flag is gone is refused by mprotect with EACCES [R-NEW-15, R-NEW-18]", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({ open: Effect.void, mmap: (_, vma) => Effect.asVoid(vma.tryClearMaywrite()) })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const at = yield* Task.mmap({ length: one, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
            expect(yield* tag(Task.mprotect(at, one, rw))).toBe("EACCES")
            expect(yield* tag(Task.mprotect(at, one, ProtFlags.READ | ProtFlags.EXEC))).toBe("done")
          })
        )
      })
    ))

  it("edits are made in order, when the plan is run, and stop at the first refusal", () =>
    onKernel(
      inMmapHook(
        (vma) =>
          Effect.gen(function* () {
            const plan = vma.setIo().tryClearMaywrite().setDontdump()
            expect(vma.has("VM_IO")).toBe(false)
            expect(yield* tag(plan)).toBe("EINVAL")
            expect([vma.has("VM_IO"), vma.has("VM_DONTDUMP")]).toEqual([true, false])
          }),
        writable
      )
    ))

  it("M24 VM_PFNMAP through a stale view of a mixed map dies", () =>
    onKernel(
      inMmapHook((vma) =>
        Effect.gen(function* () {
          yield* vma.setMixedmap()
          expect(yield* defectOf(vma.setPfnmap())).toMatch(/VM_PFNMAP and VM_MIXEDMAP at once/)
        })
      )
    ))

  it("is revoked when the hook returns [R-NEW-01]", () =>
    onKernel(
      Effect.gen(function* () {
        const kept: unknown[] = []
        yield* inMmapHook((vma) => Effect.sync(() => void kept.push(vma)))
        const vma = kept[0] as VmaNew.VmaNew<never, Locked.AfterUnlock>
        expect(yield* defectOf(Effect.suspend(() => Effect.asVoid(vma.setIo()) as Effect.Effect<void>))).toMatch(
          "BUG: use after unlock"
        )
      })
    ))

  it("is not visible before the hook has returned, and never if it fails [R-NEW-01, R-MISC-04]", () =>
    onKernel(
      Effect.gen(function* () {
        const seen: string[] = []
        const page = yield* Page.allocPage("GFP_KERNEL")
        const device = Device.make({
          open: Effect.map(Mm.current, (mm) => mm),
          mmap: (_, vma) =>
            Effect.gen(function* () {
              const mixed = yield* vma.setMixedmap()
              yield* mixed.vmInsertPage(pageAt(mixed.start, 1), page)
              seen.push("hook")
              return yield* Effect.fail({ _tag: "Tired", at: Units.hex(vma.start) } as const)
            })
        })
        yield* Device.register("/dev/test", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const before = yield* Task.maps
            const exit = yield* Effect.exit(Task.mmap({ length: Units.pages(2), prot: rw, flags: MapFlags.SHARED, fd }))
            expect(
              Exit.isFailure(exit) && exit.cause.reasons.map((r) => Cause.isFailReason(r) && r.error._tag)
            ).toEqual(["Tired"])
            expect(yield* Task.maps).toBe(before)
          })
        )
        expect(seen).toEqual(["hook"])
      })
    ))
})
