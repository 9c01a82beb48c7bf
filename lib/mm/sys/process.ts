/** Processes: begin, fork, end. Floor 6.
 * @source kernel/fork.c dup_mm; mm/mmap.c dup_mmap, exit_mmap (v6.18)
 */
import * as PR from "../../flags/PrctlFlags.ts"
import { VM_ACCOUNT, VM_DONTCOPY, VM_LOCKED_MASK, VM_WIPEONFORK } from "../../flags/bits.ts"
import { EAGAIN, ENOMEM, OK } from "../../flags/Errno.ts"
import { enoughMemory, vmStatAccount } from "../area/account.ts"
import { enter, mmAlloc, mmdrop, mmgetNotZero, mmRelease } from "../area/mm.ts"
import { mmapUnlock, needMmap, READ, tryMmap, WRITE } from "../area/mmap-lock.ts"
import { announceMapping, fget, fput } from "../area/object.ts"
import { closeVma, hasFarewell, hasHook, hasOpen, openVma } from "../area/ops.ts"
import { buryVma, insertVma, removeVma } from "../area/vma.ts"
import { dupUserfaultfd, dupUserfaultfdComplete, dupUserfaultfdFail, type Forked } from "../area/uffd-events.ts"
import { tryStartWrite, vmaStartWrite } from "../area/vma-lock.ts"
import { vmBugOn } from "../base/debug.ts"
import { H_ADD_MAPPING, type StopName, type Verb } from "../base/stop.ts"
import { T_EXIT, T_FORK } from "../base/trace.ts"
import { TASK_PAGES } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { copyPageRange } from "../page/copy.ts"
import { flushMm, flushRange, putGathered } from "../page/tlb.ts"
import { freePgtables, ZAP_UNMAP, zapRange } from "../page/zap.ts"
import {
  ARG_END,
  ARG_START,
  BRK,
  END_CODE,
  END_DATA,
  ENV_END,
  ENV_START,
  MMAP_BASE,
  MMAP_BOTTOM_UP,
  type Mm,
  START_BRK,
  START_CODE,
  START_DATA,
  START_STACK
} from "../store/mms.ts"
import { MAX_FDS, type Task, TASK_DEAD, TASK_LIVE } from "../store/tasks.ts"
import { VMA_DETACHED, type Vma } from "../store/vmas.ts"

const INHERITED = [
  START_BRK,
  BRK,
  START_STACK,
  START_DATA,
  END_DATA,
  START_CODE,
  END_CODE,
  MMAP_BASE,
  MMAP_BOTTOM_UP,
  ARG_START,
  ARG_END,
  ENV_START,
  ENV_END
] as const

/** A process with an empty address space, all capabilities and no limits.
 * @returns task row | EAGAIN no row | ENOMEM no address space
 */
export function spawn(k: Kernel, name: string): Task {
  const t = k.tasks.alloc(0, name)
  if (t === 0) return EAGAIN
  const mm = mmAlloc(k, t)
  if (mm === 0) {
    k.tasks.free(t)
    return ENOMEM
  }
  k.tasks.setMm(t, mm)
  return t
}

/** A child with a copy of everything: areas, pages shared until written, descriptors, limits. Userfaultfds that report forks
 * are told, and the parent waits until they have been read.
 * @returns the child's task row | EAGAIN no row | ENOMEM | errno of an open hook; then there is no child
 * @partial a parent that is killed while it waits has no child; what the child had is left to `drainMmput`
 * @locks takes the parent's mmap write, and the child's inside it; every area of the parent is write-locked
 * @source mm/mmap.c dup_mmap (v6.18)
 */
export function* fork(k: Kernel, task: Task, name: string): Verb<ForkStops> {
  const told: Forked[] = []
  const t = yield* forkLocked(k, task, name, told)
  if (told.length === 0) return t
  let heard = false
  try {
    yield* dupUserfaultfdComplete(k, told)
    heard = true
    return t
  } finally {
    if (!heard) {
      dupUserfaultfdFail(k, told)
      abandon(k, t)
    }
  }
}

/** What a fork may wait for. */
export type ForkStops = "NEED_LOCK" | "NEED_HOOK" | "WAIT_UFFD" | "PREEMPT"

