/** Calls of a strace log as events: registers, and what the log shows instead of registers. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import type { Call } from "./event.ts"
import { argumentsOf, fieldOf, numberOf, stringOf, wordOf } from "./strace-args.ts"

/** What a call's arguments say, apart from its descriptors. */
export type Shown = Pick<Call, "args" | "text" | "vec" | "uffd" | "iov" | "rlim">

/** Words that are not known, so that their argument is not either. */
export type Unknown = (argument: string) => void

/** Calls whose registers matter to an address space. Those of the others stay unread. */
const read: ReadonlySet<string> = new Set([
  ..."mmap munmap mprotect pkey_mprotect mremap madvise process_madvise mseal msync remap_file_pages brk".split(" "),
  ..."mlock mlock2 munlock mlockall munlockall mincore ftruncate fallocate fcntl prctl setrlimit prlimit64".split(" "),
  ..."shmget shmat shmdt shmctl memfd_create userfaultfd ioctl io_setup io_destroy personality".split(" "),
  ..."map_shadow_stack memfd_secret process_mrelease mbind set_mempolicy_home_node pkey_free".split(" ")
])

/** Calls that do hundreds of things, few of which matter: words that nobody here knows are none of those. */
const vague: ReadonlySet<string> = new Set("fcntl ioctl prctl shmctl personality setrlimit prlimit64".split(" "))

/** Calls of memory that an older strace knows by number only. */
const numbered: Readonly<Record<string, string>> = {
  syscall_0x1b8: "process_madvise",
  syscall_0x1bf: "memfd_secret",
  syscall_0x1c0: "process_mrelease",
  syscall_0x1c5: "map_shadow_stack",
  syscall_0x1ce: "mseal"
}

/** Arguments whose register is a pointer to what strace shows in its place. */
const pointers: Readonly<Record<string, readonly number[]>> = {
  mincore: [2],
  process_madvise: [1],
  setrlimit: [1],
  prlimit64: [2, 3],
  shmctl: [2],
  memfd_create: [0],
  io_setup: [1],
  ioctl: [2],
  mbind: [3],
  prctl: [1, 2, 3, 4]
}

/** Which argument is a descriptor. */
const descriptors: Readonly<Record<string, number>> = { mmap: 4, ftruncate: 0, fallocate: 0, fcntl: 0, ioctl: 0 }

/** Commands of ioctl that are asked on a userfaultfd, and the fields of their struct; dots lead into a struct inside. */
const uffdFields: Readonly<Record<string, readonly string[]>> = {
  UFFDIO_API: ["api", "features", "ioctls"],
  UFFDIO_REGISTER: ["range.start", "range.len", "mode", "ioctls"],
  UFFDIO_UNREGISTER: ["start", "len"],
  UFFDIO_WAKE: ["start", "len"],
  UFFDIO_COPY: ["dst", "src", "len", "mode", "copy"],
  UFFDIO_ZEROPAGE: ["range.start", "range.len", "mode", "zeropage"],
  UFFDIO_WRITEPROTECT: ["range.start", "range.len", "mode"],
  UFFDIO_CONTINUE: ["range.start", "range.len", "mode", "mapped"],
  UFFDIO_MOVE: ["dst", "src", "len", "mode", "move"],
  UFFDIO_POISON: ["range.start", "range.len", "mode", "updated"]
}

/** Linux's name of a call that strace may know by number only. */
export const nameOfCall = (name: string): string => numbered[name] ?? name

/** Does a call of this name say something about memory, so that its registers are read? */
export const isRead = (name: string): boolean => read.has(name)

/** Position of the argument that is a descriptor, if the call takes one that matters. */
export const descriptorOf = (name: string): number | undefined => descriptors[name]

/** What the arguments of a call say. Registers of calls that do not touch memory are not read.
 * @param unknown - told of each argument that is neither a number nor a word that is known
 */
export function shownOf(name: string, args: readonly string[], unknown: Unknown): Shown {
  if (!read.has(name)) return { args: [] }
  const hidden = pointers[name]
  const registers = args.map((text, at): Word | undefined => {
    if (hidden?.includes(at) === true) return plainOf(text)
    const word = wordOf(text)
    if (word === undefined && !vague.has(name)) unknown(text)
    return word
  })
  const shown = { args: registers }
  switch (name) {
    case "mincore":
      return args[2]?.startsWith("[") === true ? { ...shown, vec: vectorOf(args[2]) } : shown
    case "process_madvise":
      return args[1]?.startsWith("[") === true ? { ...shown, iov: rangesOf(args[1]) } : shown
    case "io_setup":
      return args[1]?.startsWith("[") === true ? { ...shown, iov: ringOf(args[1]) } : shown
    case "setrlimit":
      return { ...shown, ...limitsOf(args[1]) }
    case "prlimit64":
      return { ...shown, ...limitsOf(args[2]) }
    case "memfd_create":
      return { ...shown, text: stringOf(args[0] ?? "") ?? "" }
    case "ioctl":
      return { ...shown, ...uffdOf(args[1] ?? "", args[2] ?? "") }
    default:
      return shown
  }
}

/** A register that may be shown as what it points to. */
const plainOf = (text: string): Word | undefined => (/^["[{]/.test(text) ? undefined : wordOf(text))

const inside = (text: string): readonly string[] => argumentsOf(`${text.slice(1, -1)})`).args

const vectorOf = (text: string): string =>
  inside(text)
    .filter((page) => page === "0" || page === "1")
    .join("")

function rangesOf(text: string): readonly (readonly [Word, Word])[] {
  return inside(text).flatMap((one): [Word, Word][] => {
    const base = wordOf(fieldOf(one, "iov_base") ?? "")
    const len = wordOf(fieldOf(one, "iov_len") ?? "")
    return base === undefined || len === undefined ? [] : [[base, len]]
  })
}

/** The address of the ring that io_setup has made. */
function ringOf(text: string): readonly (readonly [Word, Word])[] {
  const at = wordOf(text.slice(1, -1))
  return at === undefined ? [] : [[at, 0]]
}

function limitsOf(text: string | undefined): Pick<Call, "rlim"> {
  if (text?.startsWith("{") !== true) return {}
  const soft = wordOf(fieldOf(text, "rlim_cur") ?? "")
  const hard = wordOf(fieldOf(text, "rlim_max") ?? "")
  return soft === undefined || hard === undefined ? {} : { rlim: [soft, hard] }
}

function uffdOf(command: string, text: string): Pick<Call, "uffd"> {
  const names = uffdFields[command]
  if (names === undefined || !text.startsWith("{")) return {}
  // what was passed in and what came out: `{api=0xaa, features=0 => features=..., ioctls=...}`
  const whole = text.replaceAll(" => ", ", ")
  const fields = names.map((name) => {
    const [first = "", second] = name.split(".")
    const found = fieldOf(whole, first)
    return wordOrZero(second === undefined ? found : fieldOf(found ?? "", second))
  })
  return { uffd: fields }
}

const wordOrZero = (text: string | undefined): Word => (text === undefined ? 0 : (wordOf(text) ?? numberOf(text) ?? 0))
