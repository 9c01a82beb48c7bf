/** Faults that a userfaultfd answers, against whoever answers them: nobody waits for ever, whatever the order. */
import { describe, expect, it } from "vitest"
import { OK } from "../../lib/flags/Errno.ts"
import { FAULT_OK } from "../../lib/flags/FaultFlags.ts"
import { API, REGISTER_MODE_MISSING } from "../../lib/flags/UffdFlags.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { close } from "../../lib/mm/sys/fd.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { uffdCopy } from "../../lib/mm/sys/uffd-fill.ts"
import { uffdRead } from "../../lib/mm/sys/uffd-read.ts"
import { uffdRegister, uffdWake } from "../../lib/mm/sys/uffd-register.ts"
import { uffdApi, userfaultfd } from "../../lib/mm/sys/userfaultfd.ts"
import { userLoad8 } from "../../lib/mm/sys/trap.ts"
import { tell } from "../../lib/proof/explore/search.ts"
import { dfs } from "../../lib/proof/explore/strategy.ts"
import { type Call, exploreVerbs, type VerbCase } from "../../lib/proof/explore/verbs.ts"
import { anonymous, BASE, faultAt, PAGE, passes, verb, type World } from "./explore-support.ts"

/** Pages 0 and 1 are answered for; page 2 holds a 7. */
const answered = (): World => {
  const w = anonymous(3, [2])
  const fd = userfaultfd(w.k, w.task, 0)
  expect(uffdApi(w.k, w.task, fd, API, 0)).toBe(OK)
  expect(runNow(w.k, () => uffdRegister(w.k, w.task, fd, BASE, 2 * PAGE, REGISTER_MODE_MISSING))).toBe(OK)
  return { ...w, fd }
}
const read = ({ fd, k, task }: World): Call => ["read", () => uffdRead(k, task, fd, new Uint8Array(32))]
const copy = ({ fd, k, task }: World, page: number, mode = 0): Call => [
  `copy(${page})`,
  () => uffdCopy(k, task, fd, BASE + page * PAGE, BASE + 2 * PAGE, PAGE, mode)
]
/** A call of one turn, which may be pre-empted before. */
const plain = (name: string, k: Kernel, call: () => number): Call =>
  verb(name, function* () {
    yield k.runs.point()
    return call()
  })
const wake = ({ fd, k, task }: World): Call => plain("wake", k, () => uffdWake(k, task, fd, BASE, 2 * PAGE))
const closing = ({ fd, k, task }: World): Call => plain("close", k, () => close(k, task, fd))

describe("userfaultfd", () => {
  it("a fault is answered: no wakeup is lost between the look at the page and the wait [UK-FT-07]", () => {
    const scene: VerbCase<World> = {
      boot: answered,
      tasks: (w) => ({ A: [faultAt(w, 0)], B: [copy(w, 0)] }),
      end: ({ k, mm }, { A, B }) => {
        expect([A, B]).toEqual([[FAULT_OK], [OK]])
        expect(userLoad8(k, mm, BASE)).toBe(7)
      }
    }
    const outcome = exploreVerbs(scene, dfs(3))
    expect(outcome.failure === undefined ? "" : tell(outcome)).toBe("")
    expect(outcome.isComplete).toBe(true)
    expect(outcome.schedules).toBeGreaterThan(1)
  })
  passes("read, copy without waking, and wake let the faulting task go on", {
    boot: answered,
    tasks: (w) => ({ A: [faultAt(w, 0)], B: [read(w), copy(w, 0, 1), wake(w)] }),
    end: (_, { A, B }) => {
      expect([A, B]).toEqual([[FAULT_OK], [32, OK, OK]])
    }
  })
  passes(
    "two faults are read and answered by one handler",
    {
      boot: answered,
      tasks: (w) => ({ A: [faultAt(w, 0)], B: [faultAt(w, 1)], C: [read(w), read(w), copy(w, 0), copy(w, 1)] }),
      end: (_, { A, B, C }) => {
        expect([A, B, C]).toEqual([[FAULT_OK], [FAULT_OK], [32, 32, OK, OK]])
      }
    },
    1
  )
  passes("closing the descriptor lets a waiting fault go on, and it finds memory as usual", {
    boot: answered,
    tasks: (w) => ({ A: [faultAt(w, 0)], B: [closing(w)] }),
    end: (_, { A, B }) => {
      expect([A, B]).toEqual([[FAULT_OK], [OK]])
    }
  })
  passes(
    "a faulting task is killed where it waits, and its message goes with it",
    {
      boot: answered,
      tasks: (w) => ({ A: [faultAt(w, 0)], B: [copy(w, 0)], C: [wake(w)] }),
      kills: 1
    },
    1
  )
})
