/** The example of lazy restore: whoever is restored ends as who was never saved, and a file is believed only as far as it is right. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Console, Deferred, Effect, Exit, Fiber } from "effect"
import { AdviceFlags, Kernel, MapFlags, MremapFlags, ProtFlags, Task } from "pagewright"
import { afterAll, describe, expect, it } from "vitest"
import { restoreFirst } from "../../examples/lazy-restore/eager.ts"
import { type Image, openImage, PAGE } from "../../examples/lazy-restore/image.ts"
import story from "../../examples/lazy-restore/main.ts"
import { execute } from "../../examples/lazy-restore/processor.ts"
import { type Progress, restore } from "../../examples/lazy-restore/restore.ts"
import { building, load, memory, turning } from "../../examples/lazy-restore/ring.ts"
import { save } from "../../examples/lazy-restore/save.ts"
import { onKernel } from "../vma/support.ts"

const PAGES = 16
const folder = mkdtempSync(join(tmpdir(), "pagewright-"))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
const newFile = (): string => join(folder, `image-${files++}`)

/** All memory of the task. */
const bytes = Effect.map(
  Effect.forEach(memory(PAGES), ({ length, start }) => Task.loadBytes(start, length)),
  (all) => Buffer.concat(all)
)
const whole = Effect.andThen(execute(Infinity), bytes)
const begin = (steps: number) => Effect.andThen(load(PAGES), execute(steps))
const saved = (steps: number) => {
  const file = newFile()
  return Effect.as(Task.run("subject", Effect.andThen(begin(steps), save(file))), file)
}
/** Restores from a file on the machine that is there; answers how it went. */
const restored = (
  file: string,
  task: Parameters<typeof restore>[1],
  change: (image: Image) => Image = (image) => image
) => Task.run("restored", Effect.scoped(Effect.flatMap(openImage(file), (image) => restore(change(image), task))))
/** What `task` does to its memory until it is over, once all of it is there. */
const end = (file: string) =>
  Effect.gen(function* () {
    let memory = Buffer.alloc(0)
    const progress = yield* restored(file, ({ complete }) =>
      Effect.gen(function* () {
        yield* execute(Infinity)
        yield* complete
        memory = yield* bytes
      })
    )
    return { memory, progress }
  })
const refusal = (file: string) =>
  Effect.map(Effect.flip(Effect.scoped(openImage(file))), (error) =>
    error._tag === "ImageError" ? error.message : error
  )
const middle = building(PAGES) + Math.floor(turning(PAGES) / 2)

