/** The words that strace writes for numbers, in the arguments that say something about memory, files and processes. Floor 9.
 * @source include/uapi/linux/mman.h, fcntl.h, sched.h, prctl.h, resource.h, shm.h, memfd.h, userfaultfd.h (v6.18), x86-64
 */
import * as AdviceFlags from "../../flags/AdviceFlags.ts"
import * as MapFlags from "../../flags/MapFlags.ts"
import * as MemfdFlags from "../../flags/MemfdFlags.ts"
import * as MlockFlags from "../../flags/MlockFlags.ts"
import * as MlockallFlags from "../../flags/MlockallFlags.ts"
import * as MremapFlags from "../../flags/MremapFlags.ts"
import * as MsyncFlags from "../../flags/MsyncFlags.ts"
import * as PrctlFlags from "../../flags/PrctlFlags.ts"
import * as SealFlags from "../../flags/SealFlags.ts"
import * as ShmFlags from "../../flags/ShmFlags.ts"
import * as ProtFlags from "../../flags/ProtFlags.ts"
import type { Word } from "../../mm/base/units.ts"

/** Words of a namespace whose constants this library has: `MAP_` and the constant's name. */
const wordsOf = (prefix: string, constants: Readonly<Record<string, unknown>>): [string, number][] =>
  Object.entries(constants).flatMap(([name, value]): [string, number][] =>
    typeof value === "number" ? [[name.startsWith(prefix) ? name : `${prefix}${name}`, value]] : []
  )

const HUGE = (log2: number): number => log2 * 2 ** MapFlags.HUGE_SHIFT

