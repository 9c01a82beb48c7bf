/** The core's verbs against each other: in every order with at most two pre-emptions the machine's invariants hold after
 * each step, nobody waits for ever, and nothing is left. Kills fall at every killable stop.
 */
import { describe, expect } from "vitest"
import { EBUSY, OK } from "../../lib/flags/Errno.ts"
import { FAULT_MAPERR, FAULT_OK, FAULT_SIGBUS, READ } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import * as PROT from "../../lib/flags/ProtFlags.ts"
import { PRESENT, WRITE } from "../../lib/flags/PteFlags.ts"
import { holdVma, letVmaGo } from "../../lib/mm/area/lookup.ts"
import { mmgetNotZero } from "../../lib/mm/area/mm.ts"
import { H_FAULT, H_PAGE_MKWRITE } from "../../lib/mm/base/stop.ts"
import { vmInsertPage } from "../../lib/mm/page/insert.ts"
import { bitsAt } from "../../lib/mm/page/walk.ts"
import { zapPageRangeSingle } from "../../lib/mm/page/zap.ts"
import { VMA_ATTACHED } from "../../lib/mm/store/vmas.ts"
import { exit, fork, mmput, mmputAsync } from "../../lib/mm/sys/process.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import {
  anonymous,
  anyAnswer,
  closeAndUnlink,
  deviceWorld,
  EVERY,
  faultAt,
  fileWorld,
  FIRST,
  forkCall,
  LIFE,
  loadNow,
  map,
  PAGES,
  passes,
  PRIVATE,
  protect,
  RW,
  SHARED,
  store,
  truncate,
  unmap,
  verb,
  type World
} from "./explore-support.ts"

const GROWS = PRIVATE | MAP.ANONYMOUS | MAP.GROWSDOWN

describe("one address space", () => {
  passes("munmap against faults: a page is there or the fault is refused", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({ A: [unmap(w, 1, 2)], B: [faultAt(w, 2), faultAt(w, 1)] }),
    kills: 1,
    end: ({ k, mm }, { A, B }) => {
      expect([[], [FAULT_OK], [FAULT_MAPERR]].flat()).toEqual(expect.arrayContaining([...B!]))
      if (A![0] === OK) expect(bitsAt(k, mm, FIRST + 1) & PRESENT).toBe(0)
    }
  })
  passes("munmap against two faulting tasks", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({ A: [unmap(w, 1, 2)], B: [faultAt(w, 2)], C: [faultAt(w, 1)] })
  })
  passes("munmap against munmap: overlapping ranges go, both succeed", {
    boot: () => anonymous(4, [0, 1, 2, 3]),
    tasks: (w) => ({ A: [unmap(w, 0, 3)], B: [unmap(w, 1, 3)] }),
    end: ({ k, mm }, { A, B }) => {
      expect([A, B]).toEqual([[OK], [OK]])
      expect(k.maple.size(mm)).toBe(0)
    }
  })
  passes("munmap against munmap, one of them killed", {
    boot: () => anonymous(4, [0, 1, 2, 3]),
    tasks: (w) => ({ A: [unmap(w, 0, 3)], B: [unmap(w, 1, 3)] }),
    kills: 1
  })
  passes("mprotect against faults: no writable entry under a read-only area", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({ A: [protect(w, 1, 2, PROT.READ)], B: [faultAt(w, 2), faultAt(w, 1)] }),
    kills: 1,
    end: ({ k, mm }, { A }) => {
      if (A![0] === OK) for (const page of [1, 2]) expect(bitsAt(k, mm, FIRST + page) & WRITE).toBe(0)
    }
  })
  passes("mprotect that splits, then merges, against faults", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({
      A: [protect(w, 1, 2, PROT.READ), protect(w, 0, 4, PROT.READ | PROT.WRITE)],
      B: [faultAt(w, 2), faultAt(w, 1)]
    })
  })
  passes("stack growth against mmap below it: they never overlap", {
    boot: () => anonymous(2, [0], GROWS),
    tasks: (w) => ({ A: [faultAt(w, -1), faultAt(w, -3)], B: [map(w, -258, 2)] }),
    kills: 1
  })
  passes("two stack growths at once", {
    boot: () => anonymous(2, [0], GROWS),
    tasks: (w) => ({ A: [faultAt(w, -3)], B: [faultAt(w, -1)] }),
    end: (_, { A, B }) => expect([A, B]).toEqual([[FAULT_OK], [FAULT_OK]])
  })
  passes("mmap over what is mapped, against faults", {
    boot: () => anonymous(4, [0, 1, 2, 3]),
    tasks: (w) => ({ A: [map(w, 1, 2)], B: [faultAt(w, 2), faultAt(w, 1)] }),
    kills: 1
  })
})

