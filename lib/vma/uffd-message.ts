/** What a descriptor of userfaultfd reads, and the words for what is asked of it. Floor 8, internal. */
import * as UFFD from "../flags/UffdFlags.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import { MESSAGE } from "../mm/sys/uffd-read.ts"
import type { AfterUnlock } from "./region.ts"
import type { Event, Feature, Mode, RangeIoctl } from "./uffd-handle.ts"

export const features: Readonly<Record<Feature, number>> = {
  PAGEFAULT_FLAG_WP: UFFD.FEATURE_PAGEFAULT_FLAG_WP,
  EVENT_FORK: UFFD.FEATURE_EVENT_FORK,
  EVENT_REMAP: UFFD.FEATURE_EVENT_REMAP,
  EVENT_REMOVE: UFFD.FEATURE_EVENT_REMOVE,
  MISSING_SHMEM: UFFD.FEATURE_MISSING_SHMEM,
  EVENT_UNMAP: UFFD.FEATURE_EVENT_UNMAP,
  SIGBUS: UFFD.FEATURE_SIGBUS,
  THREAD_ID: UFFD.FEATURE_THREAD_ID,
  MINOR_SHMEM: UFFD.FEATURE_MINOR_SHMEM,
  EXACT_ADDRESS: UFFD.FEATURE_EXACT_ADDRESS,
  WP_HUGETLBFS_SHMEM: UFFD.FEATURE_WP_HUGETLBFS_SHMEM,
  WP_UNPOPULATED: UFFD.FEATURE_WP_UNPOPULATED,
  POISON: UFFD.FEATURE_POISON,
  WP_ASYNC: UFFD.FEATURE_WP_ASYNC,
  MOVE: UFFD.FEATURE_MOVE
}
export const modes: Readonly<Record<Mode, number>> = {
  MISSING: UFFD.REGISTER_MODE_MISSING,
  WP: UFFD.REGISTER_MODE_WP,
  MINOR: UFFD.REGISTER_MODE_MINOR
}
export const rangeIoctls: Readonly<Record<RangeIoctl, number>> = {
  WAKE: 1 << UFFD.WAKE,
  COPY: 1 << UFFD.COPY,
  ZEROPAGE: 1 << UFFD.ZEROPAGE,
  MOVE: 1 << UFFD.MOVE,
  WRITEPROTECT: 1 << UFFD.WRITEPROTECT,
  CONTINUE: 1 << UFFD.CONTINUE,
  POISON: 1 << UFFD.POISON
}

/** The bits of `names`, together. */
export const sum = <T extends string>(names: readonly T[], bits: Readonly<Record<T, number>>): number =>
  names.reduce((all, name) => all | bits[name], 0)

/** The names that `mask` has. */
export const namesIn = <T extends string>(mask: number, bits: Readonly<Record<T, number>>): ReadonlySet<T> =>
  // INVARIANT: the keys of a Record by T are Ts.
  new Set((Object.keys(bits) as T[]).filter((name) => (mask & bits[name]) !== 0))

/** struct uffd_msg at byte `at`.
 * @param childOf - the descriptor of a child that forked, by number
 * @source include/uapi/linux/userfaultfd.h struct uffd_msg (v6.18)
 */
export function eventOf(bytes: Uint8Array, at: number, childOf: (fd: number) => object): Event<never, AfterUnlock> {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, MESSAGE)
  const word = (offset: number): number => Number(view.getBigUint64(offset, true))
  switch (view.getUint8(0)) {
    case UFFD.EVENT_PAGEFAULT: {
      const flags = word(8)
      const write = (flags & UFFD.PAGEFAULT_FLAG_WRITE) !== 0
      return { _tag: "Pagefault", address: word(16), write, mode: modeOf(flags), thread: view.getUint32(24, true) }
    }
    case UFFD.EVENT_FORK:
      // INVARIANT: the child's descriptor agreed on what its parent's did.
      return { _tag: "Fork", child: childOf(view.getUint32(8, true)) } as Event<never, AfterUnlock>
    case UFFD.EVENT_REMAP:
      return { _tag: "Remap", from: word(8), to: word(16), length: word(24) }
    case UFFD.EVENT_REMOVE:
      return { _tag: "Remove", start: word(8), end: word(16) }
    case UFFD.EVENT_UNMAP:
      return { _tag: "Unmap", start: word(8), end: word(16) }
    default:
      return vmBugOn(`a userfaultfd tells of event ${view.getUint8(0)}`)
  }
}

const modeOf = (flags: number): Mode =>
  (flags & UFFD.PAGEFAULT_FLAG_WP) !== 0 ? "WP" : (flags & UFFD.PAGEFAULT_FLAG_MINOR) !== 0 ? "MINOR" : "MISSING"
