/** Small worlds, all of them: every pair of operations over four pages, against a naive idea of what Linux would show. */
import { describe, expect, it } from "vitest"
import { ANONYMOUS, FIXED, PRIVATE, SHARED } from "../../lib/flags/MapFlags.ts"
import { NONE, READ, WRITE } from "../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../lib/mm/area/check.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { createFile, installFd, openPath, writeObject } from "../../lib/mm/object/file.ts"
import { FILE_REGULAR, FMODE_READ, FMODE_WRITE } from "../../lib/mm/store/files.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { fork } from "../../lib/mm/sys/process.ts"
import { userStore8 } from "../../lib/mm/sys/trap.ts"
import { bootTiny, call, endTask, HERE, spawnTask } from "../../lib/proof/testing/calls.ts"
import { drawAreas } from "../../lib/proof/testing/picture.ts"
import { countsOf, leaksSince } from "../../lib/proof/testing/tables.ts"
import { drawLine, type Line, touch } from "../support/naive-areas.ts"

const PAGES = 4

/** A world, its naive twin, and the number of the next anon_vma there. */
interface Twins {
  readonly k: Kernel
  readonly task: number
  line: Line
  fresh: number
}

/** An operation on both. */
interface Operation {
  readonly name: string
  readonly run: (w: Twins) => void
}

/** One way to map pages. */
interface Kind {
  readonly name: string
  readonly prot: number
  readonly flags: number
  readonly fd: number
  /** Page offset of the first of the four pages. */
  readonly pgoff: number
  /** The open file that merges compare; 0 for private anonymous memory. */
  readonly file: number
}

const anon = (name: string, prot: number): Kind => ({
  name,
  prot,
  flags: PRIVATE | ANONYMOUS,
  fd: -1,
  pgoff: HERE,
  file: 0
})

const ranges: readonly (readonly [from: number, to: number])[] = [0, 1, 2, 3].flatMap((from) =>
  [1, 2, 3, 4].filter((to) => to > from).map((to) => [from, to] as const)
)

/** Private writable memory counts against what is promised, and a read-only rest of it that was written still does. */
const accounted = (prot: number, isPrivate: boolean, before: boolean): boolean =>
  isPrivate && ((prot & WRITE) !== 0 || before)

const kindOf = (kind: Kind, ac: boolean): string => `${kind.flags & (PRIVATE | SHARED)}${ac ? " ac" : ""}`

function mapIn(line: Line, kind: Kind, from: number, to: number): void {
  const ac = accounted(kind.prot, (kind.flags & PRIVATE) !== 0, false)
  for (let i = from; i < to; i++)
    line[i] = {
      flags: `${kindOf(kind, ac)} prot ${kind.prot}`,
      kind: kindOf(kind, ac),
      file: kind.file,
      pgoff: kind.pgoff + i,
      anon: 0,
      inherited: false
    }
}

function protectIn(line: Line, prot: number, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const page = line[i]
    if (page === undefined) return
    if (page.flags.endsWith(`prot ${prot}`)) continue
    const isPrivate = page.kind.startsWith(String(PRIVATE))
    // an anonymous area that nobody wrote to gives back what it was charged when it becomes read-only
    const keeps = page.kind.endsWith("ac") && !(page.file === 0 && page.anon === 0)
    const kind = `${page.kind.split(" ")[0]}${accounted(prot, isPrivate, keeps) ? " ac" : ""}`
    line[i] = { ...page, flags: `${kind} prot ${prot}`, kind }
    drawLine(line) // joins: what follows sees the anon_vma of the area that this page is part of now
  }
}

const at = (page: number): number => (HERE + page) * 4096

function operations(kinds: readonly Kind[], prots: readonly number[], touches: boolean): readonly Operation[] {
  const out: Operation[] = []
  for (const [from, to] of ranges) {
    for (const kind of kinds)
      out.push({
        name: `mmap ${kind.name} ${from}..${to}`,
        run: (w) => {
          const off = kind.fd < 0 ? 0 : (kind.pgoff + from) * 4096
          expect(
            call(w.k, () =>
              mmap(w.k, w.task, at(from), (to - from) * 4096, kind.prot, kind.flags | FIXED, kind.fd, off)
            )
          ).toBe(at(from))
          mapIn(w.line, kind, from, to)
        }
      })
    for (const prot of prots)
      out.push({
        name: `mprotect ${prot} ${from}..${to}`,
        run: (w) => {
          call(w.k, () => mprotect(w.k, w.task, at(from), (to - from) * 4096, prot))
          if (w.line[from] !== undefined) protectIn(w.line, prot, from, to)
        }
      })
    out.push({
      name: `munmap ${from}..${to}`,
      run: (w) => {
        call(w.k, () => munmap(w.k, w.task, at(from), (to - from) * 4096))
        w.line.fill(undefined, from, to)
      }
    })
  }
  if (touches)
    for (let page = 0; page < PAGES; page++)
      out.push({
        name: `write ${page}`,
        run: (w) => {
          if (userStore8(w.k, w.k.tasks.mm(w.task), at(page), 1) === 0) touch(w.line, page, ++w.fresh)
        }
      })
  return out
}

