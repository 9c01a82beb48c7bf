import { Effect, Option } from "effect"
import { Device, Kernel, type Locked, MapFlags, Page, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, defectOf, one, onKernel, pageDevice, rw, small, withMemory } from "./support.ts"

const tag = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )

describe("Page", () => {
  it("a page has 4096 bytes, 12 bits of shift, and a mask of all others [R-PAGE-01]", () => {
    expect([Page.PAGE_SIZE, Page.PAGE_SHIFT, Page.PAGE_MASK]).toEqual([4096, 12, 0xffff_ffff_ffff_f000n])
  })

  it("pageAlign rounds up, and has no answer beyond 64 bits [R-PAGE-02]", () => {
    expect(Units.pageAlign(Units.bytes(1))).toEqual(Option.some(Units.bytes(4096)))
    expect(Units.pageAlign(Units.bytes(0))).toEqual(Option.some(Units.bytes(0)))
    expect(Units.pageAlign(Units.bytes(4096))).toEqual(Option.some(Units.bytes(4096)))
    expect(Units.pageAlign(Units.userAddr(2 ** 64 - 2048))).toEqual(Option.none()) // the last address minus 2047
    expect(Units.pageAlign(Units.userAddr(2 ** 64 - 4096))).toEqual(Option.some(Units.userAddr(2 ** 64 - 4096)))
  })

  it("allocPage takes one frame, or fails with ENOMEM and takes none [R-PAGE-03, R-PAGE-10]", () =>
    onKernel(
      Effect.gen(function* () {
        const before = yield* Kernel.framesUsed
        yield* Effect.scoped(
          Effect.andThen(
            Page.allocPage("GFP_KERNEL"),
            Effect.map(Kernel.framesUsed, (n) => expect(n).toBe(before + 1))
          )
        )
        expect(yield* Kernel.framesUsed).toBe(before)
        yield* Effect.scoped(
          Effect.gen(function* () {
            let n = 0
            while ((yield* tag(Page.allocPage("GFP_ATOMIC"))) === "done") n++
            expect(n).toBeGreaterThan(0)
            expect(yield* tag(Page.allocPage("GFP_KERNEL|__GFP_ZERO"))).toBe("ENOMEM")
          })
        )
        expect(yield* Kernel.framesUsed).toBe(before)
      }),
      { ...small, frames: 16 }
    ))

  it("with __GFP_ZERO its bytes are zero, whatever they were before [R-PAGE-03]", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.flatMap(Page.allocPage("GFP_KERNEL"), (page) => Page.write(page, 9, Uint8Array.of(42)))
        )
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        expect((yield* Page.read(page, 0, 4096)).every((byte) => byte === 0)).toBe(true)
      })
    ))

  it("a page is put once: by its scope, or by hand before that; a second put names both places [R-PAGE-04]", () =>
    onKernel(
      Effect.gen(function* () {
        const before = yield* Kernel.framesUsed
        const page = yield* Effect.scoped(
          Effect.gen(function* () {
            const page = yield* Page.allocPage("GFP_KERNEL")
            yield* Page.put(page)
            expect(yield* Kernel.framesUsed).toBe(before)
            expect(yield* defectOf(Page.put(page))).toMatch(
              /BUG: page \d+ is put twice: at .*Page\.test\.ts:\d+:\d+\)?, and again at .*Page\.test\.ts/
            )
            return page
          })
        )
        expect(yield* Kernel.framesUsed).toBe(before)
        const kept = yield* Effect.scoped(Page.allocPage("GFP_KERNEL"))
        expect(yield* defectOf(Page.put(kept))).toMatch("put twice: by the scope that owned it")
        expect(yield* defectOf(Page.nid(page) === 0 ? Page.read(page, 0, 1) : Effect.void)).toMatch(
          "is used after it was put"
        )
      })
    ))

  it("a page is shared between fibers, and lies on node 0 [R-PAGE-05]", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const write = (n: number) => Page.write(page, n, Uint8Array.of(n))
        yield* Effect.all([write(1), write(2), write(3)], { concurrency: "unbounded" })
        expect([...(yield* Page.read(page, 0, 4))]).toEqual([0, 1, 2, 3])
        expect(Page.nid(page)).toBe(0)
      })
    ))

  it.each([
    [0, 4096, "done"],
    [4096, 0, "done"],
    [4095, 1, "done"],
    [4095, 2, "EINVAL"],
    [4097, 0, "EINVAL"],
    [0, 4097, "EINVAL"],
    [-1, 1, "EINVAL"],
    [0, -1, "EINVAL"],
    [0.5, 1, "EINVAL"],
    [NaN, 1, "EINVAL"]
  ])(
    "offset %d, length %d: %s, for every accessor; a body that may not run does not [R-PAGE-06]",
    (offset, length, said) =>
      onKernel(
        withMemory(2, (_, base) =>
          Effect.gen(function* () {
            const page = yield* Page.allocPage("GFP_KERNEL")
            let ran = false
            const inPlace = Page.withPointerIntoPage(page, offset, length, () => Effect.sync(() => void (ran = true)))
            expect(yield* tag(Page.read(page, offset, length))).toBe(said)
            expect(yield* tag(Page.fillZero(page, offset, length))).toBe(said)
            expect(yield* tag(Page.copyFromUserSlice(page, offset, length, base))).toBe(said)
            expect([yield* tag(inPlace), ran]).toEqual([said, said === "done"])
            if (Number.isInteger(length) && length >= 0) {
              expect(yield* tag(Page.write(page, offset, new Uint8Array(length)))).toBe(said)
              const whole = Page.withPageMapped(page, (bytes) => bytes.write(offset, new Uint8Array(length)))
              expect(yield* tag(whole)).toBe(said)
            }
          })
        )
      )
  )

  it("what is written or zeroed shows in every mapping of the page [R-PAGE-07]", () =>
    onKernel(
      Effect.gen(function* () {
        const shared = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const open = Effect.succeed(shared)
        const device = Device.make({ open, kind: "mixedmap", mmap: (page, vma) => vma.vmInsertPage(vma.start, page) })
        yield* Device.register("/dev/page", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const map = Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd })
            const [a, b] = [yield* map, yield* map]
            yield* Page.write(shared, 0, Uint8Array.of(1, 2, 3, 4))
            expect([yield* Task.load32(a), yield* Task.load32(b)]).toEqual([0x04030201, 0x04030201])
            yield* Task.store8(b, 9)
            expect((yield* Page.read(shared, 0, 1))[0]).toBe(9)
            yield* Page.fillZero(shared, 1, 2)
            expect(yield* Task.load32(a)).toBe(0x04000009)
          })
        )
      })
    ))

  it("copyFromUserSlice copies what the process has, and fails with EFAULT where it has nothing [R-PAGE-08]", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
          yield* Task.storeBytes(Units.raw(base) + 4094, Uint8Array.of(1, 2, 3, 4))
          yield* Page.copyFromUserSlice(page, 8, 4, Units.userAddr(Units.raw(base) + 4094))
          expect([...(yield* Page.read(page, 7, 6))]).toEqual([0, 1, 2, 3, 4, 0])
          yield* Task.munmap(Units.raw(base) + 4096, one)
          expect(yield* tag(Page.copyFromUserSlice(page, 0, 4, Units.userAddr(Units.raw(base) + 4094)))).toBe("EFAULT")
          expect(yield* tag(Page.copyFromUserSlice(page, 0, 4, Units.va("0x10")))).toBe("EFAULT")
        })
      )
    ))

  it("a mapping of its bytes ends with its body, inner before outer; then it is refused [R-PAGE-09]", () =>
    onKernel(
      Effect.gen(function* () {
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const kept: unknown[] = []
        yield* Page.withPageMapped(page, (outer) =>
          Effect.gen(function* () {
            yield* Page.withPointerIntoPage(page, 16, 16, (inner) =>
              Effect.gen(function* () {
                kept.push(inner)
                yield* inner.write(0, Uint8Array.of(42))
                expect(inner.size).toBe(16)
              })
            )
            expect((yield* outer.read(16, 1))[0]).toBe(42)
            expect(
              yield* defectOf((kept[0] as Page.Mapped<Locked.AfterUnlock>).read(0, 1) as Effect.Effect<Uint8Array>)
            ).toMatch("BUG: use after unlock")
          })
        )
      })
    ))

  it("a page that is put while its bytes are mapped goes when they are unmapped", () =>
    onKernel(
      Effect.gen(function* () {
        const before = yield* Kernel.framesUsed
        const page = yield* Page.allocPage("GFP_KERNEL")
        yield* Page.withPageMapped(page, (bytes) =>
          Effect.gen(function* () {
            yield* Page.put(page)
            yield* bytes.write(0, Uint8Array.of(1))
            expect(yield* Kernel.framesUsed).toBe(before + 1)
          })
        )
        expect(yield* Kernel.framesUsed).toBe(before)
      })
    ))

  it("what is no page of this library is refused", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Device.register("/dev/page", pageDevice())
        expect(yield* defectOf(Page.read({} as Page.Page, 0, 1))).toMatch("expected a OwnedPage of this library")
        expect(anonymous).toBe(MapFlags.PRIVATE | MapFlags.ANONYMOUS)
      })
    ))
})
