/** Options of prctl that are about memory, and their flags.
 * @source include/uapi/linux/prctl.h (v6.18)
 */

/** Where segments, heap, arguments and environment lie: one of `SET_MM_*`, and the address. */
export const SET_MM = 35
/** No huge pages, or again. */
export const SET_THP_DISABLE = 41
/** 1 where there are none; with `THP_DISABLE_EXCEPT_ADVISED` 3. */
export const GET_THP_DISABLE = 42
/** Tagged addresses: EINVAL, x86-64 has them by another call. */
export const SET_TAGGED_ADDR_CTRL = 55
/** EINVAL, too. */
export const GET_TAGGED_ADDR_CTRL = 56
/** No memory becomes executable that was writable: `MDWE_*`. */
export const SET_MDWE = 65
/** The bits that are set. */
export const GET_MDWE = 66
/** KSM may merge equal pages of all private memory, or no longer. */
export const SET_MEMORY_MERGE = 67
/** 1 where it may. */
export const GET_MEMORY_MERGE = 68
/** Names of anonymous areas: EINVAL, there are none. */
export const SET_VMA = 0x53564d41

/** `SET_MDWE`: mprotect may not add EXEC, and mmap not give WRITE and EXEC together. */
export const MDWE_REFUSE_EXEC_GAIN = 1
/** `SET_MDWE`, with the other: children begin without. */
export const MDWE_NO_INHERIT = 2
/** `SET_THP_DISABLE`: not where memory was advised to have huge pages. */
export const THP_DISABLE_EXCEPT_ADVISED = 2

/** Where the program begins. */
export const SET_MM_START_CODE = 1
/** Where it ends. */
export const SET_MM_END_CODE = 2
/** Where its data begin. */
export const SET_MM_START_DATA = 3
/** Where they end. */
export const SET_MM_END_DATA = 4
/** Where the stack begins. */
export const SET_MM_START_STACK = 5
/** Where the heap begins. */
export const SET_MM_START_BRK = 6
/** Where it ends. */
export const SET_MM_BRK = 7
/** Where the arguments begin. */
export const SET_MM_ARG_START = 8
/** Where they end. */
export const SET_MM_ARG_END = 9
/** Where the environment begins. */
export const SET_MM_ENV_START = 10
/** Where it ends. */
export const SET_MM_ENV_END = 11
/** The auxiliary vector: EINVAL, there is none. */
export const SET_MM_AUXV = 12
/** The executable: EINVAL, there is none. */
export const SET_MM_EXE_FILE = 13
/** All of them at once, from a `prctl_mm_map` in the caller's memory. */
export const SET_MM_MAP = 14
/** How long that is. */
export const SET_MM_MAP_SIZE = 15
