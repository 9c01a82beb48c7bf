/** The testing kit as users get it: a machine for each test, address spaces as pictures, invariants. Floor 9. */
import { Cause, Effect, Exit, type Scope } from "effect"
import { checkIdle as checkIdleOf, checkMm as checkMmOf } from "../../mm/area/check.ts"
import { KernelBug } from "../../mm/base/debug.ts"
import type { Kernel as Core } from "../../mm/kernel.ts"
import { nameOf } from "../../flags/Errno.ts"
import { START_STACK } from "../../mm/store/mms.ts"
import { TASK_LIVE } from "../../mm/store/tasks.ts"
import { Kernel, leaks, type Machine } from "../../vma/Kernel.ts"
import type { Markers } from "../../vma/Lockdep.ts"
import { discharged, inner, machineOf, numberOf, unitOf } from "../../vma/raw.ts"
import type { PageAligned, UserAddr } from "../../vma/Units.ts"
import { World } from "../../vma/world.ts"
import { bootTiny, endTask, HERE, spawnTask } from "./calls.ts"
import { drawAreas, drawPages as drawPagesOf, type Legend, letters, mapPicture } from "./picture.ts"

export type { Machine } from "../../vma/Kernel.ts"
export type { Attributes, Legend } from "./picture.ts"

/** Address of the first page of a picture: 0x10000000. */
export const start: PageAligned<UserAddr> = unitOf(HERE * 4096)

/** What the letters of a picture stand for unless a legend says otherwise: private anonymous memory `a` read-write,
 * `b` read-only, `c` read-execute, `n` without access; `s` shared anonymous memory.
 */
export const legend: Legend = letters

/** What a small machine is made of. */
export interface Small {
  /** Frames of 4 KiB of RAM: 64 if absent, at least 16. */
  readonly frames?: number
  /** Areas that one address space may have (sysctl vm.max_map_count): 65530 if absent. */
  readonly maxMapCount?: number
}

/** Boots a machine of 64 frames and small tables, in microseconds: one for each test. Programs run on it with
 * `Effect.provideService(program, Kernel.Kernel, machine)`. Throws RangeError for fewer than 16 frames.
 * @example
 * ```ts
 * import { boot, checkIdle, draw, map, spawn } from "pagewright/testing"
 * const k = boot()
 * const pid = spawn(k)
 * map(k, pid, "aab.c")
 * const picture = draw(k, pid) // "aab.c"
 * checkIdle(k)
 * ```
 */
export const boot = (small: Small = {}): Machine => machineOf(new World(bootTiny(small)))

const coreOf = (k: Machine): Core => inner(k, World).k

/** Address space of process `pid`. Throws where there is none. */
function mmOf(k: Core, pid: number): number {
  const isProcess = Number.isInteger(pid) && pid > 0 && pid < k.tasks.limit() && k.tasks.state(pid) === TASK_LIVE
  const mm = isProcess ? k.tasks.mm(pid) : 0
  if (mm === 0) throw new RangeError(`there is no process ${pid} on this machine`)
  return mm
}

/** Starts a process with an empty address space that no program runs in: something to map and to draw.
 * Throws when the machine has no room for one.
 * @returns its process id
 */
export const spawn = (k: Machine, name = "test"): number => spawnTask(coreOf(k), name)

/** Ends a process that `spawn` started. Throws where there is none. */
export function exit(k: Machine, pid: number): void {
  mmOf(coreOf(k), pid)
  endTask(coreOf(k), pid)
}

/** Maps a picture: one `mmap` with MAP_FIXED for each run of equal letters; `.` is left as it is, `|` parts two calls.
 * Throws with the errno of the first call that fails.
 * @param letters - what letters stand for, besides those of `legend`
 * @param at - address of the first character: `start` if absent
 */
export function map(
  k: Machine,
  pid: number,
  picture: string,
  letters: Legend = legend,
  at: PageAligned<UserAddr> = start
): void {
  const core = coreOf(k)
  mmOf(core, pid)
  const r = mapPicture(core, pid, picture, letters, numberOf(at) / 4096)
  if (r < 0) throw new Error(`picture "${picture}": mmap answers ${nameOf(r) ?? r}`)
}

/** The part of an address space that is drawn. */
export interface Window {
  /** Address of the first character. */
  readonly at: PageAligned<UserAddr>
  /** Pages. */
  readonly pages: number
}