/** Ends a child that never ran: its address space is torn down by whoever drains that. */
function abandon(k: Kernel, t: Task): void {
  mmputAsync(k, k.tasks.mm(t))
  k.tasks.setMm(t, 0)
  k.tasks.setState(t, TASK_DEAD)
  closeFds(k, t)
  reap(k, t)
}

function* forkLocked(k: Kernel, task: Task, name: string, told: Forked[]): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  const mm = enter(k, task)
  if (k.runs.preempt) yield k.runs.point()
  if (!tryMmap(k, mm, WRITE)) yield needMmap(k, mm, WRITE)
  try {
    const t = k.tasks.alloc(task, name)
    if (t === 0) return EAGAIN
    const child = mmAlloc(k, t)
    if (child === 0) {
      k.tasks.free(t)
      return ENOMEM
    }
    const r = yield* dupMm(k, mm, child, told)
    if (r !== OK) {
      k.tasks.free(t)
      return r
    }
    k.tasks.setMm(t, child)
    copyFiles(k, task, t)
    k.trace.point(T_FORK, mm, t, child)
    return t
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
}

/** Gives `child` the descriptors of `task`. */
export function copyFiles(k: Kernel, task: Task, child: Task): void {
  for (let fd = 0; fd < MAX_FDS; fd++) {
    const f = k.tasks.file(task, fd)
    if (f === 0) continue
    fget(k, f)
    k.tasks.setFile(child, fd, f)
    if (k.tasks.closesOnExec(task, fd)) k.tasks.setCloexec(child, fd)
  }
}

/** Fills the fresh mm `child` with what `mm` has. Not killable from here on: what fails is undone with hooks. */
function* dupMm(k: Kernel, mm: Mm, child: Mm, told: Forked[]): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  k.runs.setChild(child, true)
  if (!tryMmap(k, child, WRITE)) vmBugOn("the lock of a child nobody knows is taken")
  try {
    for (const f of INHERITED) k.mms.setStat(child, f, k.mms.stat(mm, f))
    k.mms.setDefFlags(child, k.mms.defFlags(mm) & ~VM_LOCKED_MASK)
    inheritFlags(k, mm, child)
    const r = yield* dupAreas(k, mm, child, told)
    if (k.mms.rssTotal(child) !== 0) flushMm(k, mm)
    if (r === OK) return OK
    dupUserfaultfdFail(k, told)
    const areas = k.maple.list(child)
    clearAll(k, child, areas)
    takeAll(k, child, areas)
    for (const v of areas) yield* removeVma(k, v)
    k.mms.addUsers(child, -1)
    mmRelease(k, child)
    return r
  } finally {
    mmapUnlock(k, child, WRITE)
    k.runs.setChild(child, false)
    if (k.mms.users(child) === 0) mmdrop(k, child)
  }
}

/** What a child, and a program that another one starts, has of the flags of the address space before it.
 * @source include/linux/mm_types.h mmf_init_legacy_flags; kernel/fork.c mm_init (v6.18)
 */
export function inheritFlags(k: Kernel, from: Mm, to: Mm): void {
  k.mms.setFlags(to, k.mms.flags(from))
  k.mms.setMdwe(to, (k.mms.mdwe(from) & PR.MDWE_NO_INHERIT) !== 0 ? 0 : k.mms.mdwe(from))
}

