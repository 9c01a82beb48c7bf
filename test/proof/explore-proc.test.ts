/** Files of /proc read while the address space changes: maps area by area under each area's own lock, smaps under mmap_lock.
 *  Kills fall at every killable stop.
 */
import { describe, expect, it } from "vitest"
import * as PROT from "../../lib/flags/ProtFlags.ts"
import { COVERING_OR_NEXT_VMA } from "../../lib/flags/ProcmapFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../../lib/mm/area/mmap-lock.ts"
import { vmaStartWrite } from "../../lib/mm/area/vma-lock.ts"
import { kindOf, NEED_LOCK } from "../../lib/mm/base/stop.ts"
import { maps } from "../../lib/mm/proc/maps.ts"
import { pagemapRead } from "../../lib/mm/proc/pagemap.ts"
import { procmapQuery } from "../../lib/mm/proc/procmap-query.ts"
import { smaps, smapsRollup } from "../../lib/mm/proc/smaps.ts"
import { exit, whileUsed } from "../../lib/mm/sys/process.ts"
import { anonymous, BASE, FIRST, map, PAGE, passes, protect, RW, unmap, verb, type World } from "./explore-support.ts"

const mapsCall = ({ k, mm }: World) => verb("maps", () => maps(k, mm))
const smapsCall = ({ k, mm }: World) => verb("smaps", () => smaps(k, mm))
const rollupCall = ({ k, mm }: World) => verb("smaps_rollup", () => smapsRollup(k, mm))

/** Bounds of what a text shows, in pages of the range. */
const boundsOf = (text: unknown): (readonly [start: number, end: number])[] =>
  [...String(text).matchAll(/^([0-9a-f]+)-([0-9a-f]+) /gm)].map(
    ([, start, end]) => [(parseInt(start!, 16) - BASE) / PAGE, (parseInt(end!, 16) - BASE) / PAGE] as const
  )

/** Ends rise, so no area is shown twice, though one that has grown meanwhile may begin where it did; and what was there all
 * the time is shown.
 */
function holdsMaps(text: unknown, always: readonly number[]): void {
  const bounds = boundsOf(text)
  for (const [i, [start, end]] of bounds.entries()) {
    expect(start).toBeLessThan(end)
    if (i > 0) expect(end).toBeGreaterThan(bounds[i - 1]![1])
  }
  for (const page of always) {
    const shown = bounds.some(([start, end]) => start <= page && page < end)
    expect(shown, `page ${page} in\n${String(text)}`).toBe(true)
  }
}

/** No two areas overlap: it is one state, before or after each change. */
function holdsSmaps(text: unknown, states: readonly string[]): void {
  expect(states).toContain(
    boundsOf(text)
      .map(([start, end]) => `${start}-${end}`)
      .join(" ")
  )
}

describe("maps", () => {
  passes("while areas split and merge, every page is shown, and no area twice [L-PROC-18]", {
    boot: () => anonymous(6, [0, 1, 2, 3, 4, 5]),
    tasks: (w) => ({ A: [protect(w, 1, 2, PROT.READ), protect(w, 1, 2, RW)], B: [mapsCall(w)] }),
    end: (_, { B }) => holdsMaps(B![0], [0, 1, 2, 3, 4, 5])
  })
  passes("while an area goes and comes, the others are shown; a gap may be [L-PROC-18]", {
    boot: () => anonymous(6),
    tasks: (w) => ({ A: [unmap(w, 2, 1), map(w, 2, 1)], B: [mapsCall(w)] }),
    kills: 1,
    end: (_, { B }) => {
      if (B!.length > 0) holdsMaps(B![0], [0, 1, 3, 4, 5])
    }
  })
  passes("against two writers, and a reader that is killed", {
    boot: () => anonymous(4),
    tasks: (w) => ({ A: [protect(w, 0, 2, PROT.READ)], B: [unmap(w, 3, 1)], C: [mapsCall(w)] }),
    kills: 1,
    end: (_, { C }) => {
      if (C!.length > 0) holdsMaps(C![0], [0, 1, 2])
    }
  })
  passes("of a process that exits: all of it, or nothing, and whoever is last tears down", {
    boot: () => anonymous(3, [0, 1]),
    tasks: (w) => ({
      A: [verb("exit", () => exit(w.k, w.task))],
      B: [verb("maps", () => whileUsed(w.k, w.mm, "", () => maps(w.k, w.mm)))]
    }),
    end: (_, { B }) =>
      expect(["", "0-3"]).toContain(
        boundsOf(B![0])
          .map((b) => b.join("-"))
          .join(" ")
      )
  })
})

