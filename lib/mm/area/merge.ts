/** Which areas become one: the rules, and the change. Floor 3.
 *
 *     new range      | prev |*****| next |      none, left grows, right grows down, both join
 *     changed range  | prev |**middle**| next |  only at an edge of middle; the whole middle may vanish
 *
 * A plan is made (plain), its areas are write-locked (may wait), and it is carried out (plain): what cannot be planned is
 * split instead (`vma.ts`).
 * @source mm/vma.c is_mergeable_vma, vma_merge_new_range, vma_merge_existing_range, commit_merge (v6.18)
 */
import { VM_IGNORE_MERGE, VM_SPECIAL } from "../../flags/bits.ts"
import { ENOMEM } from "../../flags/Errno.ts"
import { vmBugOn } from "../base/debug.ts"
import type { Verb } from "../base/stop.ts"
import type { PgOff, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { VMA_DETACHED, type Vma } from "../store/vmas.ts"
import { fput, moveBounds, removeMapping } from "./object.ts"
import { hasClose } from "./ops.ts"
import { tryStartWrite, vmaStartWrite } from "./vma-lock.ts"

/** What is asked for: a range with these attributes, between these neighbours (vma_merge_struct). */
export interface Range {
  mm: Mm
  prev: Vma
  /** The area that the range is part of; 0 for a new range. */
  middle: Vma
  next: Vma
  start: Vpn
  end: Vpn
  pgoff: PgOff
  lo: number
  hi: number
  /** Memory policy; a row of `k.policies`. */
  policy: number
  file: number
  anon: number
  /** userfaultfd context that will answer for it; 0 none. */
  uffd: number
  /** The area that a new range is a copy of (mremap); 0 none. */
  copiedFrom: Vma
  /** Only the area below may grow (brk). */
  justExpand: boolean
}

/** A merge that is possible: `target` gets `[start, end)`; the others shrink or go. */
export interface Plan {
  target: Vma
  start: Vpn
  end: Vpn
  pgoff: PgOff
  removeMiddle: Vma
  removeNext: Vma
  /** New start (when it is cut from below) or end of the middle area; it stays if this is set. */
  cutMiddle: Vma
  cutStart: Vpn
  cutEnd: Vpn
  /** Whose anon_vma chain the target takes over, if it has none. */
  anonFrom: Vma
  sticky: number
}

function sameAttributes(k: Kernel, r: Range, v: Vma): boolean {
  return (
    ((k.vmas.flags(v) ^ r.lo) & ~VM_IGNORE_MERGE) === 0 &&
    k.vmas.flagsHi(v) === r.hi &&
    k.vmas.file(v) === r.file &&
    k.vmas.uffd(v) === r.uffd
  )
}

/** An area with an anon_vma from before a fork: it must not take in anything new. */
const hadUncowedParents = (k: Kernel, v: Vma): boolean => v !== 0 && k.vmas.anon(v) !== 0 && !k.anon.singular(v)

function anonFits(k: Kernel, r: Range, target: Vma): boolean {
  const t = k.vmas.anon(target)
  if (t === 0 && r.anon !== 0) return !hadUncowedParents(k, r.middle) && !hadUncowedParents(k, r.copiedFrom)
  if (t !== 0 && r.anon === 0) return !hadUncowedParents(k, target)
  return t === r.anon
}

function canMergeLeft(k: Kernel, r: Range): boolean {
  const p = r.prev
  return (
    p !== 0 &&
    k.vmas.endOf(p) === r.start &&
    sameAttributes(k, r, p) &&
    k.vmas.policy(p) === r.policy &&
    anonFits(k, r, p) &&
    k.vmas.pgoff(p) + k.vmas.pages(p) === r.pgoff
  )
}

function canMergeRight(k: Kernel, r: Range, left: boolean): boolean {
  const n = r.next
  if (n === 0 || k.vmas.startOf(n) !== r.end || !sameAttributes(k, r, n) || !anonFits(k, r, n)) return false
  if (k.vmas.policy(n) !== r.policy) return false
  if (k.vmas.pgoff(n) !== r.pgoff + (r.end - r.start)) return false
  if (!left) return true
  // each fits the range; they must fit each other too
  const a = k.vmas.anon(r.prev)
  const b = k.vmas.anon(n)
  return a === 0 || b === 0 || a === b
}

/** Lets a new range become part of its neighbours.
 * @returns the area that has it now | 0 no neighbour fits | ENOMEM
 * @locks mmap write
 */
export function* mergeNewRange(k: Kernel, r: Range): Verb<"NEED_LOCK" | "PREEMPT"> {
  const p = planNewRange(k, r)
  return p === undefined ? 0 : yield* merge(k, p)
}

/** Lets a range of `r.middle` that is about to change join an area that already is what it will be.
 * @returns the area that has it now | 0 nothing fits: split | ENOMEM
 * @locks mmap write
 */
export function* mergeExistingRange(k: Kernel, r: Range): Verb<"NEED_LOCK" | "PREEMPT"> {
  const p = planExistingRange(k, r)
  return p === undefined ? 0 : yield* merge(k, p)
}

/** How a new range may become part of its neighbours; undefined where none fits. */
export function planNewRange(k: Kernel, r: Range): Plan | undefined {
  if ((r.lo & VM_SPECIAL) !== 0 || (r.prev === 0 && r.next === 0)) return undefined
  const left = canMergeLeft(k, r)
  let right = !r.justExpand && canMergeRight(k, r, left)
  if (!left && !right) return undefined
  if (left && right && hasClose(k, r.next)) right = false
  const p: Plan = emptyPlan(left ? r.prev : r.next, r)
  if (left) {
    p.start = k.vmas.startOf(r.prev)
    p.pgoff = k.vmas.pgoff(r.prev)
  }
  if (right) p.end = k.vmas.endOf(r.next)
  p.anonFrom = r.copiedFrom
  if (left && right) {
    p.removeNext = r.next
    if (k.vmas.anon(r.next) !== 0) p.anonFrom = r.next
  }
  return p
}

/** How a range of `r.middle` that is about to change may join an area that already is what it will be; undefined where
 * nothing fits.
 */
export function planExistingRange(k: Kernel, r: Range): Plan | undefined {
  const m = r.middle
  const leftSide = r.start === k.vmas.startOf(m)
  const rightSide = r.end === k.vmas.endOf(m)
  if ((r.lo & VM_SPECIAL) !== 0 || (!leftSide && !rightSide)) return undefined
  const left = leftSide && canMergeLeft(k, r)
  let right = rightSide && canMergeRight(k, r, left)
  if (!left && !right) return undefined
  const whole = leftSide && rightSide
  if (whole && hasClose(k, m)) return undefined
  if (left && right && hasClose(k, r.next)) right = false
  const p: Plan = emptyPlan(left ? r.prev : r.next, r)
  if (whole) p.removeMiddle = m
  else p.cutMiddle = m
  p.cutStart = k.vmas.startOf(m)
  p.cutEnd = k.vmas.endOf(m)
  p.anonFrom = m
  if (left) {
    p.start = k.vmas.startOf(r.prev)
    p.pgoff = k.vmas.pgoff(r.prev)
    p.cutStart = r.end
  } else {
    p.pgoff = k.vmas.pgoff(r.next) - (r.end - r.start)
    p.cutEnd = r.start
  }
  if (right) p.end = k.vmas.endOf(r.next)
  if (left && right) {
    p.removeNext = r.next
    if (k.vmas.anon(r.next) !== 0) p.anonFrom = r.next
  }
  return p
}

function emptyPlan(target: Vma, r: Range): Plan {
  return {
    target,
    start: r.start,
    end: r.end,
    pgoff: r.pgoff,
    removeMiddle: 0,
    removeNext: 0,
    cutMiddle: 0,
    cutStart: 0,
    cutEnd: 0,
    anonFrom: 0,
    sticky: r.lo & VM_IGNORE_MERGE
  }
}

function* merge(k: Kernel, p: Plan): Verb<"NEED_LOCK" | "PREEMPT"> {
  if (!tryStartWrite(k, p.target)) yield* vmaStartWrite(k, p.target)
  if (p.removeNext !== 0 && !tryStartWrite(k, p.removeNext)) yield* vmaStartWrite(k, p.removeNext)
  const m = p.removeMiddle !== 0 ? p.removeMiddle : p.cutMiddle
  if (m !== 0 && !tryStartWrite(k, m)) yield* vmaStartWrite(k, m)
  return carryOut(k, p)
}

/** Carries out a plan in one plain turn.
 * @returns the area that has the range now | ENOMEM | 0 an area has readers, who must be waited for: nothing is merged
 * @locks mmap write
 */
export function mergeNow(k: Kernel, p: Plan): number {
  if (!tryStartWrite(k, p.target) || (p.removeNext !== 0 && !tryStartWrite(k, p.removeNext))) return 0
  const m = p.removeMiddle !== 0 ? p.removeMiddle : p.cutMiddle
  return m !== 0 && !tryStartWrite(k, m) ? 0 : carryOut(k, p)
}

/** Cannot fail after the first line: the chain is cloned before any border moves. */
function carryOut(k: Kernel, p: Plan): number {
  const t = p.target
  const mm = k.vmas.mmOf(t)
  if (p.anonFrom !== 0 && k.vmas.anon(t) === 0 && k.vmas.anon(p.anonFrom) !== 0 && !k.anon.clone(t, p.anonFrom))
    return ENOMEM
  let sticky = p.sticky
  if (p.removeMiddle !== 0) sticky |= absorb(k, mm, p.removeMiddle)
  if (p.removeNext !== 0) sticky |= absorb(k, mm, p.removeNext)
  if (p.cutMiddle !== 0) {
    const m = p.cutMiddle
    moveBounds(k, m, k.vmas.pgoff(m) + (p.cutStart - k.vmas.startOf(m)), p.cutStart, p.cutEnd)
    sticky |= k.vmas.flags(m) & VM_IGNORE_MERGE
  }
  moveBounds(k, t, p.pgoff, p.start, p.end)
  k.vmas.setFlags(t, k.vmas.flags(t) | sticky, k.vmas.flagsHi(t))
  return t
}

/** Removes an area whose pages and place another one takes over; its owner is not told (no close: the plan saw to it). */
function absorb(k: Kernel, mm: Mm, v: Vma): number {
  const sticky = k.vmas.flags(v) & VM_IGNORE_MERGE
  if (k.vmas.mmOf(v) !== mm) vmBugOn(`area ${v} of another mm is merged`)
  k.maple.erase(mm, v)
  k.vmas.setState(v, VMA_DETACHED)
  removeMapping(k, v)
  fput(k, k.vmas.file(v))
  k.anon.unlinkAll(v)
  k.vmas.free(v)
  return sticky
}
