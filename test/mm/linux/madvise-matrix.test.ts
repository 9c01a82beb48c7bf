/** Every advice to every kind of memory: the answers, what becomes of the pages, and of the flags.
 *
 * Kinds, two pages each, in the order of the columns of docs/spec/linux-mm.md: private anonymous memory read-write,
 * read-only, without access, locked, sealed (read-only); shared anonymous; private of a file, one page copied; shared of a
 * read-only descriptor; shared and locked; droppable; [vdso]; [vvar]; a hole.
 */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_ZERO, FMODE_READ } from "../../../lib/mm/store/files.ts"
import { installFd, reopen } from "../../../lib/mm/object/file.ts"
import { ANON, NONE, RO, RW, SHARED_ANON } from "./words.ts"
import { type Proc, world } from "./world.ts"

const KINDS = 13
const range = (kind: number) => `a${kind * 10}+2` as const

/** One of each, every page resident that can be. */
function zoo(): Proc {
  const p = world("", { maxTables: 64 })
  const fd = p.memfd(4)
  const readOnly = installFd(p.k, p.task, reopen(p.k, p.k.tasks.file(p.task, fd), FMODE_READ))
  const kinds = [
    ANON,
    ANON,
    ANON,
    ANON | MAP.LOCKED,
    ANON,
    SHARED_ANON,
    MAP.PRIVATE,
    MAP.SHARED,
    SHARED_ANON | MAP.LOCKED
  ]
  kinds.push(MAP.DROPPABLE | MAP.ANONYMOUS)
  kinds.forEach((flags, kind) => {
    const place = range(kind)
    if (kind === 7) p.mmap(place, RO, flags, readOnly, 2)
    else p.mmap(place, RW, flags, fd)
  })
  for (const kind of [0, 1, 2, 3, 4, 5, 8, 9]) p.write(range(kind))
  p.write("a60")
  p.read("a60+2")
  p.read("a70+2")
  p.mprotect(range(1), RO)
  p.mprotect(range(2), NONE)
  p.mprotect(range(4), RO)
  p.mseal(range(4))
  p.placeSpecial("vdso", range(10)).placeSpecial("vvar", range(11))
  p.read(range(10))
  expect(pages(p)).toBe(AS_BEFORE)
  return p
}

const each = (f: (kind: number) => string): string => Array.from({ length: KINDS }, (_, kind) => f(kind)).join(" ")
const pages = (p: Proc): string => each((kind) => p.pages(range(kind)))
const AS_BEFORE = "AA AA AA AA AA FF AF FF FF AA FF .. __"

const letters = (p: Proc, kind: number): ReadonlySet<string> =>
  new Set(kind === KINDS - 1 ? [] : p.flags(`a${kind * 10}`).split(" "))

/** Gives the advice to each kind, after `first`, if any. */
function give(advice: number, first?: number): { answers: string; pages: string; flags: string } {
  const p = zoo()
  if (first !== undefined) each((kind) => p.madvise(range(kind), first))
  const before = Array.from({ length: KINDS }, (_, kind) => letters(p, kind))
  const answers = each((kind) => p.madvise(range(kind), advice))
  const flags = each((kind) => {
    const now = letters(p, kind)
    const more = [...now].filter((one) => !before[kind]!.has(one)).map((one) => `+${one}`)
    const less = [...before[kind]!].filter((one) => !now.has(one)).map((one) => `-${one}`)
    return [...more, ...less].join("") || "="
  })
  return { answers, pages: pages(p), flags }
}

const NOTHING = "= = = = = = = = = = = = ="
const ALL_OK = "ok ok ok ok ok ok ok ok ok ok ok ok ENOMEM"
const NEVER = "EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL EINVAL"

