/** Faults that a userfaultfd answers, against whoever answers them: nobody waits for ever, whatever the order. */
import { describe, expect, it } from "vitest"
import { EAGAIN, EBADF, ENOENT, ESRCH, OK } from "../../lib/flags/Errno.ts"
import { FAULT_OK } from "../../lib/flags/FaultFlags.ts"
import { ANONYMOUS } from "../../lib/flags/MapFlags.ts"
import {
  API,
  FEATURE_EVENT_FORK,
  FEATURE_EVENT_UNMAP,
  NONBLOCK,
  REGISTER_MODE_MISSING
} from "../../lib/flags/UffdFlags.ts"
import { fget } from "../../lib/mm/area/object.ts"
import type { Kernel } from "../../lib/mm/kernel.ts"
import { installFd } from "../../lib/mm/object/file.ts"
import { close } from "../../lib/mm/sys/fd.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { exit, spawn } from "../../lib/mm/sys/process.ts"
import { runNow } from "../../lib/mm/sys/run-now.ts"
import { uffdCopy } from "../../lib/mm/sys/uffd-fill.ts"
import { uffdRead } from "../../lib/mm/sys/uffd-read.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../../lib/mm/sys/uffd-register.ts"
import { uffdApi, userfaultfd } from "../../lib/mm/sys/userfaultfd.ts"
import { userLoad8, userStore8 } from "../../lib/mm/sys/trap.ts"
import { tell } from "../../lib/proof/explore/search.ts"
import { dfs } from "../../lib/proof/explore/strategy.ts"
import { type Call, exploreVerbs, type VerbCase } from "../../lib/proof/explore/verbs.ts"
import {
  anonymous,
  BASE,
  faultAt,
  forkCall,
  PAGE,
  passes,
  PRIVATE,
  RW,
  unmap,
  verb,
  type World
} from "./explore-support.ts"

