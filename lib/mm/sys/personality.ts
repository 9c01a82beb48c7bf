/** personality, and the layout of the mmap area that a starting program gets by it. Floor 6.
 * @source kernel/exec_domain.c personality; arch/x86/mm/mmap.c arch_pick_mmap_layout, mmap_base (v6.18)
 */
import { LEGACY_BASE } from "../area/gap.ts"
import { PAGE_SIZE, registerOf, STACK_GUARD_PAGES, TASK_SIZE, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { MMAP_BASE, MMAP_BOTTOM_UP } from "../store/mms.ts"
import { RLIMIT_STACK } from "../store/tasks.ts"

/** A bit of the personality: programs that start search for room from below. */
export const ADDR_COMPAT_LAYOUT = 0x0200000
/** What may be read may be executed. */
export const READ_IMPLIES_EXEC = 0x0400000
const QUERY = 0xffffffffn

/** Sets the personality of `task`; 0xffffffff only asks.
 * @returns the one it had
 */
export function personality(k: Kernel, task: number, bits: Word): number {
  const old = k.tasks.personality(task)
  const want = registerOf(bits) & QUERY
  if (want !== QUERY) k.tasks.setPersonality(task, Number(want) | 0)
  return old
}

const GAP_MIN = 128 * 2 ** 20
const GAP_MAX = Math.floor(TASK_SIZE / 6) * 5

/** First page above the mmap area: the stack's limit and its guard gap stay free, within bounds. */
function mmapBase(stackBytes: number): number {
  const gap = stackBytes + STACK_GUARD_PAGES * PAGE_SIZE
  return Math.ceil((TASK_SIZE - Math.min(Math.max(gap, GAP_MIN), GAP_MAX)) / PAGE_SIZE)
}

/** Chooses where mmap looks for room in the empty address space of `task`, by its personality and its stack limit.
 * UNLIKE LINUX: nothing is random.
 */
export function pickMmapLayout(k: Kernel, task: number): void {
  const mm = k.tasks.mm(task)
  const isLegacy = k.config.legacyVaLayout || (k.tasks.personality(task) & ADDR_COMPAT_LAYOUT) !== 0
  k.mms.setStat(mm, MMAP_BOTTOM_UP, isLegacy ? 1 : 0)
  k.mms.setStat(mm, MMAP_BASE, isLegacy ? LEGACY_BASE : mmapBase(k.tasks.rlimit(task, RLIMIT_STACK)))
}