describe("advice about flags", () => {
  const all = (change: string): string => `${`${change} `.repeat(KINDS - 1)}=`

  it("RANDOM is taken by everything [L-MADV-M-RANDOM]", () => {
    expect(give(MADV.RANDOM)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: all("+rr") })
  })

  it("SEQUENTIAL is taken by everything, and ends RANDOM [L-MADV-M-SEQUENTIAL, L-MADV-05]", () => {
    expect(give(MADV.SEQUENTIAL)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: all("+sr") })
    expect(give(MADV.SEQUENTIAL, MADV.RANDOM).flags).toBe(all("+sr-rr"))
    expect(give(MADV.RANDOM, MADV.SEQUENTIAL).flags).toBe(all("+rr-sr"))
  })

  it("NORMAL ends both [L-MADV-M-NORMAL, L-MADV-05]", () => {
    expect(give(MADV.NORMAL, MADV.RANDOM)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: all("-rr") })
    expect(give(MADV.NORMAL, MADV.SEQUENTIAL).flags).toBe(all("-sr"))
  })

  it("DONTFORK is refused where sealed data would be lost to a child [L-MADV-M-DONTFORK]", () => {
    expect(give(MADV.DONTFORK)).toEqual({
      answers: "ok ok ok ok EPERM ok ok ok ok ok ok ok ENOMEM",
      pages: AS_BEFORE,
      flags: "+dc +dc +dc +dc = +dc +dc +dc +dc +dc +dc +dc ="
    })
  })

  it("DOFORK is refused by memory for input and output [L-MADV-M-DOFORK, L-MADV-12]", () => {
    expect(give(MADV.DOFORK, MADV.DONTFORK)).toEqual({
      answers: "ok ok ok ok ok ok ok ok ok ok ok EINVAL ENOMEM",
      pages: AS_BEFORE,
      flags: "-dc -dc -dc -dc = -dc -dc -dc -dc -dc -dc = ="
    })
  })

  it("WIPEONFORK is for memory without a file that is not shared [L-MADV-M-WIPEONFORK, L-MADV-25]", () => {
    expect(give(MADV.WIPEONFORK)).toEqual({
      answers: "ok ok ok ok EPERM EINVAL EINVAL EINVAL EINVAL ok ok ok ENOMEM",
      pages: AS_BEFORE,
      flags: "+wf +wf +wf +wf = = = = = = +wf +wf ="
    })
  })

  it("KEEPONFORK is not for droppable memory [L-MADV-M-KEEPONFORK, L-MADV-26]", () => {
    expect(give(MADV.KEEPONFORK, MADV.WIPEONFORK)).toEqual({
      answers: "ok ok ok ok ok ok ok ok ok EINVAL ok ok ENOMEM",
      pages: AS_BEFORE,
      flags: "-wf -wf -wf -wf = = = = = = -wf -wf ="
    })
  })

  it("DONTDUMP is taken by everything [L-MADV-M-DONTDUMP]", () => {
    const flags = "+dd +dd +dd +dd +dd +dd +dd +dd +dd = +dd = ="
    expect(give(MADV.DONTDUMP)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags })
  })

  it("DODUMP is not for droppable and special memory [L-MADV-M-DODUMP, L-MADV-12, L-MADV-26]", () => {
    expect(give(MADV.DODUMP, MADV.DONTDUMP)).toEqual({
      answers: "ok ok ok ok ok ok ok ok ok EINVAL EINVAL EINVAL ENOMEM",
      pages: AS_BEFORE,
      flags: "-dd -dd -dd -dd -dd -dd -dd -dd -dd = = = ="
    })
  })

  it("MERGEABLE means private memory; the rest lets it pass [L-MADV-M-MERGEABLE, L-MADV-23]", () => {
    const flags = "+mg +mg +mg +mg +mg = +mg = = = = = ="
    expect(give(MADV.MERGEABLE)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags })
  })

  it("UNMERGEABLE takes it back [L-MADV-M-UNMERGEABLE]", () => {
    const flags = "-mg -mg -mg -mg -mg = -mg = = = = = ="
    expect(give(MADV.UNMERGEABLE, MADV.MERGEABLE)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags })
  })

  it("HUGEPAGE is taken by everything, and ends NOHUGEPAGE [L-MADV-M-HUGEPAGE, L-MADV-20]", () => {
    expect(give(MADV.HUGEPAGE)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: all("+hg") })
    expect(give(MADV.HUGEPAGE, MADV.NOHUGEPAGE).flags).toBe(all("+hg-nh"))
  })

  it("NOHUGEPAGE is taken by everything, and ends HUGEPAGE [L-MADV-M-NOHUGEPAGE, L-MADV-20]", () => {
    expect(give(MADV.NOHUGEPAGE)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: all("+nh") })
    expect(give(MADV.NOHUGEPAGE, MADV.HUGEPAGE).flags).toBe(all("+nh-hg"))
  })
})

