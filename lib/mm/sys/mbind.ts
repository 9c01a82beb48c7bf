/** mbind: the memory policy of a range. This machine has one node, so that a policy moves no page; but areas that differ in
 * it stay apart. Floor 6.
 * @source mm/mempolicy.c kernel_mbind, do_mbind, mpol_new, mbind_range (v6.18)
 */
import { EFAULT, EINVAL, EIO, EPERM, OK } from "../../flags/Errno.ts"
import { PRESENT, SPECIAL, ZERO } from "../../flags/PteFlags.ts"
import { mmapUnlock, needMmap, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { type AreaStops, vmaModify } from "../area/vma.ts"
import type { Verb } from "../base/stop.ts"
import {
  highBits,
  lowBits,
  offsetInPage,
  pageOf,
  pagesUp,
  registerOf,
  type Vpn,
  type Word,
  WORD_PAGES
} from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { bitsAt } from "../page/walk.ts"
import type { Mm } from "../store/mms.ts"
import { CAP_SYS_NICE } from "../store/tasks.ts"
import { KIND_PLAIN } from "../store/vmas.ts"

export const MPOL_DEFAULT = 0
export const MPOL_PREFERRED = 1
export const MPOL_BIND = 2
export const MPOL_INTERLEAVE = 3
export const MPOL_LOCAL = 4
export const MPOL_PREFERRED_MANY = 5
export const MPOL_WEIGHTED_INTERLEAVE = 6
/** Beside a mode: the mask means these very nodes, whatever the process may use. */
export const MPOL_F_STATIC_NODES = 1 << 15
/** The mask counts among the nodes that the process may use. */
export const MPOL_F_RELATIVE_NODES = 1 << 14
export const MPOL_F_NUMA_BALANCING = 1 << 13
const MODE_FLAGS = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING
const KEEPS_MASK = MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES

/** Fail with EIO if a page lies elsewhere. */
export const MPOL_MF_STRICT = 1
/** Move pages to where the policy wants them. */
export const MPOL_MF_MOVE = 2
/** Those of others, too. */
export const MPOL_MF_MOVE_ALL = 4

/** Gives `[addr, addr + len)` a memory policy.
 * @param mode - MPOL_*, with MPOL_F_*
 * @param nodes - the mask of nodes itself, 64 of them; 0 where the caller gave none
 * @param flags - MPOL_MF_*
 * @returns OK | EINVAL mode, nodes, flags, unaligned or wrapping | EPERM MOVE_ALL without CAP_SYS_NICE | EFAULT nothing is
 *   mapped there, or a hole unless the policy is the default | EIO STRICT, and a page is where no node was named |
 *   ENOMEM too many areas
 * @partial areas before the one that failed keep the policy
 * @locks takes mmap write
 */
export function* mbind(
  k: Kernel,
  task: number,
  addr: Word,
  len: Word,
  mode: Word,
  nodes: Word,
  flags: Word
): Verb<AreaStops> {
  const mask = registerOf(nodes)
  const modeFlags = lowBits(mode) & MODE_FLAGS
  let kind = lowBits(mode) & ~MODE_FLAGS
  const balances = (modeFlags & MPOL_F_NUMA_BALANCING) !== 0
  if (kind < 0 || kind > MPOL_WEIGHTED_INTERLEAVE || (modeFlags & KEEPS_MASK) === KEEPS_MASK) return EINVAL
  if (balances && kind !== MPOL_BIND && kind !== MPOL_PREFERRED_MANY) return EINVAL
  let fl = lowBits(flags)
  if (highBits(flags) !== 0 || (fl & ~(MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)) !== 0) return EINVAL
  if ((fl & MPOL_MF_MOVE_ALL) !== 0 && !k.tasks.capable(task, CAP_SYS_NICE)) return EPERM
  if (offsetInPage(addr) !== 0) return EINVAL
  if (kind === MPOL_DEFAULT) fl &= ~MPOL_MF_STRICT
  const start = pageOf(addr)
  const pages = pagesUp(len)
  if (start + pages >= WORD_PAGES) return EINVAL
  if (pages === 0) return OK
  if (!nodesFit(kind, modeFlags, mask)) return EINVAL
  if (kind === MPOL_PREFERRED && mask === 0n) kind = MPOL_LOCAL
  // the only node is in every mask by now; what else was asked for counts where the policy keeps it
  const word = kind | (modeFlags << 3)
  const policy =
    kind === MPOL_DEFAULT ? 0 : policyOf(k, BigInt(word) | ((modeFlags & KEEPS_MASK) !== 0 ? mask << 32n : 0n))
  const mm = k.tasks.mm(task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const checked = checkRange(k, mm, start, start + pages, kind, fl)
    return checked === OK ? yield* bindAreas(k, mm, start, start + pages, policy) : checked
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** Does the mask go with the mode, and is the only node in it? A relative mask is folded onto what there is. */
function nodesFit(kind: number, modeFlags: number, mask: bigint): boolean {
  if (kind === MPOL_DEFAULT) return mask === 0n
  if (mask === 0n) return (kind === MPOL_PREFERRED || kind === MPOL_LOCAL) && (modeFlags & KEEPS_MASK) === 0
  return kind !== MPOL_LOCAL && ((modeFlags & MPOL_F_RELATIVE_NODES) !== 0 || (mask & 1n) !== 0n)
}

/** Row of a policy: equal ones are one. */
function policyOf(k: Kernel, word: bigint): number {
  const known = k.policies.indexOf(word)
  return known >= 0 ? known : k.policies.push(word) - 1
}

/** queue_pages_range: holes, and pages that lie elsewhere. A local policy names no node, and so every page does. */
function checkRange(k: Kernel, mm: Mm, start: Vpn, end: Vpn, kind: number, flags: number): number {
  const mayHaveHoles = kind === MPOL_DEFAULT
  const counts = kind === MPOL_LOCAL && flags === MPOL_MF_STRICT
  let at = start
  let v = k.maple.find(mm, start)
  if (v === 0 || k.vmas.startOf(v) >= end) return EFAULT
  for (; v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    if (k.vmas.startOf(v) > at && !mayHaveHoles) return EFAULT
    const to = Math.min(end, k.vmas.endOf(v))
    if (counts && k.vmas.kind(v) === KIND_PLAIN)
      for (let p = Math.max(at, k.vmas.startOf(v)); p < to; p++)
        if ((bitsAt(k, mm, p) & (PRESENT | ZERO | SPECIAL)) === PRESENT) return EIO
    at = to
  }
  return at < end && !mayHaveHoles ? EFAULT : OK
}

function* bindAreas(k: Kernel, mm: Mm, start: Vpn, end: Vpn, policy: number): Verb<AreaStops> {
  for (let at = start; at < end;) {
    const v = k.maple.find(mm, at)
    if (v === 0 || k.vmas.startOf(v) >= end) return OK
    const from = Math.max(at, k.vmas.startOf(v))
    at = Math.min(end, k.vmas.endOf(v))
    if (k.vmas.policy(v) === policy) continue
    const prev = k.vmas.startOf(v) < from ? v : k.maple.prev(mm, v)
    const w = yield* vmaModify(k, prev, v, from, at, k.vmas.flags(v), k.vmas.flagsHi(v), policy)
    if (w < 0) return w
    k.vmas.setPolicy(w, policy)
  }
  return OK
}
