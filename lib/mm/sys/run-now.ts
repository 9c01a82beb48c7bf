/** The synchronous driver of verbs: what must truly wait is a visible outcome. Floor 6. */
import { EINTR, EIO, OK } from "../../flags/Errno.ts"
import { vmBugOn } from "../base/debug.ts"
import {
  heldOf,
  hookNames,
  isHeld,
  KILLABLE,
  kindOf,
  NEED_HOOK,
  NEED_LOCK,
  NEED_PAGE,
  PREEMPT,
  type StopName,
  stopNames,
  subOf,
  type Verb
} from "../base/stop.ts"
import type { Kernel } from "../kernel.ts"
import { readNow } from "../object/filemap.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../store/runs.ts"

/** A verb that would have to wait. `undone`: it took back what Linux would. Else it is parked, past the point of no
 * return, with its locks held: go on with `resume` once somebody let it.
 */
export interface WouldWait<out W extends StopName> {
  readonly _tag: "WOULD_WAIT"
  readonly stop: W
  readonly undone: boolean
  readonly resume: () => unknown
}

/** A verb whose only stops are marks gives its plain result; any other shows what it may have to wait for. */
export type RunNow<W extends StopName, A> =
  | A
  | ([Exclude<W, "PREEMPT">] extends [never] ? never : WouldWait<Exclude<W, "PREEMPT">>)

/** Answers hooks in place: reply (>= 0 or errno), or undefined to wait. `vma` and `ops` are rows, `vpn` the page asked about. */
export type SyncHook = (hook: number, vma: number, ops: number, vpn: number) => number | undefined

/** Drives a verb until it ends or must wait. Pages are read from their backing on the spot.
 * @param hook - answers drivers' hooks; without one every hook agrees
 */
export function runNow<W extends StopName, A>(
  k: Kernel,
  make: () => Verb<W, A>,
  hook: SyncHook = () => OK
): RunNow<W, A> {
  const before = k.runs.current
  const r = k.runs.alloc(before)
  k.runs.current = r
  const g = make()
  const end = (): void => {
    k.runs.release(r)
    k.runs.current = before
    k.runs.flush()
  }
  const step = (f: () => IteratorResult<number, A>): IteratorResult<number, A> => {
    k.runs.current = r
    try {
      return f()
    } catch (bug) {
      k.runs.held[r] = 0
      k.runs.current = before
      throw bug
    }
  }
  let t = step(() => g.next())
  const loop = (): A | WouldWait<StopName> => {
    while (t.done !== true) {
      const s = t.value
      const reply = perform(k, r, s, hook)
      if (reply === undefined) {
        // INVARIANT: kindOf is one of the kinds that stopNames lists.
        const stop = stopNames[kindOf(s)] as StopName
        if ((s & KILLABLE) === 0) {
          k.runs.current = before
          return { _tag: "WOULD_WAIT", stop, undone: false, resume: loop }
        }
        k.runs.withdraw(r, s)
        // INVARIANT: the value given to return() is the verb's result, which nobody sees.
        const x = step(() => g.return(EINTR as A))
        if (x.done !== true) vmBugOn("a finally block stops")
        end()
        return { _tag: "WOULD_WAIT", stop, undone: true, resume: () => undefined }
      }
      k.runs.state[r] = RUN_RUNNING
      t = step(() => g.next(reply))
    }
    end()
    return t.value
  }
  // INVARIANT: a WOULD_WAIT's stop is one that the verb yields, so it is in W.
  return loop() as RunNow<W, A>
}

function perform(k: Kernel, r: number, s: number, hook: SyncHook): number | undefined {
  const a = k.runs.a[r]!
  const b = k.runs.b[r]!
  const at = k.runs.at[r]!
  switch (kindOf(s)) {
    case PREEMPT:
      return OK
    case NEED_HOOK: {
      const sub = subOf(s)
      if (!isHeld(heldOf(s), sub)) vmBugOn(`hook ${hookNames[sub]} is called without its lock`)
      return hook(sub, a, b, at)
    }
    case NEED_PAGE: {
      const read = readNow(k, a, b)
      if (k.runs.state[r] === RUN_WOKEN) return k.runs.reply[r]!
      return read < 0 ? EIO : undefined
    }
    case NEED_LOCK:
      k.runs.assertNotOurs(r)
      return k.runs.state[r] === RUN_WOKEN ? OK : undefined
    default:
      return k.runs.state[r] === RUN_WOKEN ? k.runs.reply[r]! : undefined
  }
}