/** Runs every pair of operations after each beginning, on one machine that is emptied in between. Returns how many. */
function holdsPairs(
  k: Kernel,
  task: number,
  beginnings: readonly (readonly Operation[])[],
  operations: readonly Operation[]
): number {
  const mm = k.tasks.mm(task)
  const counts = countsOf(k)
  let runs = 0
  for (const beginning of beginnings)
    for (const first of operations)
      for (const second of operations) {
        const w: Twins = { k, task, line: Array.from({ length: PAGES }, () => undefined), fresh: 0 }
        const names: string[] = []
        for (const operation of [...beginning, first, second]) {
          names.push(operation.name)
          operation.run(w)
          const picture = drawAreas(k, mm, HERE, PAGES)
          const naive = drawLine(w.line)
          if (picture !== naive) expect.fail(`${names.join(", ")}: "${picture}", expected "${naive}"`)
        }
        if (runs++ % 16 === 0) checkIdle(k)
        call(k, () => munmap(k, task, at(0), PAGES * 4096))
        const left = leaksSince(k, counts)
        if (left.length > 0) expect.fail(`${names.join(", ")}, munmap of all: ${left.join(", ")}`)
      }
  checkIdle(k)
  return runs
}

const named = (all: readonly Operation[], ...names: string[]): Operation[] =>
  names.map((name) => all.find((operation) => operation.name === name)!)

// a slow machine is no reason to fail
describe("every pair of operations over four pages", { timeout: 60_000 }, () => {
  it("of private anonymous memory leaves the areas that Linux would show [L-VMA-01, L-VMA-06, L-VMA-16..18]", () => {
    const k = bootTiny()
    const all = operations(
      [anon("rw", READ | WRITE), anon("r", READ), anon("none", NONE)],
      [READ | WRITE, READ, NONE],
      true
    )
    const beginnings = [
      [],
      named(all, "mmap rw 0..4", "write 1"),
      named(all, "mmap rw 0..1", "write 0", "mmap rw 2..4", "write 3"),
      named(all, "mmap rw 0..4", "mprotect 1 1..3", "write 0", "write 3")
    ]
    expect(holdsPairs(k, spawnTask(k), beginnings, all)).toBe(beginnings.length * all.length ** 2)
  })

  it("of a file, private, shared and at another offset, leaves the areas that Linux would show [L-VMA-01, L-VMA-04]", () => {
    const k = bootTiny()
    const task = spawnTask(k)
    createFile(k, "/f", FILE_REGULAR, 0)
    writeObject(k, k.paths.get("/f")!.obj, 0, new Uint8Array(8 * 4096))
    const fd = installFd(k, task, openPath(k, "/f", FMODE_READ | FMODE_WRITE))
    const again = installFd(k, task, openPath(k, "/f", FMODE_READ | FMODE_WRITE))
    const file = (name: string, flags: number, by: number, pgoff: number): Kind => ({
      name,
      prot: READ | WRITE,
      flags,
      fd: by,
      pgoff,
      file: by + 1
    })
    const all = operations(
      [
        file("private", PRIVATE, fd, 0),
        file("shared", SHARED, fd, 0),
        file("shifted", PRIVATE, fd, 1),
        file("reopened", PRIVATE, again, 0)
      ],
      [READ | WRITE, READ],
      true
    )
    holdsPairs(k, task, [[], named(all, "mmap private 0..4", "write 2")], all)
  })

  it("of memory that a fork left leaves the areas that Linux would show [L-VMA-10, L-VMA-12]", () => {
    const all = operations([anon("rw", READ | WRITE), anon("r", READ)], [READ | WRITE, READ], true)
    const small = all.filter((o) => !/0\.\.3|1\.\.4|0\.\.4/.test(o.name))
    for (const written of [[0], [3], [0, 1, 2, 3], []]) {
      const k = bootTiny()
      const parent = spawnTask(k)
      const mm = k.tasks.mm(parent)
      call(k, () => mmap(k, parent, at(0), PAGES * 4096, READ | WRITE, PRIVATE | ANONYMOUS | FIXED, -1, 0))
      call(k, () => mprotect(k, parent, at(1), 4096, READ))
      const line: Line = Array.from({ length: PAGES }, () => undefined)
      mapIn(line, anon("rw", READ | WRITE), 0, PAGES)
      protectIn(line, READ, 1, 2)
      written.forEach((page, i) => {
        if (userStore8(k, mm, at(page), 1) === 0) touch(line, page, i + 1)
      })
      drawLine(line)
      const counts = countsOf(k)
      for (const first of small)
        for (const second of small) {
          const task = call(k, () => fork(k, parent, "child"))
          // an own anon_vma over its parent's: another one, and not single
          const inherited = line.map((page) =>
            page === undefined || page.anon === 0 ? page : { ...page, anon: page.anon + 100, inherited: true }
          )
          const w: Twins = { k, task, line: inherited, fresh: 200 }
          for (const operation of [first, second]) operation.run(w)
          const picture = drawAreas(k, k.tasks.mm(task), HERE, PAGES)
          const naive = drawLine(w.line)
          if (picture !== naive)
            expect.fail(
              `written ${written.join()}, fork, ${first.name}, ${second.name}: "${picture}", expected "${naive}"`
            )
          endTask(k, task)
          const left = leaksSince(k, counts)
          if (left.length > 0) expect.fail(`${first.name}, ${second.name}, exit: ${left.join(", ")}`)
        }
      checkIdle(k)
    }
  })
})
