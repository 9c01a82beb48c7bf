/** Reverse mapping: from a page to whoever maps it. */
import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { F_ANON, F_EXCLUSIVE } from "../../../lib/mm/store/frames.ts"
import { installFd, reopen } from "../../../lib/mm/object/file.ts"
import * as SEAL from "../../../lib/flags/SealFlags.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { FMODE_READ } from "../../../lib/mm/store/files.ts"
import { ftruncate } from "../../../lib/mm/sys/file.ts"
import { addSeals, memfdNamed } from "../../../lib/mm/sys/memfd.ts"
import { parse, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

const frameAt = (p: Proc, page: `a${number}`): number => follow(p.k, p.mm, parse(page)[0])
const anonOf = (p: Proc, page: `a${number}`): number => p.k.vmas.anon(p.area(page))
const objectOf = (p: Proc, fd: number): number => p.k.files.obj(p.k.tasks.file(p.task, fd))

/** Areas by process and place: `p a0`. */
function named(all: Readonly<Record<string, Proc>>, v: number): string {
  const [name] = Object.entries(all).find(([, one]) => one.mm === one.k.vmas.mmOf(v)) ?? ["?"]
  const k = Object.values(all)[0]!.k
  return `${name} a${k.vmas.startOf(v) - parse("a0")[0]}+${k.vmas.pages(v)}`
}
/** Whoever maps pages `[first, end)` of an object, in the order of the walk. */
function mappers(all: Readonly<Record<string, Proc>>, o: number, first: number, end: number): string[] {
  const { mappings } = Object.values(all)[0]!.k
  const out: string[] = []
  for (let v = mappings.find(o, first, end); v !== 0; v = mappings.next(v, first, end)) out.push(named(all, v))
  return out
}
/** Whoever may map pages of an anon_vma. */
function members(all: Readonly<Record<string, Proc>>, anon: number): string[] {
  const out: string[] = []
  Object.values(all)[0]!.k.anon.forEachVma(anon, (v) => out.push(named(all, v)))
  return out.sort()
}

describe("from a page of a file", () => {
  it("its mappers are found by page offset, from their first moment to their last [L-RMAP-01]", () => {
    const p = world()
    const fd = p.memfd(8)
    const o = objectOf(p, fd)
    const who = (first: number, end = first + 1): string[] => mappers({ p }, o, first, end).toSorted()
    expect(who(0, 8)).toEqual([])
    p.mmap("a0+4", RW, MAP.SHARED, fd)
    p.mmap("a10+4", RO, MAP.PRIVATE, fd, 2)
    expect([who(1), who(3), who(5), who(6)], "touched or not").toEqual([
      ["p a0+4"],
      ["p a0+4", "p a10+4"],
      ["p a10+4"],
      []
    ])
    p.mprotect("a1", RO)
    expect([who(0), who(1), who(2)]).toEqual([["p a0+1"], ["p a1+1"], ["p a10+4", "p a2+2"]])
    p.mremap("a2+2", "a20+2")
    expect(who(2)).toEqual(["p a10+4", "p a20+2"])
    p.munmap("a10+2")
    expect([who(2), who(4)]).toEqual([["p a20+2"], ["p a12+2"]])
    p.munmap("a0+30")
    expect(who(0, 8)).toEqual([])
  })

  it("a child's area comes right after its parent's [L-RMAP-11]", () => {
    const p = world()
    const fd = p.memfd(4)
    p.mmap("a0+2", RW, MAP.SHARED, fd)
    p.mmap("a10+2", RW, MAP.SHARED, fd)
    const child = p.fork()
    const all = { p, child }
    const order = mappers(all, objectOf(p, fd), 0, 2)
    expect(order.toSorted()).toEqual(["child a0+2", "child a10+2", "p a0+2", "p a10+2"])
    for (const place of ["a0+2", "a10+2"])
      expect(order.indexOf(`p ${place}`)).toBeLessThan(order.indexOf(`child ${place}`))
  })

  it("those that are shared and may be written are counted: they keep F_SEAL_WRITE out, and it keeps them out [L-RMAP-02]", () => {
    const p = world()
    const fd = memfdNamed(p.k, p.task, "m", 2)
    p.sys(ftruncate, fd, 4 * 4096)
    const o = objectOf(p, fd)
    const reader = installFd(p.k, p.task, reopen(p.k, p.k.tasks.file(p.task, fd), FMODE_READ))
    const counts: number[] = []
    for (const step of [
      () => p.mmap("a0+3", RW, MAP.SHARED, fd),
      () => p.mmap("a10", RO, MAP.SHARED, fd),
      () => p.mmap("a12", RW, MAP.PRIVATE, fd),
      () => p.mmap("a14", RO, MAP.SHARED, reader),
      () => p.mprotect("a1", RO),
      () => p.fork().exit(),
      () => p.munmap("a0"),
      () => p.munmap("a1+2")
    ]) {
      step()
      counts.push(p.k.files.writable(o))
    }
    expect(counts).toEqual([1, 2, 2, 2, 4, 4, 3, 1])
    expect(p.sys(addSeals, fd, SEAL.WRITE)).toBe("EBUSY")
    p.munmap("a10")
    expect([p.sys(addSeals, fd, SEAL.WRITE), p.mmap("a0", RW, MAP.SHARED, fd)]).toEqual(["ok", "EPERM"])
    expect([p.mmap("a0", RO, MAP.SHARED, fd), p.mmap("a1", RW, MAP.PRIVATE, fd)]).toEqual(["a0", "a1"])
    expect([p.k.files.writable(o), p.flags("a0").includes("mw")], "it may never be written").toEqual([0, false])
  })

  it("its last unmapping leaves it in the cache; a private page's last one frees it [L-RMAP-09]", () => {
    const p = world("a")
    const fd = p.memfd(1)
    p.mmap("a2", RW, MAP.SHARED, fd)
    p.mmap("a4", RO, MAP.SHARED, fd)
    p.write("a0")
    p.read("a2")
    p.read("a4")
    const [own, cached] = [frameAt(p, "a0"), frameAt(p, "a2")]
    const maps = (): number[] => [p.k.frames.mapcount(own), p.k.frames.mapcount(cached)]
    expect(maps()).toEqual([1, 2])
    const child = p.fork()
    child.read("a2")
    expect(maps()).toEqual([2, 3])
    child.exit()
    p.munmap("a4")
    const free = p.k.frames.free()
    expect(maps()).toEqual([1, 1])
    p.munmap("a0+3")
    expect([maps(), p.k.frames.free() - free, p.k.frames.refcount(cached)], "the private page").toEqual([[0, 0], 1, 1])
  })
})

describe("from an anonymous page", () => {
  it("its anon_vma comes with the first write, and its index is the area's page offset, wherever that goes [L-RMAP-03, L-RMAP-07]", () => {
    const p = world("aaaa")
    p.read("a0")
    expect([anonOf(p, "a0"), p.k.anon.live]).toEqual([0, 0])
    p.write("a2")
    const anon = anonOf(p, "a0")
    const frame = frameAt(p, "a2")
    expect([p.k.frames.mapping(frame), p.k.frames.has(frame, F_ANON), p.k.anon.rootOf(anon)]).toEqual([
      anon,
      true,
      anon
    ])
    expect(p.k.frames.index(frame)).toBe(parse("a2")[0])
    p.mremap("a1+3", "a20+3")
    const v = p.area("a21")
    expect([p.k.frames.index(frame), p.k.vmas.pgoff(v), frameAt(p, "a21")]).toEqual([
      parse("a2")[0],
      parse("a1")[0],
      frame
    ])
    const found: number[] = []
    p.k.anon.forEachVma(p.k.frames.mapping(frame), (one) =>
      found.push(p.k.vmas.startOf(one) + p.k.frames.index(frame) - p.k.vmas.pgoff(one))
    )
    expect(found, "start + (index - offset); the piece that stayed does not cover it").toContain(parse("a21")[0])
  })

  it("is found through every generation, which share a root [L-RMAP-04, L-RMAP-07]", () => {
    const p = world("a")
    p.write("a0")
    const child = p.fork()
    const grandchild = child.fork()
    const all = { p, child, grandchild }
    const [first, second, third] = [p, child, grandchild].map((one) => anonOf(one, "a0"))
    expect(new Set([first, second, third]).size).toBe(3)
    expect([members(all, first!), members(all, second!), members(all, third!)]).toEqual([
      ["child a0+1", "grandchild a0+1", "p a0+1"],
      ["child a0+1", "grandchild a0+1"],
      ["grandchild a0+1"]
    ])
    const { anon } = p.k
    expect([first, second, third].map((one) => anon.rootOf(one!))).toEqual([first, first, first])
    const other = world("a")
    other.write("a0")
    expect(other.k.anon.rootOf(anonOf(other, "a0"))).toBe(anonOf(other, "a0"))
  })

  it("pieces and moved areas have all the links, a merged area the survivor's; the last one ends it [L-RMAP-05]", () => {
    const p = world("aaa")
    p.write("a0+3")
    const child = p.fork()
    const [old, own] = [anonOf(p, "a0"), anonOf(child, "a0")]
    child.mprotect("a1", RO)
    child.mremap("a2", "a20")
    const all = { p, child }
    const pieces = ["child a0+1", "child a1+1", "child a20+1"]
    expect([members(all, old), members(all, own)]).toEqual([[...pieces, "p a0+3"], pieces])
    child.mprotect("a1", RW)
    expect(members(all, own), "one again").toEqual(["child a0+2", "child a20+1"])
    child.munmap("a0+2")
    expect([members(all, old), members(all, own)]).toEqual([["child a20+1", "p a0+3"], ["child a20+1"]])
    expect(p.k.anon.live).toBe(2)
    p.munmap("a0+3")
    expect([members(all, old), p.k.anon.live], "it has a child yet").toEqual([["child a20+1"], 2])
    child.munmap("a20")
    expect([p.k.anon.live, p.k.anon.links]).toEqual([0, 0])
  })

  it("a child's area takes an ancestor's anon_vma that nobody is active in [L-RMAP-06]", () => {
    const p = world("a")
    p.write("a0")
    const child = p.fork()
    const grandchild = child.fork()
    const free = anonOf(child, "a0")
    child.exit()
    expect(p.k.anon.activeOf(free)).toBe(0)
    const last = grandchild.fork()
    expect([anonOf(last, "a0"), p.k.anon.activeOf(free), p.k.anon.live]).toEqual([free, 1, 3])
  })

  it("a copy belongs to who made it, the original to the parent, until he is alone who has it [L-RMAP-08]", () => {
    const p = world("aa")
    p.write("a0+2")
    const child = p.fork()
    const { frames } = p.k
    child.write("a0")
    expect([frames.mapping(frameAt(child, "a0")), frames.mapping(frameAt(child, "a1"))]).toEqual([
      anonOf(child, "a0"),
      anonOf(p, "a0")
    ])
    const kept = frameAt(child, "a1")
    p.munmap("a0+2")
    child.write("a1")
    expect(
      [frameAt(child, "a1"), frames.mapping(kept), frames.has(kept, F_EXCLUSIVE)],
      "the same page, his own"
    ).toEqual([kept, anonOf(child, "a0"), true])
  })

  it("who has moved all its pages away by DONTUNMAP has no anon_vma any more; one of whom a part was moved keeps it [L-RMAP-10]", () => {
    const p = world("aa..bbb")
    p.write("a0+2")
    p.mprotect("a4+3", RW)
    p.write("a4+3")
    const flags = MREMAP.MAYMOVE | MREMAP.DONTUNMAP | MREMAP.FIXED
    const [whole, part] = [anonOf(p, "a0"), anonOf(p, "a4")]
    expect([p.mremap("a0+2", "a20+2", flags), p.mremap("a5", "a30", flags)]).toEqual(["a20", "a30"])
    expect([anonOf(p, "a0"), p.k.vmas.chain(p.area("a0")), anonOf(p, "a20")]).toEqual([0, 0, whole])
    expect([anonOf(p, "a4"), anonOf(p, "a30")]).toEqual([part, part])
    p.write("a0")
    expect([anonOf(p, "a0") === whole, p.read("a0+2"), p.read("a20+2")]).toEqual([false, "101 0", "101 102"])
  })
})
