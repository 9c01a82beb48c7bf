/** Keys and flags of shmget and shmat.
 * @source include/uapi/linux/ipc.h, shm.h (v6.18)
 */

/** Key of shmget: always a new segment, which nobody finds by a key. */
export const PRIVATE = 0
/** shmget: make the segment if there is none. IPC_CREAT */
export const CREAT = 0o1000
/** shmget: EEXIST if there is one. IPC_EXCL */
export const EXCL = 0o2000
/** shmget: of huge pages. */
export const HUGETLB = 0o4000
/** shmget: not promised in advance. */
export const NORESERVE = 0o10000
/** shmat: for reading only. */
export const RDONLY = 0o10000
/** shmat: the address is rounded down. */
export const RND = 0o20000
/** shmat: what is mapped there goes. */
export const REMAP = 0o40000
/** shmat: executable. */
export const EXEC = 0o100000
