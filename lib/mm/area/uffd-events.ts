/** Changes of an address space that a userfaultfd is told of: fork, mremap, pages dropped, munmap. Floor 3.
 *
 *     announced (under the lock)  ->  the change  ->  raised (no lock held): the task waits until somebody has read it
 *
 * From announcing to the end of the wait resolving ioctls answer EAGAIN. A wait also ends when the descriptor is closed.
 * @source fs/userfaultfd.c userfaultfd_event_wait_completion, dup_userfaultfd, mremap_userfaultfd_prep,
 *   userfaultfd_remove, userfaultfd_unmap_prep (v6.18)
 */
import { ENOMEM, OK } from "../../flags/Errno.ts"
import {
  EVENT_FORK,
  EVENT_REMAP,
  EVENT_REMOVE,
  EVENT_UNMAP,
  FEATURE_EVENT_FORK,
  FEATURE_EVENT_REMAP,
  FEATURE_EVENT_REMOVE,
  FEATURE_EVENT_UNMAP
} from "../../flags/UffdFlags.ts"
import { KILLABLE, type StopName, U_EVENT, type Verb, WAIT_UFFD } from "../base/stop.ts"
import { addrOf, type Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { Q_EVENTS, type Uffd } from "../store/uffds.ts"
import type { Vma } from "../store/vmas.ts"
import { resetUffd, setUffd, uffdCreate, uffdGet, uffdPut, wakeReaders } from "./uffd.ts"

/** A fork that a context is to be told of: its own, and the child's. */
export interface Forked {
  readonly from: Uffd
  readonly to: Uffd
}

/** A range that is being unmapped, and who is to be told. */
export interface Unmapped {
  readonly c: Uffd
  readonly start: Vpn
  readonly end: Vpn
}

function announce(k: Kernel, c: Uffd): void {
  uffdGet(k, c)
  k.uffds.addChanging(c, 1)
}

/** What was announced is over. */
function unannounce(k: Kernel, c: Uffd): void {
  k.uffds.addChanging(c, -1)
  uffdPut(k, c)
}

/** Raises an event that was announced, and waits until it has been read, or the descriptor is closed.
 * @locks none held
 */
function* raise(k: Kernel, c: Uffd, event: number, x: number, y: number, z: number): Verb<"WAIT_UFFD", void> {
  const r = k.runs.current
  k.uffds.setMessage(r, event, 0, x, y, z)
  try {
    if (k.uffds.isReleased(c)) return
    k.runs.a[r] = c
    k.runs.enqueue(k.runs.uffdQueue(c, Q_EVENTS))
    wakeReaders(k, c)
    yield k.runs.stop<"WAIT_UFFD">(WAIT_UFFD | KILLABLE | (U_EVENT << 4))
  } finally {
    if (event === EVENT_FORK && k.uffds.event(r) !== 0) forget(k, x)
    unannounce(k, c)
  }
}

/** Nobody will read of a fork: the child's context goes.
 * UNLIKE LINUX: without the lock of the child's mm. Nobody runs in it yet.
 */
function forget(k: Kernel, c: Uffd): void {
  for (const v of k.maple.list(k.uffds.mm(c))) if (k.vmas.uffd(v) === c) resetUffd(k, v)
  k.uffds.setUnheard(c, false)
  uffdPut(k, c)
}

/** fork's copy `w` of an area: it is registered with a context of the child's own, if forks are reported; else with none.
 * @param told - forks that were announced; grows
 * @returns OK | ENOMEM
 * @locks both mmap locks, write
 */
export function dupUserfaultfd(k: Kernel, w: Vma, told: Forked[]): number {
  const from = k.vmas.uffd(w)
  if (from === 0) return OK
  if (!k.uffds.has(from, FEATURE_EVENT_FORK)) {
    resetUffd(k, w)
    return OK
  }
  let to = told.find((one) => one.from === from)?.to ?? 0
  if (to === 0) {
    to = uffdCreate(k, k.vmas.mmOf(w), k.uffds.flags(from))
    if (to === 0) return ENOMEM
    k.uffds.initialize(to, k.uffds.features(from))
    k.uffds.setUnheard(to, true)
    announce(k, from)
    told.push({ from, to })
  }
  setUffd(k, w, to, k.vmas.flags(w), k.vmas.flagsHi(w))
  return OK
}

/** The child is there: each context hears of it in turn. */
export function* dupUserfaultfdComplete(k: Kernel, told: Forked[]): Verb<"WAIT_UFFD", void> {
  for (let one = told.shift(); one !== undefined; one = told.shift())
    yield* raise(k, one.from, EVENT_FORK, one.to, 0, 0)
}

/** There is no child, or nobody waits for its being heard of. */
export function dupUserfaultfdFail(k: Kernel, told: Forked[]): void {
  for (let one = told.shift(); one !== undefined; one = told.shift()) {
    forget(k, one.to)
    unannounce(k, one.from)
  }
}

/** mremap's new area `w`: it stays registered if moves are reported.
 * @returns the context that is to be told, announced | 0
 * @locks mmap write
 */
export function mremapUserfaultfdPrep(k: Kernel, w: Vma): Uffd {
  const c = k.vmas.uffd(w)
  if (c === 0) return 0
  if (k.uffds.has(c, FEATURE_EVENT_REMAP)) {
    announce(k, c)
    return c
  }
  resetUffd(k, w)
  return 0
}

/** Would entries that move out of `v` lose their protection?
 * @source include/linux/userfaultfd_k.h vma_has_uffd_without_event_remap (v6.18)
 */
export function losesProtection(k: Kernel, v: Vma): boolean {
  const c = k.vmas.uffd(v)
  return c !== 0 && !k.uffds.has(c, FEATURE_EVENT_REMAP)
}

/** The move is done: pages from `from` on are at `to` now. */
export function* mremapUserfaultfdComplete(
  k: Kernel,
  c: Uffd,
  from: Vpn,
  to: Vpn,
  pages: number
): Verb<"WAIT_UFFD", void> {
  yield* raise(k, c, EVENT_REMAP, addrOf(from), addrOf(to), pages * 4096)
}

/** There was no move. */
export function mremapUserfaultfdFail(k: Kernel, c: Uffd): void {
  if (c !== 0) unannounce(k, c)
}

/** Advice is about to drop pages of `v`: announces it, if that is to be reported.
 * @returns the context that is to be told, before the pages go and without any lock | 0
 * @locks mmap read
 */
export function userfaultfdRemove(k: Kernel, v: Vma): Uffd {
  const c = k.vmas.uffd(v)
  if (c === 0 || !k.uffds.has(c, FEATURE_EVENT_REMOVE)) return 0
  announce(k, c)
  return c
}

/** Tells of pages `[start, end)` that are about to be dropped. */
export function* userfaultfdRemoveComplete(k: Kernel, c: Uffd, start: Vpn, end: Vpn): Verb<"WAIT_UFFD", void> {
  yield* raise(k, c, EVENT_REMOVE, addrOf(start), addrOf(end), 0)
}

/** Part of `[start, end)`, which is being unmapped, is `v`: announces it, once a context and range.
 * @param told - what was announced; grows
 * @returns OK | ENOMEM
 * @locks mmap write
 */
export function userfaultfdUnmapPrep(k: Kernel, v: Vma, start: Vpn, end: Vpn, told: Unmapped[]): number {
  const c = k.vmas.uffd(v)
  if (c === 0 || !k.uffds.has(c, FEATURE_EVENT_UNMAP)) return OK
  if (told.some((one) => one.c === c && one.start === start && one.end === end)) return OK
  if (k.fail.hit()) return ENOMEM
  announce(k, c)
  told.push({ c, start, end })
  return OK
}

/** The ranges are unmapped, or that failed: either way each context hears of it in turn. */
export function* userfaultfdUnmapComplete(k: Kernel, told: Unmapped[]): Verb<"WAIT_UFFD", void> {
  for (let one = told.shift(); one !== undefined; one = told.shift())
    yield* raise(k, one.c, EVENT_UNMAP, addrOf(one.start), addrOf(one.end), 0)
}

/** Runs a verb that unmaps; when it has let go of its locks, whatever came of it, each context hears of the ranges. */
export function* tellingOfUnmaps<W extends StopName, A>(
  k: Kernel,
  verb: (told: Unmapped[]) => Verb<W, A>
): Verb<W | "WAIT_UFFD", A> {
  const told: Unmapped[] = []
  try {
    const r = yield* verb(told)
    if (told.length > 0) yield* userfaultfdUnmapComplete(k, told)
    return r
  } finally {
    if (told.length > 0) dropUnmapped(k, told)
  }
}

/** Takes back what was announced and not raised: who would have raised it was killed. */
export function dropUnmapped(k: Kernel, told: Unmapped[]): void {
  for (const one of told.splice(0)) unannounce(k, one.c)
}
