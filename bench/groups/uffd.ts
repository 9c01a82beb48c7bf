/** Faults that a program answers: the whole round trip, at the core and as a program sees it, and the answers alone. */
import { Effect, Fiber } from "effect"
import type * as Pagewright from "../../lib/index.ts"
import type { Verb } from "../../lib/mm/base/stop.ts"
import type { FaultStops } from "../../lib/mm/page/fault.ts"
import {
  fault,
  madvise,
  mmap,
  uffdApi,
  uffdCopy,
  uffdCopyBytes,
  uffdRead,
  uffdRegister,
  userfaultfd
} from "../built.ts"
import { READ, WRITE } from "../../lib/flags/FaultFlags.ts"
import { type Figures, note, timed } from "../measure.ts"
import { AT, type Bench, FIXED, ok, PAGE, RW, turn, world } from "../world.ts"

const PAGES = 2048
const CHUNK = 64
const ROUNDS = 40
/** Rounds before the clock starts. */
const WARM = 10
const BYTES = AT * PAGE
const LENGTH = PAGES * PAGE
/** Where copies come from: the page behind is nobody's. */
const SOURCE = BYTES - (CHUNK + 1) * PAGE
/** UFFD_USER_MODE_ONLY, UFFD_API, UFFDIO_REGISTER_MODE_MISSING, MADV_DONTNEED. */
const USER_MODE_ONLY = 1
const API = 0xaa
const MISSING = 1
const DONTNEED = 4

export async function uffd(figures: Figures): Promise<void> {
  core(figures)
  await client(figures)
}

/** The verbs themselves, driven by hand. */
function core(figures: Figures): void {
  const b = world({ frames: 1 << 13, maxVmas: 1 << 10 })
  const { k, task } = b
  turn(k, mmap(k, task, BYTES, LENGTH, RW, FIXED, -1, 0))
  turn(k, mmap(k, task, SOURCE, CHUNK * PAGE, RW, FIXED, -1, 0))
  const fd = ok(userfaultfd(k, task, USER_MODE_ONLY))
  ok(uffdApi(k, task, fd, API, 0))
  turn(k, uffdRegister(k, task, fd, BYTES, LENGTH, MISSING))
  const chunk = new Uint8Array(CHUNK * PAGE).fill(7)
  turn(k, uffdCopyBytes(k, task, fd, BYTES, chunk, 0))
  const drop = (): number => turn(k, madvise(k, task, BYTES, LENGTH, DONTNEED))
  const copies = (id: string, copy: (at: number) => Verb<FaultStops>): void => {
    for (let round = -WARM; round < ROUNDS; round++) {
      drop()
      const all = (): void => {
        for (let at = BYTES; at < BYTES + LENGTH; at += CHUNK * PAGE) turn(k, copy(at))
      }
      if (round < 0) all()
      else timed(figures, id, PAGES, all)
    }
  }
  copies("uffd.copy.bytes", (at) => uffdCopyBytes(k, task, fd, at, chunk, 0))
  for (let i = 0; i < CHUNK; i++) turn(k, fault(k, b.mm, SOURCE / PAGE + i, WRITE))
  copies("uffd.copy", (at) => uffdCopy(k, task, fd, at, SOURCE, CHUNK * PAGE, 0))
  for (let round = -WARM; round < ROUNDS; round++) {
    drop()
    const all = (): void => roundTrips(b, fd, chunk.subarray(0, PAGE))
    if (round < 0) all()
    else timed(figures, "uffd.core", PAGES, all)
  }
}

/** Each page: a fault that waits, whoever reads of it and copies, the fault that goes on. */
function roundTrips({ k, mm, task }: Bench, fd: number, page: Uint8Array): void {
  const { runs } = k
  const message = new Uint8Array(32)
  for (let i = 0; i < PAGES; i++) {
    const row = runs.alloc(0)
    runs.task[row] = task
    runs.current = row
    const g = fault(k, mm, AT + i, READ)
    if (g.next().done === true) throw new Error("a fault does not wait in a benchmark")
    turn(k, uffdRead(k, task, fd, message))
    turn(k, uffdCopyBytes(k, task, fd, (AT + i) * PAGE, page, 0))
    runs.wokenN = 0
    runs.state[row] = 0
    runs.current = row
    const t = g.next(0)
    if (t.done !== true || t.value !== 0) throw new Error("a fault goes on waiting in a benchmark")
    runs.release(row)
  }
}

/** Two fibers of one process: one touches page after page, the other answers. */
async function client(figures: Figures): Promise<void> {
  const { Kernel, Lockdep, MapFlags, ProtFlags, Task, Userfaultfd } = (await import(
    new URL("../../dist/index.js", import.meta.url).href
  )) as typeof Pagewright

  const page = new Uint8Array(PAGE).fill(7)
  const chunk = new Uint8Array(CHUNK * PAGE).fill(7)
  const program = Effect.gen(function* () {
    const memory = yield* Task.mmap({
      length: LENGTH,
      prot: ProtFlags.READ | ProtFlags.WRITE,
      flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS
    })
    const start = Number(memory)
    /** Touches every page; `ns` of a page. */
    const touch = (store: boolean) =>
      Effect.gen(function* () {
        for (let at = start; at < start + LENGTH; at += PAGE)
          if (store) yield* Task.store32(at, 1)
          else yield* Task.load32(at)
      })
    const rounds = <E, R, E2, R2>(
      id: string,
      before: Effect.Effect<unknown, E, R>,
      body: Effect.Effect<unknown, E2, R2>
    ) =>
      Effect.gen(function* () {
        for (let round = -WARM; round < ROUNDS; round++) {
          yield* before
          const from = process.hrtime.bigint()
          yield* body
          if (round >= 0) note(figures, id, Number(process.hrtime.bigint() - from) / PAGES)
        }
      })
    yield* Userfaultfd.open((fresh) =>
      Effect.gen(function* () {
        const fd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
        const range = yield* fd.register(start, LENGTH, ["MISSING", "WP"])
        const drop = Task.madvise(start, LENGTH, DONTNEED)
        const fill = Effect.gen(function* () {
          for (let at = start; at < start + LENGTH; at += CHUNK * PAGE) yield* range.copyPage(at, chunk)
        })
        yield* rounds("uffd.fill", drop, fill)
        const handler = yield* Effect.forkChild(
          Effect.gen(function* () {
            for (;;)
              for (const event of yield* fd.readEvents())
                if (event._tag === "Pagefault") {
                  if (event.mode === "WP") yield* range.changeProtection(event.address, PAGE, false)
                  else yield* range.copyPage(event.address, page)
                }
          })
        )
        yield* rounds("uffd.fault", drop, touch(false))
        yield* rounds("uffd.wp", range.changeProtection(start, LENGTH, true), touch(true))
        yield* Fiber.interrupt(handler)
      })
    )
  })
  const run = Task.run("bench", program).pipe(Effect.orDie, Effect.provide(Kernel.layer({ frames: 1 << 13 })))
  await Lockdep.runTask(run)
}