describe("two address spaces", () => {
  passes("fork against faults of the parent", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({ A: [forkCall(w)], B: [faultAt(w, 2), faultAt(w, 1)] }),
    kills: 1
  })
  passes("fork against stores of the parent: the child keeps what it was forked with or saw before", {
    boot: () => anonymous(2, [0, 1]),
    tasks: (w) => ({ A: [forkCall(w)], B: [store(w, w.mm, 0, 8), store(w, w.mm, 1, 9)] }),
    end: ({ k, mm }, { A }) => {
      const child = k.tasks.mm(Number(A![0]))
      expect([loadNow(k, mm, 0), loadNow(k, mm, 1)]).toEqual([8, 9])
      const seen = [loadNow(k, child, 0), loadNow(k, child, 1)].join()
      expect(["7,7", "8,7", "8,9"]).toContain(seen)
    }
  })
  passes("fork against munmap", {
    boot: () => anonymous(4, [0, 2]),
    tasks: (w) => ({ A: [forkCall(w)], B: [unmap(w, 1, 2)] }),
    kills: 1
  })
  passes("parent and child write one page: each has its own in the end", {
    boot: () => {
      const w = anonymous(1, [0])
      const child = runNow(w.k, () => fork(w.k, w.task, "child"))
      return { ...w, child: w.k.tasks.mm(Number(child)) }
    },
    tasks: (w) => ({ A: [store(w, w.mm, 0, 8)], B: [store(w, w.child, 0, 9)] }),
    end: ({ child, k, mm }) => expect([loadNow(k, mm, 0), loadNow(k, child, 0)]).toEqual([8, 9])
  })
  for (const [name, put] of [
    ["mmput", mmput],
    ["mmput_async", undefined]
  ] as const)
    passes(`exit against a fault by somebody who took a user first, and ${name}`, {
      boot: () => anonymous(2, [0]),
      tasks: (w) => ({
        A: [
          verb("mmget, fault, mmput", function* () {
            yield w.k.runs.point()
            if (!mmgetNotZero(w.k, w.mm)) return "gone"
            const code = yield* faultAt(w, 1)[1]()
            if (put !== undefined) yield* put(w.k, w.mm)
            else mmputAsync(w.k, w.mm)
            return code
          })
        ],
        B: [verb("exit", () => exit(w.k, w.task))]
      }),
      end: ({ k }, { A }) => {
        expect([FAULT_OK, "gone"]).toContain(A![0])
        expect(k.mms.live).toBe(0)
      }
    })
})

describe("files", () => {
  for (const [kind, flags] of [
    ["shared", SHARED],
    ["private", PRIVATE]
  ] as const) {
    passes(`truncate against faults of a ${kind} mapping: nobody keeps a page beyond the end`, {
      boot: () => fileWorld(4, flags),
      tasks: (w) => ({ A: [faultAt(w, 2, READ), faultAt(w, 1)], B: [truncate(w, 1)] }),
      kills: 1,
      readsMayFail: true,
      end: (w, { A }) => {
        for (const code of A!) expect([FAULT_OK, FAULT_SIGBUS]).toContain(code)
        expect(w.k.files.cached(w.obj)).toBeLessThanOrEqual(1)
      }
    })
  }
  passes("truncate and growth against a page that is being read", {
    boot: () => fileWorld(4, SHARED),
    tasks: (w) => ({ A: [faultAt(w, 2, READ)], B: [truncate(w, 1), truncate(w, 4)] }),
    kills: 1,
    readsMayFail: true
  })
  passes("two faults wait for one read: both get the page, or both the error", {
    boot: () => fileWorld(2, SHARED),
    tasks: (w) => ({ A: [faultAt(w, 1, READ)], B: [faultAt(w, 1)] }),
    readsMayFail: true,
    kills: 1
  })
  passes("munmap against a fault that waits for its page", {
    boot: () => fileWorld(2, SHARED),
    tasks: (w) => ({ A: [faultAt(w, 1)], B: [unmap(w, 0, 2)] }),
    readsMayFail: true,
    kills: 1
  })
  passes("a file that goes with its last mapping while a page of it is read: the read ends all the same", {
    boot: () => fileWorld(2, SHARED),
    tasks: (w) => ({ A: [faultAt(w, 1)], B: [closeAndUnlink(w), unmap(w, 0, 2)] }),
    kills: 1,
    end: ({ k, obj }) => expect(k.files.objKind(obj)).toBe(0)
  })
})