function* dupAreas(k: Kernel, mm: Mm, child: Mm, told: Forked[]): Verb<"NEED_LOCK" | "NEED_HOOK" | "PREEMPT"> {
  // a list, since the tree finds fast in one address space at a time; under the write lock it stays as it is
  for (const v of k.maple.list(mm)) {
    if (!tryStartWrite(k, v)) yield* vmaStartWrite(k, v)
    if ((k.vmas.flags(v) & VM_DONTCOPY) !== 0) continue
    const w = newCopy(k, v, child)
    if (w < 0) return w
    if (dupUserfaultfd(k, w, told) !== OK) {
      dropCopy(k, w)
      return ENOMEM
    }
    if (hasOpen(k, w)) {
      const opened = yield* openVma(k, w)
      if (opened < 0) {
        dropCopy(k, w)
        return opened
      }
    }
    if (hasHook(k, w, H_ADD_MAPPING)) {
      const added = yield* announceMapping(k, w, k.vmas.startOf(w), k.vmas.endOf(w))
      if (added < 0) {
        yield* closeVma(k, w)
        dropCopy(k, w)
        return added
      }
    }
    insertVma(k, w)
    vmStatAccount(k, child, k.vmas.flags(v), k.vmas.pages(w))
    const r = (k.vmas.flags(v) & VM_WIPEONFORK) !== 0 ? OK : copyPageRange(k, v, w)
    if (r !== OK) return r
    if (k.runs.preempt) yield k.runs.point()
  }
  return OK
}

/** A detached copy of `v` for `child`, charged for and with an anon_vma of its own; ENOMEM. */
function newCopy(k: Kernel, v: Vma, child: Mm): number {
  const lo = k.vmas.flags(v)
  const charge = (lo & VM_ACCOUNT) !== 0 ? k.vmas.pages(v) : 0
  if (charge !== 0 && enoughMemory(k, k.vmas.mmOf(v), charge) !== OK) return ENOMEM
  const w = k.vmas.dup(v)
  if (w === 0 || !k.maple.reserve(1) || ((lo & VM_WIPEONFORK) === 0 && !k.anon.fork(w, v))) {
    if (w !== 0) k.vmas.free(w)
    k.committed -= charge
    return ENOMEM
  }
  k.vmas.setMm(w, child)
  k.vmas.setFlags(w, lo & ~VM_LOCKED_MASK, k.vmas.flagsHi(v))
  fget(k, k.vmas.file(w))
  return w
}

/** The copy is not wanted after all: its owner refused it, or memory ran out. */
function dropCopy(k: Kernel, w: Vma): void {
  if ((k.vmas.flags(w) & VM_ACCOUNT) !== 0) k.committed -= k.vmas.pages(w)
  k.anon.unlinkAll(w)
  fput(k, k.vmas.file(w))
  k.vmas.free(w)
}

/** Ends a process: its address space, if it was the last user, then its descriptors.
 * @returns OK
 * @locks takes what tearing down takes; not killable
 */
export function* exit(k: Kernel, task: Task): Verb<"NEED_HOOK"> {
  const mm = enter(k, task)
  if (mm === 0) return OK
  k.tasks.setState(task, TASK_DEAD)
  yield* leaveMm(k, task, 0)
  closeFds(k, task)
  return OK
}

function closeFds(k: Kernel, task: Task): void {
  for (let fd = 0; fd < MAX_FDS; fd++) {
    const f = k.tasks.file(task, fd)
    if (f === 0) continue
    k.tasks.setFile(task, fd, 0)
    fput(k, f)
  }
}

/** `task` has address space `next` (0 none) from now on. Who else runs in the old one keeps it, and answers for it.
 * @source kernel/exit.c exit_mm, mm_update_next_owner; fs/exec.c exec_mmap (v6.18)
 */
export function* leaveMm(k: Kernel, task: Task, next: Mm): Verb<"NEED_HOOK"> {
  const mm = k.tasks.mm(task)
  k.tasks.setMm(task, next)
  if (k.mms.owner(mm) === task) k.mms.setOwner(mm, k.mms.users(mm) > 1 ? othersIn(k, mm) : 0)
  return yield* mmput(k, mm)
}

/** A task that runs in `mm`; 0 none. */
function othersIn(k: Kernel, mm: Mm): Task {
  for (let t = 1; t < k.tasks.limit(); t++) if (k.tasks.state(t) === TASK_LIVE && k.tasks.mm(t) === mm) return t
  return 0
}

/** The row of a dead process may be used again. */
export function reap(k: Kernel, task: Task): void {
  if (k.tasks.state(task) !== TASK_DEAD) vmBugOn(`task ${task} is reaped while it lives`)
  k.tasks.free(task)
}

/** One user fewer; the last one tears the address space down, here and now.
 * @locks none held
 * @source kernel/fork.c mmput (v6.18)
 */
