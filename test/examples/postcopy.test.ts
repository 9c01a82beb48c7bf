/** Post-copy migration: what QEMU does of it, row by row, and the example as its user starts it: two processes of the host. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { Effect, Fiber } from "effect"
import {
  AdviceFlags,
  type Locked,
  type Lockdep,
  MapFlags,
  MlockallFlags,
  ProtFlags,
  Task,
  Userfaultfd
} from "pagewright"
import { beforeAll, describe, expect, it } from "vitest"
import {
  answerFaults,
  type Contents,
  lacking,
  makeRoom,
  Pages,
  place,
  probe
} from "../../examples/postcopy/incoming.ts"
import { Layout, PAGE } from "../../examples/postcopy/layout.ts"
import { build, isStale } from "../../tools/build.ts"
import { root } from "../../tools/run.ts"
import { checkTables, onKernel } from "../vma/support.ts"

const { READ, WRITE } = ProtFlags
const prot = READ | WRITE
const START = 0x2000_0000
const COUNT = 8
/** Two areas, with a hole between them. */
const layout = new Layout([
  { start: START, length: 4 * PAGE, prot },
  { start: START + 16 * PAGE, length: 4 * PAGE, prot }
])
const at = (page: number) => layout.at(page).address
const numbers = Array.from({ length: COUNT }, (_, page) => page)
const full = (byte: number, pages = 1) => new Uint8Array(pages * PAGE).fill(byte)
const pagesAt = (first: number, bytes: Uint8Array): Contents => ({ _tag: "Pages", urgent: false, first, bytes })
const present = ({ received }: Pages) => numbers.filter((page) => received.has(page))

/** Runs `body` as a process that has the areas, with nothing in them. */
const run = <A, E>(body: Effect.Effect<A, E, Task.Task | Lockdep.Markers>) =>
  onKernel(
    Task.run(
      "destination",
      Effect.gen(function* () {
        const flags = MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED
        for (const { length, start } of layout.areas) yield* Task.mmap({ address: start, length, prot, flags })
        const answer = yield* body
        yield* checkTables
        return answer
      })
    )
  )

/** Registers the areas and runs `body` with their ranges. */
const filling = <A, E>(
  features: readonly Userfaultfd.Feature[],
  body: <fd extends Locked.AfterUnlock>(
    uffd: Userfaultfd.Uffd<"O_NONBLOCK", fd>,
    ranges: readonly Userfaultfd.Registered<"MISSING", fd>[]
  ) => Effect.Effect<A, E, Task.Task | Lockdep.Markers | Locked.Held<fd>>
) =>
  Userfaultfd.open(
    (fresh) =>
      Effect.gen(function* () {
        const uffd = yield* fresh.api(features)
        const ranges = yield* Effect.forEach(layout.areas, ({ length, start }) =>
          uffd.register(start, length, ["MISSING"])
        )
        return yield* body(uffd, ranges)
      }),
    { nonBlocking: true, userModeOnly: true }
  )
const turns = Effect.repeat(Effect.yieldNow, { times: 20 })
/** Starts a load that must wait. */
const waiting = (page: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Task.load8(at(page)))
    yield* turns
    expect(fiber.pollUnsafe()).toBeUndefined()
    return fiber
  })