describe("drivers' hooks", () => {
  passes("munmap that splits twice: open, close and may_split fail and are killed", {
    boot: () => deviceWorld(LIFE, SHARED),
    tasks: (w) => ({ A: [unmap(w, 1, 2)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("fork against munmap of a device's range", {
    boot: () => deviceWorld(LIFE, SHARED),
    tasks: (w) => ({ A: [forkCall(w)], B: [unmap(w, 1, 2)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("an mmap hook that fails, or is killed, gives back what was charged", {
    boot: () => deviceWorld([], 0),
    tasks: (w) => ({ A: [map(w, 0, 4, PRIVATE)], B: [faultAt(w, 1)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("an mprotect killed at may_split gives back what was charged", {
    boot: () => deviceWorld(EVERY, PRIVATE, PROT.READ),
    tasks: (w) => ({ A: [protect(w, 1, 2, PROT.READ | PROT.WRITE)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("two faults of one shared page: it gets no anon_vma", {
    boot: () => deviceWorld([H_FAULT], SHARED),
    tasks: (w) => ({ A: [faultAt(w, 1)], B: [faultAt(w, 1)] }),
    hooks: anyAnswer,
    kills: 1,
    end: ({ k }) => {
      for (let v = 1; v < k.vmas.limit(); v++) if (k.vmas.state(v) === VMA_ATTACHED) expect(k.vmas.anon(v)).toBe(0)
    }
  })
  passes("a private fault against mprotect", {
    boot: () => deviceWorld(PAGES, PRIVATE),
    tasks: (w) => ({ A: [faultAt(w, 1)], B: [protect(w, 1, 2, PROT.READ)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("a fault against munmap", {
    boot: () => deviceWorld([...PAGES, ...LIFE], SHARED),
    tasks: (w) => ({ A: [faultAt(w, 1)], B: [unmap(w, 0, 4)] }),
    hooks: anyAnswer,
    kills: 1
  })
  passes("page_mkwrite's answer counts for the page it was asked about, not for the one that came after", {
    boot: () => ({ ...deviceWorld(PAGES, SHARED), asked: new Set<number>(), faults: 0 }),
    tasks: (w) => ({
      A: [faultAt(w, 1)],
      B: [
        verb("zap(1)", function* () {
          const v = yield* holdVma(w.k, w.mm, FIRST + 1)
          zapPageRangeSingle(w.k, v, FIRST + 1, 1)
          letVmaGo(w.k, w.mm, v)
        }),
        faultAt(w, 1, READ)
      ]
    }),
    hooks: (w, { hook, vpn }) => {
      if (hook === H_FAULT) return w.frames[w.faults++ % 4]!
      const slot = w.k.ptes.slot(w.k.mms.pgd(w.mm), vpn)
      if (hook === H_PAGE_MKWRITE && slot >= 0) w.asked.add(w.k.ptes.pfn(slot))
      return OK
    },
    always: ({ asked, k, mm }) => {
      const slot = k.ptes.slot(k.mms.pgd(mm), FIRST + 1)
      const isWritable = slot >= 0 && (k.ptes.bits(slot) & WRITE) !== 0
      if (isWritable && !asked.has(k.ptes.pfn(slot))) throw new Error("writable, and its owner was never asked")
    }
  })
  passes("vm_insert_page of one page by two tasks: one is told EBUSY", {
    boot: () => deviceWorld([], SHARED, RW, true),
    tasks: (w: World) => {
      const insert = (frame: number) =>
        verb("insert(1)", function* () {
          const v = yield* holdVma(w.k, w.mm, FIRST + 1)
          if (v === 0) return "unmapped"
          const r = vmInsertPage(w.k, v, FIRST + 1, w.frames[frame]!)
          letVmaGo(w.k, w.mm, v)
          return r
        })
      return { A: [insert(0)], B: [insert(1)], C: [unmap(w, 0, 2)] }
    },
    end: (_, { A, B }) => {
      const both = [A![0], B![0]]
      expect(both.filter((r) => r === OK).length).toBeLessThanOrEqual(1)
      for (const r of both) expect([OK, EBUSY, "unmapped"]).toContain(r)
    }
  })
})