describe("advice about pages", () => {
  it("WILLNEED does nothing here [L-MADV-M-WILLNEED]", () => {
    expect(give(MADV.WILLNEED)).toEqual({ answers: ALL_OK, pages: AS_BEFORE, flags: NOTHING })
  })

  it("DONTNEED drops what is private and unmaps what is shared, but nothing that is locked [L-MADV-M-DONTNEED]", () => {
    expect(give(MADV.DONTNEED)).toEqual({
      answers: "ok ok ok EINVAL EPERM ok ok ok EINVAL ok ok EINVAL ENOMEM",
      pages: ".. .. .. AA AA .. .. .. FF .. .. .. __",
      flags: NOTHING
    })
  })

  it("DONTNEED_LOCKED does so to locked memory too [L-MADV-M-DONTNEED_LOCKED]", () => {
    expect(give(MADV.DONTNEED_LOCKED)).toEqual({
      answers: "ok ok ok ok EPERM ok ok ok ok ok ok EINVAL ENOMEM",
      pages: ".. .. .. .. AA .. .. .. .. .. .. .. __",
      flags: NOTHING
    })
  })

  it("FREE is for anonymous memory, whose pages stay for now [L-MADV-M-FREE]", () => {
    expect(give(MADV.FREE)).toEqual({
      answers: "ok ok ok EINVAL EPERM EINVAL EINVAL EINVAL EINVAL ok EINVAL EINVAL ENOMEM",
      pages: AS_BEFORE,
      flags: NOTHING
    })
  })

  it("REMOVE punches a hole into what is shared and may be written [L-MADV-M-REMOVE]", () => {
    expect(give(MADV.REMOVE)).toEqual({
      answers: "EINVAL EINVAL EINVAL EINVAL EPERM ok EACCES EACCES EINVAL EINVAL EINVAL EINVAL ENOMEM",
      pages: "AA AA AA AA AA .. AF FF FF AA FF .. __",
      flags: NOTHING
    })
  })

  it("COLD is not for locked memory and raw frames [L-MADV-M-COLD, L-MADV-24]", () => {
    expect(give(MADV.COLD)).toEqual({
      answers: "ok ok ok EINVAL ok ok ok ok EINVAL ok ok EINVAL ENOMEM",
      pages: AS_BEFORE,
      flags: NOTHING
    })
  })

  it("PAGEOUT, without swap, unmaps pages of objects and drops what is droppable [L-MADV-M-PAGEOUT, L-MADV-24]", () => {
    expect(give(MADV.PAGEOUT)).toEqual({
      answers: "ok ok ok EINVAL ok ok ok ok EINVAL ok ok EINVAL ENOMEM",
      pages: "AA AA AA AA AA .. A. .. FF .. FF .. __",
      flags: NOTHING
    })
  })

  it("POPULATE_READ brings in what may be read [L-MADV-M-POPULATE_READ]", () => {
    expect(give(MADV.POPULATE_READ, MADV.DONTNEED_LOCKED)).toEqual({
      answers: "ok ok EINVAL ok ok ok ok ok ok ok ok EINVAL ENOMEM",
      pages: "zz zz .. zz AA FF FF FF FF zz FF .. __",
      flags: NOTHING
    })
  })

  it("POPULATE_WRITE brings in what may be written [L-MADV-M-POPULATE_WRITE]", () => {
    expect(give(MADV.POPULATE_WRITE, MADV.DONTNEED_LOCKED)).toEqual({
      answers: "ok EINVAL EINVAL ok EINVAL ok ok EINVAL ok ok EINVAL EINVAL ENOMEM",
      pages: "AA .. .. AA AA FF AA .. FF AA .. .. __",
      flags: NOTHING
    })
  })

  it("COLLAPSE finds no area of these large enough [L-MADV-M-COLLAPSE]", () => {
    expect(give(MADV.COLLAPSE)).toEqual({ answers: `${NEVER} ENOMEM`, pages: AS_BEFORE, flags: NOTHING })
  })

  it("GUARD_INSTALL drops what is there and puts markers [L-MADV-M-GUARD_INSTALL]", () => {
    expect(give(MADV.GUARD_INSTALL)).toEqual({
      answers: "ok ok ok EINVAL EPERM ok ok ok EINVAL ok EINVAL EINVAL ENOMEM",
      pages: "gg gg gg AA AA gg gg gg FF gg FF .. __",
      flags: "+gu +gu +gu = = +gu +gu +gu = +gu = = ="
    })
  })

  it("GUARD_REMOVE takes markers away, and leaves all else [L-MADV-M-GUARD_REMOVE]", () => {
    expect(give(MADV.GUARD_REMOVE)).toEqual({
      answers: "ok ok ok ok ok ok ok ok ok ok EINVAL EINVAL ENOMEM",
      pages: AS_BEFORE,
      flags: NOTHING
    })
    expect(give(MADV.GUARD_REMOVE, MADV.GUARD_INSTALL)).toEqual({
      answers: "ok ok ok ok ok ok ok ok ok ok EINVAL EINVAL ENOMEM",
      pages: ".. .. .. AA AA .. .. .. FF .. FF .. __",
      flags: NOTHING
    })
  })

  it("HWPOISON is advice that this machine does not know, holes included [L-MADV-M-HWPOISON]", () => {
    expect(give(100)).toEqual({ answers: `${NEVER} EINVAL`, pages: AS_BEFORE, flags: NOTHING })
  })

  it("SOFT_OFFLINE is advice that this machine does not know, holes included [L-MADV-M-SOFT_OFFLINE]", () => {
    expect(give(101)).toEqual({ answers: `${NEVER} EINVAL`, pages: AS_BEFORE, flags: NOTHING })
  })
})