describe("the destination, as QEMU does it", () => {
  it("[UU-PC-01] probes with a private anonymous page of its own, whose range must take WAKE, COPY and ZEROPAGE", () =>
    run(
      Effect.gen(function* () {
        const before = yield* Task.maps
        yield* probe
        expect(yield* Task.maps).toBe(before)
        yield* filling([], (_, ranges) =>
          Effect.sync(() => expect(ranges.flatMap(({ ioctls }) => lacking(ioctls))).toEqual([]))
        )
        expect(lacking(new Set(["WAKE", "COPY", "ZEROPAGE", "MOVE"]))).toEqual([])
        expect(lacking(new Set(["WAKE", "COPY", "WRITEPROTECT"]))).toEqual(["ZEROPAGE"])
        expect(lacking(new Set())).toEqual(["WAKE", "COPY", "ZEROPAGE"])
      })
    ))

  it("[UU-PC-02] a read that finds nothing is no end, for another has answered; each page is asked for once", () =>
    run(
      filling([], (uffd, ranges) =>
        Effect.gen(function* () {
          const pages = new Pages(layout)
          const asked: number[] = []
          let [nothing, polls] = [0, 0]
          // Says that there is something, though another reader may have it already.
          const hasty = {
            pollEvents: () => Effect.as(Effect.yieldNow, ++polls > 0),
            readEvents: () =>
              Effect.tap(uffd.readEvents(), (events) => Effect.sync(() => (nothing += events.length === 0 ? 1 : 0)))
          }
          const request = (page: number) => Effect.sync(() => void asked.push(page))
          const handlers = [
            yield* Effect.forkChild(answerFaults(hasty, pages, request)),
            yield* Effect.forkChild(answerFaults(uffd, pages, request))
          ]
          yield* turns
          expect(nothing).toBeGreaterThan(0)
          const loads = [yield* waiting(6), yield* waiting(2), yield* waiting(2)]
          expect(asked).toEqual([6, 2])
          for (const page of asked) yield* place(pages, ranges, pagesAt(page, full(page)))
          expect(yield* Effect.forEach(loads, Fiber.join)).toEqual([6, 2, 2])
          expect([...pages.asked]).toEqual([])
          expect(handlers.map((handler) => handler.pollUnsafe())).toEqual([undefined, undefined])
          yield* Effect.forEach(handlers, Fiber.interrupt)
        })
      )
    ))

  it("[UU-PC-02] a message that is no fault of the task's memory ends the migration", () =>
    run(
      filling(["EVENT_REMOVE"], (uffd, ranges) =>
        Effect.gen(function* () {
          const pages = new Pages(layout)
          yield* place(pages, ranges, pagesAt(0, full(1)))
          const discard = yield* Effect.forkChild(Task.madvise(at(0), PAGE, AdviceFlags.DONTNEED))
          const error = yield* Effect.flip(answerFaults(uffd, pages, () => Effect.void))
          expect(error).toMatchObject({ _tag: "Unexpected", message: "userfaultfd tells of Remove" })
          yield* Fiber.join(discard)
        })
      )
    ))

  it("[UU-PC-03] places contents by copying and zeroes as zeroes, and wakes who waits", () =>
    run(
      filling([], (_, ranges) =>
        Effect.gen(function* () {
          const pages = new Pages(layout)
          const loads = [yield* waiting(1), yield* waiting(2), yield* waiting(5)]
          yield* place(pages, ranges, pagesAt(1, Buffer.concat([full(7), full(8)])))
          yield* place(pages, ranges, { _tag: "Zeros", urgent: false, first: 4, count: 3 })
          expect(yield* Effect.forEach(loads, Fiber.join)).toEqual([7, 8, 0])
          expect(present(pages)).toEqual([1, 2, 4, 5, 6])
          expect(yield* Task.mincore(layout.areas[1]!.start, 4 * PAGE)).toEqual([true, true, true, false])
        })
      )
    ))

  it("[UU-PC-03] a page counts as received only once it is placed; none is placed twice, none beyond its area", () =>
    run(
      filling([], (_, ranges) =>
        Effect.gen(function* () {
          const pages = new Pages(layout)
          yield* ranges[0]!.copyPage(at(1), full(9)) // behind its back
          expect((yield* Effect.flip(place(pages, ranges, pagesAt(1, full(1)))))._tag).toBe("EEXIST")
          expect((yield* Effect.flip(place(pages, ranges, pagesAt(0, full(1, 2)))))._tag).toBe("EAGAIN")
          expect(present(pages)).toEqual([])
          yield* place(pages, ranges, pagesAt(3, full(3)))
          for (const contents of [
            pagesAt(3, full(4)),
            pagesAt(2, full(4, 3)),
            pagesAt(8, full(4)),
            pagesAt(5, full(4).subarray(1))
          ])
            expect((yield* Effect.flip(place(pages, ranges, contents)))._tag).toBe("Garbled")
          expect(present(pages)).toEqual([3])
          expect(yield* Task.load8(at(3))).toBe(3)
        })
      )
    ))

  it("[UU-PC-04] what was in its memory before is discarded: every page is missing, and faults", () =>
    run(
      Effect.gen(function* () {
        for (let page = 0; page < COUNT; page++) yield* Task.store8(at(page), 100 + page)
        yield* makeRoom(layout)
        yield* filling([], (_, ranges) =>
          Effect.gen(function* () {
            const pages = new Pages(layout)
            const loads = yield* Effect.forEach(numbers, waiting)
            for (const page of numbers) yield* place(pages, ranges, pagesAt(page, full(page)))
            expect(yield* Effect.forEach(loads, Fiber.join)).toEqual(numbers)
            expect(pages.isWhole).toBe(true)
          })
        )
      })
    ))

  it("[UU-PC-05] locked memory is unlocked first: it is all there, cannot be emptied, and comes back when it is touched", () =>
    run(
      Effect.gen(function* () {
        yield* Task.mlockall(MlockallFlags.CURRENT | MlockallFlags.FUTURE)
        const { length, start } = layout.areas[0]!
        expect(yield* Task.mincore(start, length)).toEqual([true, true, true, true])
        expect((yield* Effect.flip(Task.madvise(start, length, AdviceFlags.DONTNEED)))._tag).toBe("EINVAL")
        yield* makeRoom(layout)
        expect(yield* Task.status).toMatch(/VmLck:\s+0 kB/)
        expect(yield* Task.mincore(start, length)).toEqual([false, false, false, false])
        const more = yield* Task.mmap({ length: PAGE, prot, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
        expect(yield* Task.mincore(more, PAGE)).toEqual([false]) // nor is what will be mapped
        yield* Task.munmap(more, PAGE)
        yield* filling([], (_, ranges) =>
          Effect.gen(function* () {
            const load = yield* waiting(3)
            yield* place(new Pages(layout), ranges, pagesAt(3, full(5)))
            expect(yield* Fiber.join(load)).toBe(5)
          })
        )
      })
    ))
})

type Ended = { readonly exitCode: number; readonly out: string; readonly err: string }

/** Runs the example as its user does; `whenSaid` runs once, when the destination has been started. */
const migrate = (
  size: string,
  flags: readonly string[],
  whenSaid?: (source: () => void, destination: number) => void
) =>
  new Promise<Ended>((resolve, reject) => {
    const command = [join(root, "dist", "cli", "bin.js"), "run", join(root, "examples/postcopy/main.ts"), ...flags]
    const child = spawn(process.execPath, command, { env: { ...process.env, POSTCOPY_SIZE: size } })
    let [out, err, isTold] = ["", "", false]
    child.stdout.on("data", (chunk) => {
      out += String(chunk)
      const destination = /process (\d+) of the host/.exec(out)?.[1]
      if (destination === undefined || isTold) return
      isTold = true
      whenSaid?.(() => child.kill("SIGINT"), Number(destination))
    })
    child.stderr.on("data", (chunk) => (err += String(chunk)))
    child.on("error", reject)
    child.on("close", (code) => resolve({ exitCode: code ?? -1, out, err }))
  })
const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("two processes of the host", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    if (isStale()) await build()
  }, 60_000)

  it("a task goes on in the other one before its memory is there, over a connection that is cut, and ends as if it had stayed", async () => {
    const { err, exitCode, out } = await migrate("2MiB", [])
    expect(err).toBe("")
    expect(exitCode).toBe(0)
    const pages = 512 + 6
    expect(out).toContain(`it has ${pages} pages`)
    const [, urgent, background] =
      /(\d+) pages on demand, (\d+) in the background/.exec(out.slice(out.indexOf("every page"))) ?? []
    expect(Number(urgent)).toBeGreaterThanOrEqual(2) // registers and text, before anything else
    expect(Number(urgent) + Number(background)).toBe(pages)
    const story = [
      "performed the next instruction",
      "is cut",
      "is back after",
      "every page is there",
      "leak check: no page"
    ]
    const places = story.map((line) => out.indexOf(line))
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(Math.min(...places)).toBeGreaterThan(0)
    const [, had] = /it has (\d+) pages\n/.exec(out.slice(out.indexOf("is back after"))) ?? []
    expect(Number(had)).toBeLessThan(pages)
    const sums = [...out.matchAll(/: ([0-9a-f]{16}) there, ([0-9a-f]{16}) here/g)]
    expect(sums).toHaveLength(2)
    for (const [, there, here] of sums) expect(there).toBe(here)
    expect(sums[0]![1]).not.toBe(sums[1]![1])
  })

  it("Ctrl-C ends both", async () => {
    let destination = 0
    const { err, exitCode } = await migrate("256MiB", [], (source, pid) => {
      destination = pid
      source()
    })
    expect(exitCode).toBe(130)
    expect(err).toBe("pagewright: scenario postcopy was interrupted\n")
    expect(isAlive(destination)).toBe(false)
  })

  it("a destination that dies is told of in a sentence", async () => {
    const { err, exitCode } = await migrate("256MiB", [], (_, pid) => process.kill(pid, "SIGKILL"))
    expect(exitCode).toBe(2)
    expect(err).toMatch(/^pagewright: scenario postcopy died: the other process ended with SIGKILL[^\n]*\n$/)
  })

  it("a size that is none is told of in a sentence", async () => {
    const { err, exitCode } = await migrate("much", [])
    expect(exitCode).toBe(2)
    expect(err).toMatch(/^pagewright: scenario postcopy failed: POSTCOPY_SIZE is a size[^\n]*\n$/)
  })
})