/** Without a window: from the first area to the last one that is not the stack. */
function windowOf(k: Core, mm: number, window: Window | undefined): readonly [from: number, pages: number] {
  if (window !== undefined) return [numberOf(window.at) / 4096, window.pages]
  const top = Math.floor(k.mms.stat(mm, START_STACK) / 4096)
  const stack = top === 0 ? 0 : k.maple.lookup(mm, top)
  const first = k.maple.find(mm, 0)
  const last = stack === 0 ? k.maple.below(mm, Infinity) : k.maple.prev(mm, stack)
  return last === 0 || first === stack ? [0, 0] : [k.vmas.startOf(first), k.vmas.endOf(last) - k.vmas.startOf(first)]
}

/** Draws the areas of process `pid`, one page a character: letters `a`, `b`, ... in order of first appearance, equal
 * neighbours one area, `.` a hole, `|` between two areas with equal attributes that are not one. The stack is left out.
 * Throws where there is no such process.
 * @example
 * ```ts
 * import { boot, draw, map, spawn } from "pagewright/testing"
 * const k = boot()
 * const pid = spawn(k)
 * map(k, pid, "aabaa")
 * const picture = draw(k, pid) // "aabaa": three areas
 * ```
 */
export function draw(k: Machine, pid: number, window?: Window): string {
  const core = coreOf(k)
  const mm = mmOf(core, pid)
  return drawAreas(core, mm, ...windowOf(core, mm, window))
}

/** Draws what the page tables of process `pid` have, one page a character:
 *
 *     _  nothing yet          z  the page of zeroes
 *     A  a page of its own, writable         a  the same, a write faults: shared with a fork, or read-only
 *     O  a page of the object, writable      o  the same, a write faults
 *     n  any page, while the area forbids every access    p  a raw frame number    .  no area
 *
 * Throws where there is no such process.
 */
export function drawPages(k: Machine, pid: number, window?: Window): string {
  const core = coreOf(k)
  const mm = mmOf(core, pid)
  return drawPagesOf(core, mm, ...windowOf(core, mm, window))
}

/** Throws with every broken invariant of the machine, a sentence each. Holds at any moment, also while locks are held. */
export const checkMm = (k: Machine): void => checkMmOf(coreOf(k))

/** The same for a machine on which nothing is going on: no lock held, nobody waiting, nothing lost. */
export const checkIdle = (k: Machine): void => checkIdleOf(coreOf(k))

/** Turns that workers get to finish what a scenario left to them. */
const TURNS = 50

/** Replays a scenario on fresh machines, failing its first allocation (of a frame, a page table, a VMA, any row), then its
 * second, and so on, until it runs through. After each: no lock is held, the invariants hold, and no page, VMA, file or
 * address space is left. A typed failure of the scenario is an answer like any other; a bug of the kernel is not.
 * Dies at the first that does not hold, naming the allocation; and if the scenario fails with nothing in its way.
 * @returns how many allocations were failed
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Lockdep, MapFlags, ProtFlags, Task } from "pagewright"
 * import { failNth } from "pagewright/testing"
 * const scenario = Task.run("p", Effect.gen(function*() {
 *   const at = yield* Task.mmap({ length: 8192, prot: ProtFlags.READ | ProtFlags.WRITE, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS })
 *   yield* Task.store8(at, 1)
 * }))
 * const failed = Lockdep.runTask(failNth(scenario))
 * ```
 */
export const failNth = <A, E>(
  scenario: Effect.Effect<A, E, Kernel | Scope.Scope | Markers>,
  small: Small = {}
): Effect.Effect<number> =>
  Effect.gen(function* () {
    for (let nth = 1; ; nth++) {
      const machine = boot(small)
      const { fail } = coreOf(machine)
      fail.arm(nth)
      const ended = yield* Effect.exit(discharged(Effect.provideService(Effect.scoped(scenario), Kernel, machine)))
      const { fired } = fail
      fail.arm(0)
      const wrong = bugsOf(ended)
      for (let turn = 0; turn < TURNS; turn++) yield* Effect.yieldNow
      wrong.push(...(yield* Effect.provideService(leaks, Kernel, machine)))
      if (wrong.length > 0)
        return yield* Effect.die(new KernelBug(`with allocation ${nth} failed:\n  ${wrong.join("\n  ")}`))
      if (fired) continue
      // nothing was failed: this is how the scenario goes by itself
      if (Exit.isFailure(ended))
        return yield* Effect.die(new KernelBug(`the scenario ends in ${Cause.pretty(ended.cause)}`))
      return nth - 1
    }
  })

/** Defects of the kernel's own. */
function bugsOf<A, E>(ended: Exit.Exit<A, E>): string[] {
  if (Exit.isSuccess(ended)) return []
  const dies = ended.cause.reasons.filter(Cause.isDieReason)
  return dies.filter((reason) => reason.defect instanceof KernelBug).map((reason) => String(reason.defect))
}
