/** The first driver of core verbs: a verb as an Effect. Fast, one synchronous turn; slow, each stop is performed and the
 * verb goes on. Floor 8, internal.
 *
 * - The generator starts *inside* the mask: one op later the fiber may be made to yield and be interrupted there, with
 *   the verb's locks in nobody's hands.
 * - Looking and registering are one op (`parked`), or a wake-up is lost between them.
 * - Interruption is `withdraw`, then `return()`, and only at killable stops.
 */
import { Cause, Effect, Exit, Fiber, Scope } from "effect"
import { EIO, OK } from "../flags/Errno.ts"
import { closeFile } from "../mm/area/object.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import {
  EHOOK,
  ELATE,
  H_CLOSE,
  H_MSYNC,
  H_OPEN,
  heldName,
  heldOf,
  hookNames,
  hookWants,
  isHeld,
  KILLABLE,
  kindOf,
  NEED_HOOK,
  NEED_LOCK,
  NEED_PAGE,
  PREEMPT,
  type Stop,
  type StopName,
  subOf,
  type Verb
} from "../mm/base/stop.ts"
import { FILE_UFFD } from "../mm/store/files.ts"
import { drainMmput } from "../mm/sys/process.ts"
import { releaseFile } from "../mm/sys/userfaultfd.ts"
import { addrOf, PAGE_SIZE } from "../mm/base/units.ts"
import { readClaim, readDone, readNow, readTarget } from "../mm/object/filemap.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../mm/store/runs.ts"
import { isFail } from "./Fail.ts"
import { causeOf, neverRead } from "./raw.ts"
import {
  announced,
  type Driver,
  fileHook,
  flush,
  Guard,
  type HookCall,
  Inside,
  type Span,
  type World
} from "./world.ts"

/** Restores the interruptibility of the caller. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
type Turn<W extends StopName, A> = IteratorResult<Stop<W>, A>

/** Runs a verb for process `task` (0: none) and hands its result to `done`, still masked: what must be freed when the
 * caller is gone by then is owned there.
 */
