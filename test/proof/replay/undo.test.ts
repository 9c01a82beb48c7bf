import fc from "fast-check"
import { expect, it } from "vitest"
import { findings } from "../../../lib/mm/area/check.ts"
import { BarePlayer } from "../../../lib/proof/replay/bare/player.ts"
import { eventsOf, linesOf, map, start } from "./strace-support.ts"

const ARENA = 0x7ffff7fa0000
const HEAP = 0x555555560000

const hex = (n: number): string => `0x${n.toString(16)}`

/** Calls of all kinds; what they answer here is often wrong, and taken over or not. */
const line = fc
  .record({
    kind: fc.nat(15),
    page: fc.nat(12),
    pages: fc.integer({ min: 1, max: 5 }),
    to: fc.nat(40),
    prot: fc.constantFrom("PROT_NONE", "PROT_READ", "PROT_READ|PROT_WRITE"),
    pid: fc.constantFrom(1, 2)
  })
  .map(({ kind, page, pages, pid, prot, to }): string => {
    const at = hex(ARENA + page * 4096)
    const there = hex(ARENA + to * 4096)
    const bytes = pages * 4096
    const calls = [
      `mmap(NULL, ${bytes}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${there}`,
      `mmap(NULL, ${bytes}, ${prot}, MAP_SHARED|MAP_ANONYMOUS, -1, 0) = ${there}`,
      `mmap(NULL, ${bytes}, PROT_READ, MAP_SHARED, 3, 0) = ${there}`,
      `mmap(${at}, ${bytes}, ${prot}, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = ${at}`,
      `mmap(${at}, ${bytes}, ${prot}, MAP_PRIVATE|MAP_FIXED, 3, 0x1000) = ${at}`,
      `mmap(${at}, ${bytes}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = ${at}`,
      `munmap(${at}, ${bytes}) = 0`,
      `mprotect(${at}, ${bytes}, ${prot}) = 0`,
      `mremap(${at}, 4096, ${bytes}, MREMAP_MAYMOVE) = ${there}`,
      `mremap(${at}, ${bytes}, ${bytes}, MREMAP_MAYMOVE|MREMAP_FIXED, ${there}) = ${there}`,
      `mremap(${at}, ${bytes}, ${bytes}, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = ${there}`,
      `madvise(${at}, ${bytes}, ${pages % 2 === 0 ? "MADV_DONTFORK" : "MADV_RANDOM"}) = 0`,
      `mlock(${at}, ${bytes}) = 0`,
      `munlock(${at}, ${bytes}) = 0`,
      `brk(${hex(HEAP + to * 1000)}) = ${hex(HEAP + to * 1000)}`,
      `mseal(${at}, ${bytes}, 0) = 0`
    ]
    return `${pid}  ${calls[kind]!}`
  })

const begin = [
  ...linesOf(start),
  '1  openat(AT_FDCWD, "/f", O_RDWR) = 3',
  "1  clone(child_stack=0x1, flags=CLONE_VM|CLONE_FILES|CLONE_THREAD) = 2",
  map(20, hex(0x7ffff7fac000))
]

/** Everything that is known of the address space. */
function dumpOf({ state }: BarePlayer): object {
  const { k } = state.world
  const { space } = state.processOf(1)
  const areas = k.maple.list(space.mm).map((v) => ({
    start: k.vmas.startOf(v),
    end: k.vmas.endOf(v),
    lo: k.vmas.flags(v),
    hi: k.vmas.flagsHi(v),
    pgoff: k.vmas.pgoff(v),
    file: k.files.names[k.vmas.file(v)],
    ops: k.vmas.ops(v)
  }))
  const fields = k.mms.d.length / k.mms.max
  return {
    areas,
    stats: [...k.mms.d.subarray(space.mm * fields, (space.mm + 1) * fields)],
    facts: state.factsOf(space),
    committed: k.committed,
    live: [k.vmas.live, k.maple.size(space.mm)]
  }
}

it("going back is exact: areas, statistics, what is known; also after going back to different places in turn", () => {
  fc.assert(
    fc.property(fc.array(fc.array(line, { maxLength: 6 }), { maxLength: 8 }), (rounds) => {
      const player = new BarePlayer()
      const events = eventsOf([...begin, ...rounds.flat()])
      let at = begin.length - 1 // the clone and the exec are events too: as many as lines
      for (const event of events.slice(0, at + 1)) player.perform(event)
      at++
      player.settle()
      const first = player.mark()
      const before = dumpOf(player)
      for (const round of rounds) {
        const mark = player.mark()
        const here = dumpOf(player)
        for (const event of events.slice(at, at + round.length)) player.tryOut(event)
        player.back(mark)
        const again = dumpOf(player)
        expect({ ...again, live: 0 }).toEqual({ ...here, live: 0 })
        expect(findings(player.state.world.k)).toEqual([])
        for (const event of events.slice(at, at + round.length)) player.perform(event)
        at += round.length
      }
      player.back(first)
      expect(dumpOf(player)).toEqual(before)
      player.settle()
      expect(dumpOf(player)).toEqual(before)
    }),
    { numRuns: 60 }
  )
}, 120_000)