describe("smaps", () => {
  passes("shows one state of the address space, not a mixture [L-PROC-18]", {
    boot: () => anonymous(6, [0, 3]),
    tasks: (w) => ({ A: [protect(w, 1, 2, PROT.READ), unmap(w, 4, 1)], B: [smapsCall(w)] }),
    kills: 1,
    end: (_, { B }) => {
      if (B!.length > 0) holdsSmaps(B![0], ["0-6", "0-1 1-3 3-6", "0-1 1-3 3-4 5-6"])
    }
  })
  passes("smaps_rollup lets writers in between two areas, and counts no page twice", {
    boot: () => anonymous(6, [0, 1, 2, 3, 4, 5]),
    tasks: (w) => ({
      A: [protect(w, 2, 2, PROT.READ), protect(w, 2, 2, RW), protect(w, 0, 4, PROT.READ)],
      B: [rollupCall(w)]
    }),
    end: (_, { B }) => expect(String(B![0])).toMatch(/\nRss: +24 kB\n/)
  })
})

describe("PROCMAP_QUERY and pagemap", () => {
  passes("the area of a page that is always there is found, with bounds that it had", {
    boot: () => anonymous(4),
    tasks: (w) => ({
      A: [protect(w, 1, 2, PROT.READ), protect(w, 1, 2, RW)],
      B: [verb("query", () => procmapQuery(w.k, w.mm, COVERING_OR_NEXT_VMA, BASE + PAGE + 5, 0))]
    }),
    end: (_, { B }) => {
      const found = B![0]
      if (typeof found !== "object" || found === null) throw new Error(`found ${String(found)}`)
      const { end, start } = found as { start: number; end: number }
      expect(["0-4", "1-3"]).toContain(`${(start - BASE) / PAGE}-${(end - BASE) / PAGE}`)
    }
  })
  passes("pagemap has a page or has it not", {
    boot: () => anonymous(3, [0, 1, 2]),
    tasks: (w) => {
      const words = new BigUint64Array(3)
      return {
        A: [unmap(w, 1, 1)],
        B: [
          verb("pagemap", () => pagemapRead(w.k, w.mm, false, FIRST * 8, 24, new Uint8Array(words.buffer))),
          verb("look", function* () {
            yield w.k.runs.point()
            return [...words].map((word) => (word >> 63n === 1n ? "P" : ".")).join("")
          })
        ]
      }
    },
    end: (_, { B }) => {
      expect(B![0]).toBe(24)
      expect(["PPP", "P.P"]).toContain(B![1])
    }
  })
})

describe("while somebody writes an area", () => {
  /** A writer that has marked the second of three areas, and stays. */
  function* writer({ k, mm }: World) {
    if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
    yield* vmaStartWrite(k, k.maple.lookup(mm, FIRST + 2))
    yield k.runs.point()
    mmapUnlock(k, mm, WRITE)
    return 0
  }
  /** Runs one verb to its end, or to the first lock that it has to wait for, while the writer stays where it is. */
  function beside(w: World, reader: () => Generator<number, unknown, number>): "waits" | "ends" {
    const { runs } = w.k
    const start = (make: () => Generator<number, unknown, number>): [number, Generator<number, unknown, number>] => {
      const row = runs.alloc(0)
      runs.current = row
      return [row, make()]
    }
    const [writing, g] = start(() => writer(w))
    expect(g.next().done).toBe(false)
    const [reading, h] = start(reader)
    runs.current = reading
    const first = h.next()
    const answer = first.done === true ? "ends" : "waits"
    if (first.done !== true) expect(kindOf(first.value)).toBe(NEED_LOCK)
    runs.current = writing
    expect(g.next(0).done).toBe(true)
    runs.release(writing)
    if (first.done !== true) {
      runs.current = reading
      expect(h.next(0).done, "woken by the unlock").toBe(true)
    }
    runs.release(reading)
    runs.flush()
    return answer
  }
  const three = (): World => {
    const w = anonymous(6)
    const marked = protect(w, 2, 2, PROT.READ)[1]()
    const row = w.k.runs.alloc(0)
    w.k.runs.current = row
    expect(marked.next().done).toBe(true)
    w.k.runs.release(row)
    return w
  }

  it("maps waits for that area alone, smaps for all, a query for another area for nobody [L-PROC-18]", () => {
    const w = three()
    expect(w.k.maple.size(w.mm)).toBe(3)
    expect(beside(w, () => maps(w.k, w.mm))).toBe("waits")
    expect(beside(w, () => smaps(w.k, w.mm))).toBe("waits")
    expect(beside(w, () => procmapQuery(w.k, w.mm, 0, BASE, 0))).toBe("ends")
    expect(beside(w, () => procmapQuery(w.k, w.mm, 0, BASE + 5 * PAGE, 0))).toBe("ends")
    expect(beside(w, () => procmapQuery(w.k, w.mm, 0, BASE + 2 * PAGE, 0))).toBe("waits")
  })
})