export const door = <W extends StopName, A, B, E, R>(
  w: World,
  task: number,
  verb: () => Verb<W, A>,
  done: (a: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, E, R> =>
  Effect.uninterruptibleMask((restore) => {
    const runs = w.k.runs
    const r = runs.alloc(0)
    runs.task[r] = task
    runs.current = r
    const g = verb()
    if (w.at === undefined) {
      const t = g.next()
      if (runs.wokenN !== 0) flush(w)
      if (t.done === true) {
        runs.release(r)
        return w.k.released.length === 0 ? done(t.value) : Effect.andThen(releaseFiles(w), done(t.value))
      }
      return whole(w, r, g, t, restore, done)
    }
    return whole(w, r, g, undefined, restore, done)
  })

/** The slow way through the door: finds the verb's place below the hook that called it, and ends its row. */
const whole = <W extends StopName, A, B, E, R>(
  w: World,
  r: number,
  g: Verb<W, A>,
  first: Turn<W, A> | undefined,
  restore: Restore,
  done: (a: A) => Effect.Effect<B, E, R>
): Effect.Effect<B, E, R> => {
  w.calls[r] = Fiber.getCurrent()
  return Effect.flatMap(Inside, (above) => {
    w.k.runs.parent[r] = above?.live === true ? above.run : 0
    return Effect.matchCauseEffect(drive(w, r, g, first, restore), {
      onFailure: (cause) => {
        endRow(w, r)
        return Effect.andThen(releaseFiles(w), Effect.andThen(tearDownLater(w), Effect.failCause(cause)))
      },
      onSuccess: (a) => {
        const stashed = w.stash[r]
        endRow(w, r)
        const end: Effect.Effect<B, E, R> = stashed === undefined ? done(a) : Effect.failCause(causeOf<E>(stashed))
        return w.k.released.length === 0 ? end : Effect.andThen(releaseFiles(w), end)
      }
    })
  })
}

const endRow = (w: World, r: number): void => {
  w.stash[r] = undefined
  w.calls[r] = undefined
  w.k.runs.release(r)
  const over = w.over[r]
  w.over[r] = undefined
  over?.()
}

/** Drives a verb on row `r` to its end; the row stays. A hook's own failure is left in `w.stash[r]`.
 * @param first - the verb's first stop, if it has begun already
 */
export const drive = <W extends StopName, A>(
  w: World,
  r: number,
  g: Verb<W, A>,
  first: Turn<W, A> | undefined,
  restore: Restore
): Effect.Effect<A> => Effect.suspend(() => goOn(w, r, g, first ?? step(w, r, () => g.next(OK)), restore))

/** Performs the stop that a verb has come to, and goes on with it. No Effect generator: that costs 1.3 us a stop. */
const goOn = <W extends StopName, A>(
  w: World,
  r: number,
  g: Verb<W, A>,
  t: Turn<W, A>,
  restore: Restore
): Effect.Effect<A> => {
  if (t.done === true) return Effect.succeed(t.value)
  const s: number = t.value
  const performed = perform(w, r, s)
  return Effect.matchCauseEffect((s & KILLABLE) !== 0 ? restore(performed) : performed, {
    onFailure: (cause) => {
      withdraw(w, r, s, g)
      return Effect.failCause(cause)
    },
    onSuccess: (answer) => {
      w.k.runs.state[r] = RUN_RUNNING
      const reply = w.pending[r]?.isLate() === true ? ELATE : answer
      const next = step(w, r, () => g.next(reply))
      settleHook(w, r)
      return goOn(w, r, g, next, restore)
    }
  })
}

/** Interrupted, or a bug of ours: first the ticket, then the verb's own `finally`. */
function withdraw<W extends StopName, A>(w: World, r: number, s: number, g: Verb<W, A>): void {
  w.k.runs.withdraw(r, s)
  w.waiting[r] = undefined
  // The value is never looked at: the verb is over.
  const end = step(w, r, () => g.return(neverRead()))
  if (end.done !== true) vmBugOn("a finally block may not stop")
  settleHook(w, r)
}

/** A hook's answer has been used: its question is over, and its page, mapped by now or not wanted, is let go of. */
function settleHook(w: World, r: number): void {
  w.pending[r] = undefined
  const frame = w.pinned[r]
  if (frame === undefined) return
  w.pinned[r] = undefined
  w.k.frames.put(frame)
}

/** Runs the verb up to its next stop. The row is current, and whoever it woke is resumed. */
function step<T>(w: World, r: number, next: () => T): T {
  w.k.runs.current = r
  try {
    return next()
  } finally {
    if (w.k.runs.wokenN !== 0) flush(w)
  }
}

/** Performs one stop; the answer is the reply. */
const perform = (w: World, r: number, s: number): Effect.Effect<number> => {
  // Operands are read at once: a hook's own verbs never see them, nor does the verb after the stop.
  const runs = w.k.runs
  const a = runs.a[r]!
  const b = runs.b[r]!
  const at = runs.at[r]!
  const { range } = w.k
  const span: Span = [range[0]!, range[1]!, range[2]!, range[3]!]
  const go = Effect.suspend((): Effect.Effect<number> => {
    switch (kindOf(s)) {
      case NEED_HOOK:
        return subOf(s) === H_MSYNC ? syncFile(w, a, span) : callHook(w, r, s, a, b, at, span)
      case PREEMPT:
        return Effect.succeed(OK)
      case NEED_LOCK:
        runs.assertNotOurs(r)
        return parked(w, r)
      case NEED_PAGE:
        readPage(w, a, b)
        return parked(w, r)
      default:
        return parked(w, r)
    }
  })
  return w.at === undefined ? go : Effect.andThen(w.at(r, s), go)
}

/** Waits until row `r` is woken; answers what it was woken with. Looks and registers in one op. */
const parked = (w: World, r: number): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const { state, reply } = w.k.runs
    const wake = (): void => resume(Effect.succeed(reply[r]!))
    if (state[r] === RUN_WOKEN) return wake()
    w.resume[r] = wake
    w.waiting[r] = Fiber.getCurrent()
  })

/** Reads page `pgoff` of object `o` unless somebody does already. A read belongs to the page: a slow one has a fiber of
 * its own, so no faulter's end can end it, and its errors are errno for every waiter.
 */
function readPage(w: World, o: number, pgoff: number): void {
  const slow = w.readers.get(o)
  if (slow === undefined) {
    readNow(w.k, o, pgoff)
    flush(w)
    return
  }
  if (!readClaim(w.k, o, pgoff)) return flush(w)
  const end = (errno: number): void => {
    readDone(w.k, o, pgoff, errno)
    flush(w)
  }
  const read = Effect.matchCause(slow(pgoff), {
    onFailure: (cause) => end(errnoOf(cause) === EHOOK ? EIO : errnoOf(cause)),
    onSuccess: (bytes) => {
      readTarget(w.k, o, pgoff).set(bytes.subarray(0, PAGE_SIZE))
      end(OK)
    }
  })
  Effect.runFork(read, w.scheduler === undefined ? undefined : { scheduler: w.scheduler })
}

