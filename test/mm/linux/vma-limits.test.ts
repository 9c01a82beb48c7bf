/** The number of areas at its limit, and calls that fail halfway. Here the limit is 20; test/mm/area/merge.test.ts has more. */
import * as MREMAP from "../../../lib/flags/MremapFlags.ts"
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { FILE_DIR } from "../../../lib/mm/store/files.ts"
import { RLIMIT_AS } from "../../../lib/mm/store/tasks.ts"
import { ANON, NONE, RO, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

const LIM = 20

/** A process with so many areas: a0+4, and single pages from a100 on. */
function crowd(count: number): Proc {
  const p = world("aaaa", { maxMapCount: LIM })
  for (let i = 0; i < count - 1; i++) p.mmap(`a${100 + 2 * i}`, NONE)
  expect(p.k.maple.size(p.mm)).toBe(count)
  return p
}

describe("at the limit", () => {
  it("every call that would split answers ENOMEM, madvise EAGAIN; a whole area changes [L-VMA-29]", () => {
    const p = crowd(LIM)
    expect(p.mprotect("a0", RO)).toBe("ENOMEM")
    expect(p.mlock("a0")).toBe("ENOMEM")
    expect(p.mseal("a0")).toBe("ENOMEM")
    expect(p.madvise("a0", MADV.DONTDUMP)).toBe("EAGAIN")
    expect(p.draw(4)).toBe("aaaa")
    expect(p.mlock("a0+4")).toBe("ok")
    expect(p.madvise("a0+4", MADV.DONTDUMP)).toBe("ok")
    expect(p.mprotect("a0+4", RO)).toBe("ok")
    expect(p.mseal("a0+4")).toBe("ok")
    expect(p.areas()[0]).toBe("a0+4 r--p lo dd sl")
  })

  it("less one, a change inside an area fails and leaves its first split [L-VMA-28]", () => {
    const p = crowd(LIM - 1)
    expect(p.mprotect("a1", RO)).toBe("ENOMEM")
    expect(p.draw(4)).toBe("a|aaa")
    expect(p.k.maple.size(p.mm)).toBe(LIM)
  })

  it("mremap moves nothing: it wants two more and three to spare, to a named place two more than that [L-VMA-32]", () => {
    const room = (count: number): string => {
      const p = crowd(count)
      p.mmap("a4", NONE)
      p.munmap("a100")
      const fixed = p.mremap("a0+4", "a50+4")
      if (fixed !== "ENOMEM") p.mremap("a50+4", "a0+4")
      const kept = p.mremap("a0+4", "a60+4", MREMAP.MAYMOVE | MREMAP.DONTUNMAP)
      if (kept !== "ENOMEM") p.munmap("a60+4")
      const moved = p.mremap("a0+4", 5, MREMAP.MAYMOVE)
      return [fixed, kept, moved].map((answer) => (answer === "ENOMEM" ? "no" : "yes")).join(" ")
    }
    // count + 2 < LIM - 3, and count < LIM - 3
    expect(room(LIM - 6)).toBe("yes yes yes")
    expect(room(LIM - 5)).toBe("no no yes")
    expect(room(LIM - 4)).toBe("no no yes")
    expect(room(LIM - 3)).toBe("no no no")
  })

  it("mremap grows in place, and shrinks as munmap does [L-VMA-32]", () => {
    const p = crowd(LIM)
    expect(p.mremap("a0+4", 6)).toBe("a0")
    expect(p.mremap("a0+4", 2), "the rest of the range is inside the area: two splits").toBe("ENOMEM")
    expect(p.mremap("a0+6", 2), "one").toBe("a0")
    expect(p.draw(6)).toBe("aa....")
  })
})

describe("MAP_FIXED that fails", () => {
  it("at RLIMIT_AS, after gathering, leaves the first old area split, its contents intact [L-VMA-33]", () => {
    const p = world("aaaaaaaaaaaaaaaa")
    p.write("a0+16")
    p.limit(RLIMIT_AS, 16)
    expect(p.mmap("a8+16", RW)).toBe("ENOMEM")
    expect(p.draw()).toBe("aaaaaaaa|aaaaaaaa")
    expect(p.read("a7+2")).toBe("108 109")
    expect(p.counts()).toBe("total 16 data 16")
  })

  it("before that changes nothing at all [L-VMA-35]", () => {
    const p = world("aaaa")
    p.write("a0+4")
    expect(p.mmap("a1+2", RO, MAP.PRIVATE, p.special(FILE_DIR))).toBe("ENODEV")
    expect(p.mmap("a1+2", RO, MAP.PRIVATE, 99)).toBe("EBADF")
    expect(p.mmap("a1+2", RO, MAP.ANONYMOUS)).toBe("EINVAL")
    expect(p.mmap("a1+2", RO, ANON | MAP.FIXED_NOREPLACE)).toBe("EEXIST")
    expect(p.draw()).toBe("aaaa")
    expect(p.pages("a0+4")).toBe("AAAA")
  })
})
