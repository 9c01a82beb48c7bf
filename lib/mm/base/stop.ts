/** The words of the seam: what a verb yields when it must wait, and what comes back. Floor 1.
 *
 * A stop is one small int; its operands lie in the run row of the verb in flight (`store/runs.ts`), are read at once by
 * whoever drives the verb, and are dead afterwards. The reply is `next(n)`: n >= 0, or an errno. Never `throw()`.
 *
 *     bit  0..2 kind | 3 killable | 4..7 sub: lock mode, hook or U_* | 8.. locks that stay held
 */
export const NEED_LOCK = 1
export const NEED_HOOK = 2
export const NEED_PAGE = 3
export const WAIT_UFFD = 4
export const PREEMPT = 5
export const WAIT_IO = 6

/** Names of the kinds of stops. */
export type StopName = "NEED_LOCK" | "NEED_HOOK" | "NEED_PAGE" | "WAIT_UFFD" | "PREEMPT" | "WAIT_IO"
/** Names by kind. */
export const stopNames: readonly (StopName | "")[] = [
  "",
  "NEED_LOCK",
  "NEED_HOOK",
  "NEED_PAGE",
  "WAIT_UFFD",
  "PREEMPT",
  "WAIT_IO"
]

declare const stops: unique symbol
/** A stop of kind `S`, encoded. */
export type Stop<S extends StopName> = number & { readonly [stops]: S }
/** A verb that may stop. Its possible stops stand in its type; `yield` gives the reply. */
export type Verb<S extends StopName, A = number> = Generator<Stop<S>, A, number>

/** Set in stops at which the waiter may be killed: nothing has changed yet, or what changed is undone. */
export const KILLABLE = 8
export const kindOf = (stop: number): number => stop & 7
export const subOf = (stop: number): number => (stop >> 4) & 15
export const heldOf = (stop: number): number => stop >> 8

/** Lock modes. */
export const READ = 1
export const WRITE = 2

/** Held-lock bits of a run, two a class: shared, exclusive. */
export const MMAP_R = 1
export const MMAP_W = 2
export const VMA_R = 4
export const VMA_W = 8
export const CHILD_R = 16
export const CHILD_W = 32

/** What a userfaultfd is waited for (WAIT_UFFD): that a fault is answered, that an event is read, that there is something to
 *  read. Operand a = context. */
export const U_FAULT = 1
export const U_EVENT = 2
export const U_READ = 3

/** What is held, in words: `mmap:w+vma:r`, or `nothing`. */
export const heldName = (held: number): string =>
  ["mmap:r", "mmap:w", "vma:r", "vma:w", "child:r", "child:w"].filter((_, i) => ((held >> i) & 1) === 1).join("+") ||
  "nothing"

/** Hooks that a driver may have; the numbers are bit positions in a row of `ops`. */
export const H_OPEN = 1
export const H_CLOSE = 2
export const H_MAY_SPLIT = 3
export const H_MMAP = 4
export const H_FAULT = 5
export const H_PAGE_MKWRITE = 6
export const H_MPROTECT = 7
export const H_MREMAP = 8
/** An object's own: it is told of each range that somebody maps of it, and may refuse. `k.range` has the range. */
export const H_ADD_MAPPING = 9
/** A range is mapped no longer. */
export const H_REMOVE_MAPPING = 10
/** A range is mapped at a second place of the same address space. */
export const H_COPY_MAPPING = 11
/** A page that was translated for reading is to be written: translate it again. */
export const H_TRANSLATE_WRITE = 12
/** A file's own: the range in `k.range`, its first page and the one behind its last, is to reach its storage. Operand a is the
 * file, and no lock is held.
 */
export const H_MSYNC = 13
/** Names by number. */
export const hookNames = [
  "",
  "open",
  "close",
  "may_split",
  "mmap",
  "fault",
  "page_mkwrite",
  "mprotect",
  "mremap",
  "add_mapping",
  "remove_mapping",
  "copy_mapping",
  "translate",
  "msync"
] as const

/** Locks that a hook finds held, one of the bits, 0 none at all: `close` comes under a downgraded lock after munmap.
 * @source mm/vma.c vms_complete_munmap_vmas, __split_vma; mm/memory.c do_fault (v6.18)
 */
export const hookWants: readonly number[] = [
  0,
  MMAP_W | CHILD_W, // open: split, fork (the child's lock nests)
  MMAP_R | MMAP_W | CHILD_W, // close: munmap downgrades first; a fork that fails closes the child's areas
  MMAP_W, // may_split
  MMAP_W, // mmap
  VMA_R | MMAP_R, // fault
  VMA_R | MMAP_R, // page_mkwrite
  MMAP_W, // mprotect
  MMAP_W, // mremap
  MMAP_W | CHILD_W, // add_mapping: fork adds the child's
  MMAP_R | MMAP_W | CHILD_W, // remove_mapping: as close
  MMAP_W, // copy_mapping
  VMA_R | MMAP_R, // translate
  0 // msync: none
]

/** Does a hook find held what it is promised? */
export const isHeld = (held: number, hook: number): boolean => {
  const wants = hookWants[hook]!
  return wants === 0 ? held === 0 : (held & wants) !== 0
}

/** Reply for a hook that ended in a failure of its own (an error that is no errno, or a defect): the core undoes as for
 *  any errno and passes it on; the driver of the verb has the cause. */
export const EHOOK = -512
/** Reply of a fault hook: the access shall fail with SIGSEGV. */
export const ESEGV = -513
/** Reply of a hook that finds a page: what it found was forgotten before it could be mapped. Ask again. */
export const ELATE = -514
