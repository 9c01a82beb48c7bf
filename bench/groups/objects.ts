/** What objects answer for: a page cache and an object of one's own, the same four pages; and a mapping set of many areas. */
import { Effect } from "effect"
import type * as Pagewright from "../../lib/index.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createFile, installFd, invalidate, mmap, openPath, switchMm, writeObject } from "../built.ts"
import { best, type Figures, use } from "../measure.ts"
import { AT, FIXED, ok, PAGE, READ, RW, turn, world } from "../world.ts"

const BYTES = AT * PAGE
const TIMES = 1 << 14
const MAPPINGS = 100_000

export async function objects(figures: Figures): Promise<void> {
  cached(figures)
  await own(figures)
  many(figures)
}

/** Four pages of a file in the page cache: one fault maps them all. */
function cached(figures: Figures): void {
  const { k, mm, task } = world({ frames: 1 << 10, maxVmas: 1 << 10 })
  ok(createFile(k, "/file", 1, 0))
  const o = k.paths.get("/file")!.obj
  writeObject(k, o, 0, new Uint8Array(4 * PAGE).fill(1))
  const fd = ok(installFd(k, task, ok(openPath(k, "/file", 1))))
  switchMm(k, mm)
  turn(k, mmap(k, task, BYTES, 4 * PAGE, READ, FIXED & ~0x20, fd, 0))
  again(figures, "object.file", k, o)
}

/** The same four pages from an object that answers at once. */
async function own(figures: Figures): Promise<void> {
  const pagewright = (await import(new URL("../../dist/index.js", import.meta.url).href)) as typeof Pagewright
  const program = Effect.gen(function* () {
    const w = (yield* pagewright.Kernel.Kernel) as unknown as {
      readonly k: Kernel
      readonly objects: Iterable<{ readonly row: number }>
    }
    const file = yield* pagewright.MemoryFile.make()
    const at = file.allocate(4)
    if (at === undefined) throw new Error("no memory in a benchmark")
    for (const view of file.mapInternal(at)) view.fill(1)
    const object = yield* pagewright.Mappable.make({
      name: "four pages",
      translate: (ask) => ask.translation({ source: ask.optional, file, offset: ask.optional.start, perms: "r--" })
    })
    const identity = yield* pagewright.Mappable.identity(object)
    yield* pagewright.Task.run(
      "reader",
      Effect.gen(function* () {
        const task = yield* pagewright.Task.Task
        yield* pagewright.Mappable.map({ identity, length: 4 * PAGE, addr: BYTES, fixed: true, perms: "r--" })
        switchMm(w.k, w.k.tasks.mm(task.pid))
        for (const { row } of w.objects) again(figures, "object.own", w.k, row)
      })
    )
  })
  await pagewright.Lockdep.runTask(
    Effect.scoped(program).pipe(Effect.orDie, Effect.provide(pagewright.Kernel.layer({ frames: 1 << 10 })))
  )
}

function again(figures: Figures, id: string, k: Kernel, o: number): void {
  best(figures, id, TIMES, (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      sum += k.tlb.load32(BYTES)
      invalidate(k, o, 0, 4, false)
    }
    use(sum)
    if (k.tlb.takeFault() !== 0) throw new Error("a signal in a benchmark")
  })
}

/** Many areas map an object a page each; one page of it is invalidated. */
function many(figures: Figures): void {
  const { k, task } = world({ frames: 1 << 10, maxVmas: 1 << 18, maxMapCount: 1 << 18 })
  ok(createFile(k, "/file", 1, 0))
  const o = k.paths.get("/file")!.obj
  k.files.size[o] = MAPPINGS * PAGE
  const fd = ok(installFd(k, task, ok(openPath(k, "/file", 3))))
  for (let i = 0; i < MAPPINGS; i++)
    turn(k, mmap(k, task, (AT + 2 * i) * PAGE, PAGE, RW, FIXED & ~0x20, fd, ((i * 7919) % MAPPINGS) * PAGE))
  best(figures, "object.invalidate", 1 << 10, (n) => {
    for (let i = 0; i < n; i++) {
      const page = (i * 104_729) % MAPPINGS
      invalidate(k, o, page, page + 1, true)
    }
  })
}
