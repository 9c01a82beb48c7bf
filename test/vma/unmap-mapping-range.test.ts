/** A driver takes its pages back: one walk over the mapping set of its inode, whoever maps it, wherever. */
import { Effect, Option } from "effect"
import { Device, Fail, type Locked, MapFlags, Mm, Page, Range, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, defectOf, onKernel, rw } from "./support.ts"

const AT = 0x7f00_0000_0000
const fixed = MapFlags.FIXED

/** A device of four pages, page `i` full of the byte `i + 1`; `faults` are the pages that its fault hook was asked for. */
const makeScreen = Effect.gen(function* () {
  const faults: number[] = []
  const pages: Page.Page[] = []
  for (let i = 0; i < 4; i++) {
    const page = yield* Page.allocPage("GFP_KERNEL")
    yield* Page.write(page, 0, new Uint8Array(4096).fill(i + 1))
    pages.push(page)
  }
  const state = { mapping: Option.none<Locked.Mapping>() }
  const device = Device.make({
    open: Effect.void,
    mmap: (_, vma) =>
      Effect.gen(function* () {
        state.mapping = vma.mapping()
        yield* vma.setMixedmap()
      }),
    vmOps: {
      fault: (_, vma, at) => {
        const n = Units.pageCount(Units.between(vma.start, at)) + offsets.get(Units.raw(vma.start))!
        faults.push(n)
        const page = pages[n]
        return page === undefined ? Fail.fail("EFAULT") : Effect.succeed(page)
      }
    }
  })
  /** Page offset of each VMA: what a driver would read off its start and the file. */
  const offsets = new Map<number, number>()
  const map = (fd: Task.Fd<never>, page: number, offset: number, count: number, flags: number = MapFlags.SHARED) =>
    Effect.suspend(() => {
      offsets.set(AT + page * 4096, offset)
      return Task.mmap({
        address: AT + page * 4096,
        length: count * 4096,
        prot: rw,
        flags: flags | fixed,
        fd,
        offset: offset * 4096
      })
    })
  const unmapRange = (range: Range.PageRange<"mappable"> | "all", evenCows: boolean) =>
    Effect.suspend(() => Device.unmapMappingRange(Option.getOrThrow(state.mapping), range, { evenCows }))
  /** What was asked since the last time. */
  const news = (): number[] => faults.splice(0)
  yield* Device.register("/dev/screen", device)
  return { device, map, news, pages, state, unmapRange }
})
const load = (page: number) => Effect.catch(Task.load8(AT + page * 4096), (signal) => Effect.succeed(signal._tag))
const run = <A, E, R>(program: Effect.Effect<A, E, R>) => Task.run("viewer", program)