describe("kinds that the table leaves out", () => {
  const KNOWN = Object.values(MADV)
  /** The answers to every advice by memory that `make` makes at a0+2 of a process of its own. */
  const answersOf = (make: (p: Proc) => void): readonly string[] =>
    KNOWN.map((advice) => {
      const p = world()
      make(p)
      return p.madvise("a0+2", advice)
    })
  const anon = (p: Proc): unknown => p.mmap("a0+2", RW)

  it("answer as their like do: a stack, what is sealed and writable, a file that is sealed", () => {
    const plain = answersOf(anon)
    expect(answersOf((p) => p.mmap("a0+2", RW, ANON | MAP.GROWSDOWN))).toEqual(plain)
    expect(answersOf((p) => [anon(p), p.mseal("a0+2")])).toEqual(plain)
    for (const type of [MAP.PRIVATE, MAP.SHARED]) {
      const file = (p: Proc): unknown => p.mmap("a0+2", RO, type, p.memfd(2))
      expect(answersOf((p) => [file(p), p.mseal("a0+2")])).toEqual(answersOf(file))
    }
  })

  it("answer as anonymous memory does, the private zero device but for its having a file", () => {
    const plain = answersOf(anon)
    const zero = answersOf((p) => p.mmap("a0+2", RW, MAP.PRIVATE, p.special(FILE_ZERO)))
    const differ = KNOWN.filter((_, i) => zero[i] !== plain[i])
    expect(differ).toEqual([MADV.REMOVE, MADV.WIPEONFORK])
    expect(differ.map((advice) => zero[KNOWN.indexOf(advice)])).toEqual(["EACCES", "EINVAL"])
  })
})