/** Asks whoever a file belongs to, to store a range of it. No lock is held. */
const syncFile = (w: World, file: number, [first, end]: Span): Effect.Effect<number> => {
  const open = w.files.get(file)
  const sync = open?.driver.sync?.(open, first, end)
  if (sync === undefined) return Effect.succeed(OK)
  return Effect.flatMap(Effect.exit(sync), (ended) => {
    if (Exit.isSuccess(ended)) return Effect.succeed(OK)
    if (Cause.hasInterrupts(ended.cause)) return Effect.failCause(causeOf<never>(ended.cause))
    const errno = errnoOf(ended.cause)
    return Effect.succeed(errno === EHOOK ? EIO : errno)
  })
}

/** Runs a driver's hook in the caller's fiber, with the locks of the verb that stopped. */
const callHook = (
  w: World,
  r: number,
  s: number,
  vma: number,
  ops: number,
  vpn: number,
  span: Span
): Effect.Effect<number> => {
  const hook = subOf(s)
  const held = heldOf(s)
  if (held !== w.k.runs.held[r] || !isHeld(held, hook)) {
    vmBugOn(
      `hook ${hookNames[hook]} wants ${heldName(hookWants[hook]!)}, run ${r} holds ${heldName(w.k.runs.held[r]!)}`
    )
  }
  const driver = w.drivers[ops]
  const open = w.files.get(w.k.vmas.file(vma))
  if (driver === undefined || open === undefined) return vmBugOn(`area ${vma} has hooks but no driver`)
  return Effect.flatMap(Inside, (above) => {
    const guard = new Guard(w, r, above?.live === true ? above : undefined)
    const call = Effect.suspend(() => driver.call(hook, open, guard, vma, vpn, span))
    const body = Effect.provideService(
      announced(w, () => callOf(w, driver, hook, r, vma), call),
      Inside,
      guard
    )
    const whole = Effect.onExit(body, () => {
      guard.live = false
      return Effect.void
    })
    return Effect.flatMap(Effect.exit(whole), (ended) => {
      if (Exit.isSuccess(ended)) return Effect.succeed(typeof ended.value === "number" ? ended.value : OK)
      const cause = ended.cause
      if (Cause.hasInterrupts(cause) && (s & KILLABLE) !== 0) return Effect.failCause(causeOf<never>(cause))
      const errno = errnoOf(cause)
      if (errno === EHOOK) w.stash[r] ??= cause // the core undoes as for any errno; the caller gets the hook's own failure
      return Effect.succeed(errno)
    })
  })
}

/** What `onHook` is told of a hook of an area. */
function callOf(w: World, driver: Driver, hook: number, r: number, vma: number): HookCall {
  const { runs, tasks, vmas } = w.k
  const pid = runs.task[r]!
  const name = hookNames[hook]!
  return {
    device: driver.name,
    hook: hook === H_OPEN || hook === H_CLOSE ? `vma ${name}` : name,
    locks: heldName(runs.held[r]!),
    pid,
    process: pid === 0 ? "kernel" : tasks.names[pid]!,
    vma: { start: addrOf(vmas.startOf(vma)), end: addrOf(vmas.endOf(vma)) }
  }
}

/** The errno that a hook failed with; EHOOK for an error of its own and for a defect. */
function errnoOf(cause: Cause.Cause<unknown>): number {
  if (cause.reasons.length !== 1) return EHOOK
  const reason = cause.reasons[0]!
  return Cause.isFailReason(reason) && isFail(reason.error) ? -reason.error.errno : EHOOK
}

/** Runs the releases of files whose last holder went while locks were held (task_work): first the driver's `release`,
 * then what was acquired for the file, then the file itself goes.
 */
export const releaseFiles = (w: World): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => w.k.released.length !== 0,
    body: () => {
      const f = w.k.released.shift()!
      const open = w.files.get(f)
      w.files.delete(f)
      const end: Effect.Effect<void> =
        w.k.files.kind(f) === FILE_UFFD
          ? door(
              w,
              0,
              () => releaseFile(w.k, f),
              () => Effect.void
            )
          : Effect.sync(() => closeFile(w.k, f))
      if (open === undefined) return end
      return Effect.onExit(
        announced(
          w,
          () => fileHook(open.driver.name, "release", 0, "kernel"),
          Effect.suspend(() => open.driver.release(open))
        ),
        (exit) => Effect.andThen(Scope.close(open.scope, exit), end)
      )
    },
    step: () => {}
  })

/** Leaves address spaces whose last user went to a worker. */
export const tearDownLater = (w: World): Effect.Effect<void> =>
  Effect.suspend(() => (w.k.deferredMmput.length === 0 ? Effect.void : Effect.asVoid(worker(teardown(w)))))

const teardown = (w: World): Effect.Effect<void> => Effect.asVoid(door(w, 0, () => drainMmput(w.k), Effect.succeed))

/** Work of the kernel's own: it outlives the section that left it, so that section's locks are not its locks. */
export const worker = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkDetach(Effect.provideService(work, Inside, undefined))