describe("Device.unmapMappingRange", () => {
  it("takes exactly the pages of the range from every VMA that maps them; the VMAs stay, the next access asks", () =>
    onKernel(
      Effect.gen(function* () {
        const { device, map, news, unmapRange } = yield* makeScreen
        yield* run(
          Effect.scoped(
            Effect.gen(function* () {
              const fd = yield* Task.open(device, "rw")
              const other = yield* Task.open(device, "rw")
              yield* map(fd, 0, 0, 4)
              yield* map(other, 10, 1, 2) // pages 1 and 2, through another open file
              const maps = yield* Task.maps
              const all = [0, 1, 2, 3, 10, 11]
              expect(yield* Effect.forEach(all, load)).toEqual([1, 2, 3, 4, 2, 3])
              expect(news()).toHaveLength(6)
              const mm = yield* Mm.current
              const before = (yield* Mm.stat(mm)).rss.file
              yield* unmapRange(Range.ofPages(1, 1), false)
              expect((yield* Mm.stat(mm)).rss.file).toBe(before - 2)
              yield* checkTables
              expect(yield* Task.maps).toBe(maps)
              expect(yield* Effect.forEach(all, load)).toEqual([1, 2, 3, 4, 2, 3])
              expect(news()).toEqual([1, 1])
              yield* unmapRange("all", false)
              expect((yield* Mm.stat(mm)).rss.file).toBe(before - 6)
              yield* checkTables
            })
          )
        )
      })
    ))

  it("reaches every process, a fork's child too", () =>
    onKernel(
      Effect.gen(function* () {
        const { device, map, news, pages, unmapRange } = yield* makeScreen
        yield* run(
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            yield* map(fd, 0, 0, 1)
            yield* load(0)
            const child = yield* Task.fork(
              Effect.gen(function* () {
                expect(yield* load(0)).toBe(1)
                yield* Page.write(pages[3]!, 0, new Uint8Array([99]))
                pages[0] = pages[3]!
                yield* unmapRange(Range.ofPages(0, 1), false)
                return yield* load(0)
              })
            )
            expect(yield* Task.wait(child)).toBe(99)
            expect(yield* load(0), "the parent has forgotten the old page as well").toBe(99)
            expect(news().length).toBeGreaterThanOrEqual(3)
            yield* checkTables
          })
        )
      })
    ))

  it("leaves private copies alone, unless they are to go too [R-ZAP-30]", () =>
    onKernel(
      Effect.gen(function* () {
        const { device, map, unmapRange } = yield* makeScreen
        yield* run(
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            // a private map that may be written and is no mixed one: copies of it are anonymous memory
            yield* map(fd, 0, 0, 2, MapFlags.PRIVATE)
            yield* Task.store8(AT, 77)
            yield* load(1)
            yield* unmapRange("all", false)
            expect([yield* load(0), yield* load(1)]).toEqual([77, 2])
            yield* unmapRange(Range.ofPages(0, 1), true)
            expect([yield* load(0), yield* load(1)]).toEqual([1, 2])
            yield* checkTables
          })
        )
      })
    ))

  it("may be called from hooks, with the locks of a fault held", () =>
    onKernel(
      Effect.gen(function* () {
        let mapping = Option.none<Locked.Mapping>()
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const device = Device.make({
          open: Effect.void,
          mmap: (_, vma) =>
            Effect.gen(function* () {
              mapping = vma.mapping()
              yield* vma.setMixedmap()
            }),
          vmOps: {
            // one page at a time is mapped, anywhere
            fault: () =>
              Effect.as(Device.unmapMappingRange(Option.getOrThrow(mapping), "all", { evenCows: false }), page)
          }
        })
        yield* Device.register("/dev/one", device)
        yield* run(
          Effect.scoped(
            Effect.gen(function* () {
              const fd = yield* Task.open(device, "rw")
              yield* Task.mmap({ address: AT, length: 4 * 4096, prot: rw, flags: MapFlags.SHARED | fixed, fd })
              const mm = yield* Mm.current
              const before = (yield* Mm.stat(mm)).rss.file
              for (const at of [0, 1, 2, 3, 0]) {
                expect(yield* load(at)).toBe(0)
                expect((yield* Mm.stat(mm)).rss.file).toBe(before + 1)
              }
              yield* checkTables
            })
          )
        )
      })
    ))

  it("does nothing once the device is gone, though its place has been given to another", () =>
    onKernel(
      Effect.gen(function* () {
        let mapping = Option.none<Locked.Mapping>()
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const make = () =>
          Device.make({
            open: Effect.void,
            mmap: (_, vma) =>
              Effect.gen(function* () {
                mapping = Option.orElse(mapping, () => vma.mapping())
                const mixed = yield* vma.setMixedmap()
                yield* mixed.vmInsertPage(mixed.start, page)
              })
          })
        const use = <A, E, R>(body: Effect.Effect<A, E, R>) =>
          Effect.scoped(
            Effect.gen(function* () {
              const device = make()
              yield* Device.register("/dev/mortal", device)
              return yield* run(
                Effect.gen(function* () {
                  const fd = yield* Task.open(device, "rw")
                  yield* Task.mmap({ address: AT, length: 4096, prot: rw, flags: MapFlags.SHARED | fixed, fd })
                  return yield* body
                })
              )
            })
          )
        yield* use(Effect.void)
        yield* use(
          Effect.gen(function* () {
            yield* Device.unmapMappingRange(Option.getOrThrow(mapping), "all", { evenCows: true })
            expect(yield* load(0), "the page was inserted once, and there is no fault hook").toBe(0)
          })
        )
      })
    ))

  it("goes on after the device was unregistered, while somebody maps it: hot unplug", () =>
    onKernel(
      Effect.gen(function* () {
        let mapping = Option.none<Locked.Mapping>()
        const page = yield* Page.allocPage("GFP_KERNEL|__GFP_ZERO")
        const device = Device.make({
          open: Effect.void,
          mmap: (_, vma) =>
            Effect.gen(function* () {
              mapping = vma.mapping()
              const mixed = yield* vma.setMixedmap()
              yield* mixed.vmInsertPage(mixed.start, page)
            })
        })
        yield* run(
          Effect.gen(function* () {
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* Device.register("/dev/stick", device)
                const fd = yield* Task.open(device, "rw")
                yield* Task.mmap({ address: AT, length: 4096, prot: rw, flags: MapFlags.SHARED | fixed, fd })
              })
            )
            expect(yield* load(0)).toBe(0)
            yield* Device.unmapMappingRange(Option.getOrThrow(mapping), "all", { evenCows: true })
            expect(yield* load(0)).toBe("SIGBUS")
            yield* checkTables
          })
        )
      })
    ))

  it("wants whole pages", () =>
    onKernel(
      Effect.gen(function* () {
        const { device, map, unmapRange } = yield* makeScreen
        yield* run(
          Effect.gen(function* () {
            yield* map(yield* Task.open(device, "rw"), 0, 0, 1)
            const none = Range.make(0, 100) as Range.PageRange<"mappable"> // the compiler refuses it (diagnostics H11)
            expect(yield* defectOf(unmapRange(none, false))).toContain("is no range of pages")
          })
        )
      })
    ))
})