export function* mmput(k: Kernel, mm: Mm): Verb<"NEED_HOOK"> {
  if (k.mms.addUsers(mm, -1) > 0) return OK
  yield* exitMmap(k, mm)
  mmdrop(k, mm)
  return OK
}

/** One user fewer, if another one is left; else nothing has happened, and `mmput` is due. */
export function mmputUnlessLast(k: Kernel, mm: Mm): boolean {
  if (k.mms.users(mm) === 1) return false
  k.mms.addUsers(mm, -1)
  return true
}

/** As `mmput`, but the teardown is somebody else's: it lies in `k.deferredMmput` until it is drained.
 * @source kernel/fork.c mmput_async (v6.18)
 */
export function mmputAsync(k: Kernel, mm: Mm): void {
  if (k.mms.addUsers(mm, -1) === 0) k.deferredMmput.push(mm)
}

/** Runs `body` while `mm` has users, or does nothing and answers `gone`. Mm 0 has none.
 * @locks none held
 */
export function* whileUsed<W extends StopName, A>(
  k: Kernel,
  mm: Mm,
  gone: A,
  body: () => Verb<W, A>
): Verb<W | "NEED_HOOK", A> {
  if (mm === 0 || !mmgetNotZero(k, mm)) return gone
  let ended = false
  let a: A
  try {
    a = yield* body()
    ended = true
  } finally {
    if (!ended) mmputAsync(k, mm) // interrupted: a teardown is for whoever drains it
  }
  if (!mmputUnlessLast(k, mm)) yield* mmput(k, mm)
  return a
}

/** Tears down what `mmputAsync` left. */
export function* drainMmput(k: Kernel): Verb<"NEED_HOOK"> {
  for (let mm = k.deferredMmput.shift(); mm !== undefined; mm = k.deferredMmput.shift()) {
    yield* exitMmap(k, mm)
    mmdrop(k, mm)
  }
  return OK
}

/** No user is left, so nobody can hold or want the lock. Watchers are told, then the pages go, under the read lock; then,
 * under the write lock, tables, areas and their owners' close.
 * @source mm/mmap.c exit_mmap (v6.18)
 */
function* exitMmap(k: Kernel, mm: Mm): Verb<"NEED_HOOK", void> {
  k.trace.point(T_EXIT, mm, 0, 0)
  for (const n of k.notifiers.get(mm) ?? []) n.release?.()
  if (!tryMmap(k, mm, READ)) vmBugOn(`mm ${mm} has no users, and its lock is held`)
  k.mms.updateHiwaterRss(mm)
  const areas = k.maple.list(mm)
  clearAll(k, mm, areas)
  mmapUnlock(k, mm, READ)
  if (!tryMmap(k, mm, WRITE)) vmBugOn(`mm ${mm} has no users, and its lock is held`)
  try {
    takeAll(k, mm, areas)
    for (const v of areas) {
      if (hasFarewell(k, v)) yield* removeVma(k, v)
      else buryVma(k, v)
    }
  } finally {
    mmapUnlock(k, mm, WRITE)
  }
  mmRelease(k, mm)
}

/** Zaps `areas`, which are all of `mm`. */
function clearAll(k: Kernel, mm: Mm, areas: readonly Vma[]): void {
  let cleared = false
  for (const v of areas) {
    if (zapRange(k, v, k.vmas.startOf(v), k.vmas.endOf(v), ZAP_UNMAP)) cleared = true
  }
  if (cleared) flushRange(k, mm, 0, TASK_PAGES)
  putGathered(k)
}

/** Frees the page tables of `mm`, and detaches `areas`, which are all of it. */
function takeAll(k: Kernel, mm: Mm, areas: readonly Vma[]): void {
  freePgtables(k, mm, 0, TASK_PAGES, 0, Infinity)
  for (const v of areas) {
    if ((k.vmas.flags(v) & VM_ACCOUNT) !== 0) k.committed -= k.vmas.pages(v)
    vmStatAccount(k, mm, k.vmas.flags(v), k.vmas.startOf(v) - k.vmas.endOf(v))
    k.vmas.setState(v, VMA_DETACHED)
  }
  k.maple.clear(mm)
}