/** Pages 0 and 1 are answered for; page 2 holds a 7. */
const answered = (features = 0, flags = 0): World => {
  const w = anonymous(3, [2])
  const fd = userfaultfd(w.k, w.task, flags)
  expect(uffdApi(w.k, w.task, fd, API, features)).toBe(OK)
  expect(runNow(w.k, () => uffdRegister(w.k, w.task, fd, BASE, 2 * PAGE, REGISTER_MODE_MISSING))).toBe(OK)
  return { ...w, fd }
}
/** Another process has the descriptor too, and a page that holds a 9. */
interface Handled extends World {
  readonly handler: number
  readonly theirs: number
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
      boot: () => answered(),
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
    boot: () => answered(),
    tasks: (w) => ({ A: [faultAt(w, 0)], B: [read(w), copy(w, 0, 1), wake(w)] }),
    end: (_, { A, B }) => {
      expect([A, B]).toEqual([[FAULT_OK], [32, OK, OK]])
    }
  })
  passes(
    "two faults are read and answered by one handler",
    {
      boot: () => answered(),
      tasks: (w) => ({ A: [faultAt(w, 0)], B: [faultAt(w, 1)], C: [read(w), read(w), copy(w, 0), copy(w, 1)] }),
      end: (_, { A, B, C }) => {
        expect([A, B, C]).toEqual([[FAULT_OK], [FAULT_OK], [32, 32, OK, OK]])
      }
    },
    1
  )
  passes("closing the descriptor lets a waiting fault go on, and it finds memory as usual", {
    boot: () => answered(),
    tasks: (w) => ({ A: [faultAt(w, 0)], B: [closing(w)] }),
    end: (_, { A, B }) => {
      expect([A, B]).toEqual([[FAULT_OK], [OK]])
    }
  })
  passes(
    "a faulting task is killed where it waits, and its message goes with it",
    {
      boot: () => answered(),
      tasks: (w) => ({ A: [faultAt(w, 0)], B: [copy(w, 0)], C: [wake(w)] }),
      kills: 1
    },
    1
  )

  const withHandler = (features = 0, flags = 0): Handled => {
    const w = answered(features, flags)
    const handler = spawn(w.k, "handler")
    expect(runNow(w.k, () => mmap(w.k, handler, BASE, PAGE, RW, PRIVATE | ANONYMOUS, -1, 0))).toBe(BASE)
    expect(userStore8(w.k, w.k.tasks.mm(handler), BASE, 9)).toBe(OK)
    const f = w.k.tasks.file(w.task, w.fd)
    fget(w.k, f)
    return { ...w, handler, theirs: installFd(w.k, handler, f) }
  }
  /** The other process copies its page to page 0. */
  const answer = ({ handler, k, theirs }: Handled): Call => [
    "copy",
    () => uffdCopy(k, handler, theirs, BASE, BASE, PAGE, 0)
  ]
  const ending = ({ k, task }: World): Call => ["exit", () => exit(k, task)]
  passes("a process ends while another one copies into its memory: done, or ESRCH; the last user tears it down", {
    boot: () => withHandler(),
    tasks: (w) => ({ A: [ending(w)], B: [answer(w)] }),
    kills: 1,
    end: (_, { B }) => {
      for (const r of B ?? []) expect([OK, ESRCH]).toContain(r)
    }
  })
  const theirRead = ({ handler, k, theirs }: Handled): Call => [
    "read",
    () => uffdRead(k, handler, theirs, new Uint8Array(32))
  ]
  const theirClose = ({ handler, k, theirs }: Handled): Call => plain("close", k, () => close(k, handler, theirs))
  passes(
    "a fault waits for another process, or is killed; the process ends; the other one answers, and closes its descriptor",
    {
      boot: () => withHandler(0, NONBLOCK),
      tasks: (w) => ({ A: [faultAt(w, 0), ending(w)], B: [theirRead(w), answer(w), theirClose(w)] }),
      kills: 1,
      end: (_, { A, B }) => {
        expect([FAULT_OK, undefined]).toContain(A?.[0])
        for (const r of B?.slice(1, 2) ?? []) expect([OK, ESRCH]).toContain(r)
      }
    }
  )
  passes("registering and unregistering race with the last close: nothing stays registered", {
    boot: () => answered(),
    tasks: (w) => ({
      A: [["register", () => uffdRegister(w.k, w.task, w.fd, BASE + 2 * PAGE, PAGE, REGISTER_MODE_MISSING)]],
      B: [["unregister", () => uffdUnregister(w.k, w.task, w.fd, BASE, PAGE)]],
      C: [closing(w)]
    }),
    end: ({ k, mm }) => {
      for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) expect(k.vmas.uffd(v)).toBe(0)
    }
  })
  passes("a fork waits until somebody has its child's descriptor", {
    boot: () => withHandler(FEATURE_EVENT_FORK),
    tasks: (w) => ({ A: [forkCall(w)], B: [theirRead(w)] }),
    end: ({ k, mm, handler }, { A, B }) => {
      expect([typeof A?.[0], B]).toEqual(["number", [32]])
      const child = k.tasks.file(handler, 1)
      expect(k.uffds.mm(k.files.private(child))).toBe(k.tasks.mm(Number(A?.[0])))
      expect(k.uffds.mm(k.files.private(k.tasks.file(handler, 0)))).toBe(mm)
    }
  })
  passes("a fork is heard of or not, or killed, and the last descriptor is closed: nothing is left of its event", {
    boot: () => {
      const w = withHandler(FEATURE_EVENT_FORK, NONBLOCK)
      expect(close(w.k, w.task, w.fd)).toBe(OK) // or the child had one
      return w
    },
    tasks: (w) => ({ A: [forkCall(w)], B: [theirRead(w), theirClose(w)] }),
    kills: 1,
    end: ({ k }, { A, B }) => {
      const child = A?.[0]
      if (typeof child !== "number") return
      const areas = k.maple.list(k.tasks.mm(child)).map((v) => k.vmas.uffd(v))
      expect(areas.some((c) => c !== 0)).toBe(B?.[0] === 32)
    }
  })
  passes("a change is announced, heard of or not, or killed: answers are EAGAIN until it is over", {
    boot: () => answered(FEATURE_EVENT_UNMAP, NONBLOCK),
    tasks: (w) => ({ A: [unmap(w, 1, 1)], B: [read(w), closing(w)], C: [copy(w, 0)] }),
    kills: 1,
    end: (_, { A, C }) => {
      expect([OK, undefined]).toContain(A?.[0])
      for (const r of C ?? []) expect([OK, EAGAIN, ENOENT, EBADF]).toContain(r)
    }
  })
})