describe("lazy restore", () => {
  it("tells its story: three restored tasks end as the one that was never saved", async () => {
    const told: string[] = []
    const console_ = { ...globalThis.console, log: (line: string) => void told.push(line) }
    const exit = await Effect.runPromiseExit(Effect.provideService(story.run, Console.Console, console_))
    expect(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "done").toBe("done")
    const sums = [...told.join("\n").matchAll(/\b[0-9a-f]{16}\b/g)].map(String)
    expect(sums).toHaveLength(4)
    expect(new Set(sums).size).toBe(1)
    expect(told.at(-1)).toMatch("no page, VMA, lock or mm reference left")
  })

  it.each([0, 1, 100, building(PAGES) - 1, middle, building(PAGES) + turning(PAGES) * 3, Infinity])(
    "a task that is saved after %i instructions ends as if it had not been",
    (steps) =>
      onKernel(
        Effect.gen(function* () {
          const control = yield* Task.run("control", Effect.andThen(load(PAGES), whole))
          const { memory } = yield* end(yield* saved(steps))
          expect(memory.equals(control)).toBe(true)
        })
      )
  )

  it("saved again when all is there it is the same file, areas and protections and all; so it is after an eager restore", () =>
    onKernel(
      Effect.gen(function* () {
        const [file, again, eagerly] = [yield* saved(middle), newFile(), newFile()]
        yield* restored(file, ({ complete }) => Effect.andThen(complete, Effect.orDie(save(again))))
        expect(readFileSync(again).equals(readFileSync(file))).toBe(true)
        const eager = Effect.flatMap(openImage(file), restoreFirst)
        yield* Task.run("eager", Effect.andThen(Effect.scoped(eager), save(eagerly)))
        expect(readFileSync(eagerly).equals(readFileSync(file))).toBe(true)
      })
    ))

  it("a page is read once, for whom it may be; pages of zeroes are not in the file", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        const { pages } = yield* Effect.scoped(openImage(file))
        expect(pages).toHaveLength(PAGES + 2)
        const { progress } = yield* end(file)
        expect(progress.onDemand + progress.inBackground).toBe(pages.length)
        expect(progress.damaged).toEqual([])
      })
    ))

  it("who touches a page waits until the file has answered", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        const asked = yield* Deferred.make<number>()
        const go = yield* Deferred.make<void>()
        let touched = false
        const slow = (image: Image): Image => ({
          ...image,
          read: (row, count) =>
            Deferred.succeed(asked, row).pipe(
              Effect.andThen(Deferred.await(go)),
              Effect.andThen(image.read(row, count))
            )
        })
        const watching = Effect.gen(function* () {
          yield* Deferred.await(asked)
          for (let i = 0; i < 10; i++) yield* Effect.yieldNow
          expect(touched).toBe(false)
          yield* Deferred.succeed(go, undefined)
        })
        const task = () =>
          Effect.andThen(
            Task.load8(0x1000_0000),
            Effect.sync(() => {
              touched = true
            })
          )
        yield* Effect.all([restored(file, task, slow), watching], { concurrency: "unbounded" })
        expect(touched).toBe(true)
      })
    ))

  it("the task may give pages back, unmap, move and protect what is not there yet, and its child has all of it", () =>
    onKernel(
      Effect.gen(function* () {
        const control = yield* Task.run("control", Effect.andThen(begin(middle), bytes))
        const heap = 0x1000_0000
        const was = (page: number) => control.subarray((2 + page) * PAGE, (3 + page) * PAGE)
        const told = (at: number) => Effect.map(Task.loadBytes(at, PAGE), (found) => Buffer.from(found))
        const wrong: string[] = []
        const same = (what: string, left: Buffer, right: Buffer) => {
          if (!left.equals(right)) wrong.push(what)
        }
        const here = Effect.gen(function* () {
          same("given back", yield* told(heap + 2 * PAGE), Buffer.alloc(PAGE))
          same("moved", yield* told(0x3000_0000), was(8))
          same("moved, too", yield* told(0x3000_1000), was(9))
          const gone = yield* Effect.flip(Task.load8(heap + 5 * PAGE))
          if (gone._tag !== "SIGSEGV") wrong.push("unmapped")
          for (const page of [0, 1, 3, 4, 6, 7, 10, 11, 12, 15])
            same(`page ${page}`, yield* told(heap + page * PAGE), was(page))
        }).pipe(Effect.orDie)
        const progress = yield* restored(yield* saved(middle), ({ complete }) =>
          Effect.gen(function* () {
            yield* Task.madvise(heap + 2 * PAGE, PAGE, AdviceFlags.DONTNEED)
            yield* Task.munmap(heap + 5 * PAGE, PAGE)
            const flags = MremapFlags.MAYMOVE | MremapFlags.FIXED
            const length = 2 * PAGE
            const from = { address: heap + 8 * PAGE, oldLength: length, newLength: length }
            yield* Task.mremap({ ...from, flags, newAddress: 0x3000_0000 })
            yield* Task.mprotect(heap + 11 * PAGE, PAGE, ProtFlags.READ)
            const child = yield* Task.fork(here, "child")
            yield* here
            yield* Task.wait(child)
            yield* complete
            yield* here
          }).pipe(Effect.orDie)
        )
        expect(wrong).toEqual([])
        expect(progress.damaged).toEqual([])
      })
    ))

  it("a page that is given back while it is read never comes again", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        const asked = yield* Deferred.make<number>()
        const go = yield* Deferred.make<void>()
        const slow = (image: Image): Image => ({
          ...image,
          read: (row, count) =>
            Deferred.succeed(asked, row).pipe(
              Effect.andThen(Deferred.await(go)),
              Effect.andThen(image.read(row, count))
            )
        })
        let found: readonly number[] = []
        const task = () =>
          Effect.gen(function* () {
            const reader = yield* Effect.forkChild(Task.load8(0x1000_1000))
            yield* Deferred.await(asked)
            const giving = yield* Effect.forkChild(Task.madvise(0x1000_0000, PAGE, AdviceFlags.DONTNEED))
            for (let i = 0; i < 10; i++) yield* Effect.yieldNow
            expect(giving.pollUnsafe()).toBeUndefined() // it waits until somebody has read its event
            yield* Deferred.succeed(go, undefined)
            yield* Fiber.join(giving)
            found = [yield* Task.load32(0x1000_0000), yield* Fiber.join(reader), yield* Task.load8(0x1000_1000)]
          }).pipe(Effect.orDie)
        yield* restored(file, task, slow)
        expect(found[0]).toBe(0)
        expect(found[1]).toBe(found[2])
      })
    ))

  it("where nobody can answer any more the task ends first: it never sees zeroes for what was in the file", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        let seen: number | undefined
        const broken = (image: Image): Image => ({ ...image, read: () => Effect.die("the disk is gone") })
        const task = () =>
          Effect.map(Task.load32(0x1000_0000), (value) => {
            seen = value
          })
        const exit = yield* Effect.exit(restored(file, task, broken))
        expect(Exit.isFailure(exit) && Cause.squash(exit.cause)).toBe("the disk is gone")
        expect(seen).toBeUndefined()
      })
    ))

  it("the task goes on before its memory is there: its first instruction needs two blocks of it", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        let read = 0
        yield* restored(file, (progress) =>
          Effect.andThen(
            execute(1),
            Effect.sync(() => {
              read = progress.onDemand
            })
          )
        )
        expect(read).toBeLessThanOrEqual(3)
      })
    ))

  it("a damaged page is poison: who touches it gets SIGBUS, who does not goes on, and it is told in a sentence", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        const { pages } = yield* Effect.scoped(openImage(file))
        const row = pages.length - 2
        const damaged = readFileSync(file)
        damaged[PAGE * (1 + row) + 17]! ^= 4
        writeFileSync(file, damaged)
        const at = pages[row]!.address
        let signal: Task.Signal | undefined
        const touching = (progress: Progress) =>
          Effect.gen(function* () {
            yield* Task.load8(at - PAGE)
            signal = yield* Effect.orDie(Effect.flip(Task.load8(at + 9)))
            yield* Task.load8(at + PAGE)
            yield* progress.complete
          })
        const progress = yield* restored(file, touching)
        expect(signal).toEqual({ _tag: "SIGBUS", code: "ADRERR", address: at + 9 })
        expect(progress.damaged).toEqual([
          `the page of address ${at.toString(16)} is damaged in the file: its checksum is wrong`
        ])
        const all = yield* restored(file, () => execute(Infinity)).pipe(Effect.flip)
        expect(all._tag).toBe("SIGBUS")
        const untouched = yield* restored(file, ({ complete }) => complete)
        expect(untouched.damaged).toHaveLength(1)
        const eager = yield* Effect.flip(
          Task.run("eager", Effect.scoped(Effect.flatMap(openImage(file), restoreFirst)))
        )
        expect(eager).toMatchObject({ message: "no task can be restored: a page is damaged" })
      })
    ))

  it("a file that is cut short anywhere, or damaged in what it says of itself, is refused before anything runs", () =>
    onKernel(
      Effect.gen(function* () {
        const file = yield* saved(middle)
        const right = readFileSync(file)
        const { areas, pages } = yield* Effect.scoped(openImage(file))
        const table = PAGE * (1 + pages.length)
        expect(right).toHaveLength(table + 24 * areas.length + 16 * pages.length)
        const wrong = newFile()
        const said = (content: Uint8Array) =>
          Effect.suspend(() => {
            writeFileSync(wrong, content)
            return refusal(wrong)
          })
        for (const length of [0, 7, 23, 24, PAGE, PAGE * 2, table - 1, table, right.length - 1])
          expect(yield* said(right.subarray(0, length))).toMatch(
            /^no task can be restored: it (is no image|has \d+ bytes)/
          )
        for (const at of [
          ...Array.from({ length: 24 }, (_, i) => i),
          ...Array.from({ length: right.length - table }, (_, i) => table + i)
        ]) {
          const damaged = Buffer.from(right)
          damaged[at]! ^= 1
          expect(yield* said(damaged), `byte ${at}`).toMatch(/^no task can be restored: (it|its table) (is|has) /)
        }
        expect(yield* said(Buffer.concat([Buffer.alloc(PAGE), right.subarray(PAGE)]))).toMatch(
          "whose saving was cut short"
        )
        yield* Task.run("empty", save(wrong))
        expect(yield* refusal(wrong)).toBe("no task can be restored: it has no memory")
        expect(yield* said(Buffer.from("an essay"))).toMatch("is no image")
        expect(yield* refusal(newFile())).toMatch("ENOENT")
      })
    ))

  it("memory that is not the task's alone is not saved", () =>
    onKernel(
      Task.run(
        "sharing",
        Effect.gen(function* () {
          const flags = MapFlags.SHARED | MapFlags.ANONYMOUS
          yield* Task.mmap({ length: PAGE, prot: ProtFlags.READ, flags })
          const refused = yield* Effect.flip(save(newFile()))
          expect(refused._tag === "ImageError" && refused.message).toMatch(/^this task cannot be saved: the area at/)
          expect(yield* Kernel.findings).toEqual([])
        })
      )
    ))
})