const others: Readonly<Record<string, Word>> = {
  NULL: 0,
  PROT_NONE: 0,
  MAP_FILE: 0,
  MAP_ANON: MapFlags.ANONYMOUS,
  MAP_HUGE_2MB: HUGE(21),
  MAP_HUGE_1GB: HUGE(30),
  MADV_HWPOISON: 100,
  MADV_SOFT_OFFLINE: 101,
  MFD_HUGE_SHIFT: 26,
  IPC_PRIVATE: ShmFlags.PRIVATE,
  IPC_CREAT: ShmFlags.CREAT,
  IPC_EXCL: ShmFlags.EXCL,
  IPC_RMID: 0,
  IPC_64: 0x100,
  SHM_HUGE_SHIFT: 26,
  SHM_LOCK: 11,
  SHM_UNLOCK: 12,
  AT_FDCWD: -100,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_ACCMODE: 3,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DSYNC: 0o10000,
  FASYNC: 0o20000,
  O_DIRECT: 0o40000,
  O_LARGEFILE: 0o100000,
  O_DIRECTORY: 0o200000,
  O_NOFOLLOW: 0o400000,
  O_NOATIME: 0o1000000,
  O_CLOEXEC: 0o2000000,
  O_SYNC: 0o4010000,
  O_PATH: 0o10000000,
  O_TMPFILE: 0o20200000,
  FD_CLOEXEC: 1,
  F_DUPFD: 0,
  F_GETFD: 1,
  F_SETFD: 2,
  F_GETFL: 3,
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 1030,
  F_ADD_SEALS: 1033,
  F_GET_SEALS: 1034,
  FIONCLEX: 0x5450,
  FIOCLEX: 0x5451,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_RAW: 3,
  SOCK_RDM: 4,
  SOCK_SEQPACKET: 5,
  SOCK_PACKET: 10,
  SOCK_NONBLOCK: 0o4000,
  SOCK_CLOEXEC: 0o2000000,
  EFD_CLOEXEC: 0o2000000,
  EFD_NONBLOCK: 0o4000,
  EFD_SEMAPHORE: 1,
  EPOLL_CLOEXEC: 0o2000000,
  IN_CLOEXEC: 0o2000000,
  IN_NONBLOCK: 0o4000,
  SFD_CLOEXEC: 0o2000000,
  SFD_NONBLOCK: 0o4000,
  TFD_CLOEXEC: 0o2000000,
  TFD_NONBLOCK: 0o4000,
  UFFD_USER_MODE_ONLY: 1,
  CLOSE_RANGE_UNSHARE: 2,
  CLOSE_RANGE_CLOEXEC: 4,
  CSIGNAL: 0xff,
  CLONE_VM: 0x100,
  CLONE_FS: 0x200,
  CLONE_FILES: 0x400,
  CLONE_SIGHAND: 0x800,
  CLONE_PIDFD: 0x1000,
  CLONE_PTRACE: 0x2000,
  CLONE_VFORK: 0x4000,
  CLONE_PARENT: 0x8000,
  CLONE_THREAD: 0x10000,
  CLONE_NEWNS: 0x20000,
  CLONE_SYSVSEM: 0x40000,
  CLONE_SETTLS: 0x80000,
  CLONE_PARENT_SETTID: 0x100000,
  CLONE_CHILD_CLEARTID: 0x200000,
  CLONE_DETACHED: 0x400000,
  CLONE_UNTRACED: 0x800000,
  CLONE_CHILD_SETTID: 0x1000000,
  CLONE_NEWCGROUP: 0x2000000,
  CLONE_NEWUTS: 0x4000000,
  CLONE_NEWIPC: 0x8000000,
  CLONE_NEWUSER: 0x10000000,
  CLONE_NEWPID: 0x20000000,
  CLONE_NEWNET: 0x40000000,
  CLONE_IO: 0x80000000,
  CLONE_CLEAR_SIGHAND: 0x100000000,
  CLONE_INTO_CGROUP: 0x200000000,
  SIGCHLD: 17,
  RLIM64_INFINITY: 2n ** 64n - 1n,
  RLIM_INFINITY: 2n ** 64n - 1n,
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
  PR_SET_NAME: 15,
  PR_SET_DUMPABLE: 4,
  PR_SET_PDEATHSIG: 1,
  PR_SET_VMA_ANON_NAME: 0,
  UFFDIO_API: 0xc018aa3f,
  UFFDIO_REGISTER: 0xc020aa00,
  UFFDIO_UNREGISTER: 0x8010aa01,
  UFFDIO_WAKE: 0x8010aa02,
  UFFDIO_COPY: 0xc028aa03,
  UFFDIO_ZEROPAGE: 0xc020aa04,
  UFFDIO_MOVE: 0xc028aa05,
  UFFDIO_WRITEPROTECT: 0xc018aa06,
  UFFDIO_CONTINUE: 0xc020aa07,
  UFFDIO_POISON: 0xc020aa08,
  UFFDIO_REGISTER_MODE_MISSING: 1,
  UFFDIO_REGISTER_MODE_WP: 2,
  UFFDIO_REGISTER_MODE_MINOR: 4
}

/** The number behind each word that this library knows. */
export const words: ReadonlyMap<string, Word> = new Map<string, Word>([
  ...wordsOf("PROT_", ProtFlags),
  ...wordsOf("MAP_", MapFlags),
  ...wordsOf("MADV_", AdviceFlags),
  ...wordsOf("MREMAP_", MremapFlags),
  ...wordsOf("MLOCK_", MlockFlags),
  ...wordsOf("MCL_", MlockallFlags),
  ...wordsOf("MS_", MsyncFlags),
  ...wordsOf("MFD_", MemfdFlags),
  ...wordsOf("F_SEAL_", SealFlags),
  ...wordsOf("SHM_", ShmFlags),
  ...wordsOf("PR_", PrctlFlags),
  ...Object.entries(others)
])

/** Signals 1 to 31. @source arch/x86/include/uapi/asm/signal.h (v6.18) */
const signals =
  "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(
    " "
  )

/** Number of a signal; 0 for none. */
export const numberOfSignal = (name: string): number => signals.indexOf(name.replace(/^SIG/, "")) + 1
