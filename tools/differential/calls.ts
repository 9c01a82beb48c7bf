/** Calls in the recorder's language: a line to perform one, and what its answer is in format 1. */
import { nameOf } from "../../lib/flags/Errno.ts"
import { registerOf, type Word } from "../../lib/mm/base/units.ts"
import type { Call } from "./program.ts"

/** Numbers of x86-64. The arguments are those of the call, in its order. */
const numbers: Readonly<Record<string, number>> = {
  close: 3,
  mmap: 9,
  mprotect: 10,
  munmap: 11,
  brk: 12,
  mremap: 25,
  msync: 26,
  madvise: 28,
  shmget: 29,
  shmat: 30,
  dup: 32,
  shmdt: 67,
  fcntl: 72,
  ftruncate: 77,
  fchmod: 91,
  mlock: 149,
  munlock: 150,
  mlockall: 151,
  munlockall: 152,
  prctl: 157,
  remap_file_pages: 216,
  fallocate: 285,
  userfaultfd: 323,
  mlock2: 325,
  pkey_mprotect: 329,
  memfd_secret: 447,
  mseal: 462,
  pread_mem: 17,
  pwrite_mem: 18
}
const PREAD = 17
const PWRITE = 18
const MINCORE = 27
const SHMCTL = 31
const IOCTL = 16
const CLOSE = 3
const SETRLIMIT = 160
const MEMFD_CREATE = 319
const PIDFD_OPEN = 434
const PROCESS_MADVISE = 440

/** Ioctls of userfaultfd: number, 64-bit words of the structure, and which of them is the answer besides the result. */
const ioctls: Readonly<Record<string, readonly [number: number, words: number, answer?: number]>> = {
  uffdio_api: [0xc018aa3f, 3],
  uffdio_register: [0xc020aa00, 4, 3],
  uffdio_unregister: [0x8010aa01, 2],
  uffdio_wake: [0x8010aa02, 2],
  uffdio_copy: [0xc028aa03, 5, 4],
  uffdio_zeropage: [0xc020aa04, 4, 3],
  uffdio_move: [0xc028aa05, 5, 4],
  uffdio_writeprotect: [0xc018aa06, 3],
  uffdio_continue: [0xc020aa07, 4, 3],
  uffdio_poison: [0xc020aa08, 4, 3]
}

/** Calls that answer an address. */
const answersAddress: ReadonlySet<string> = new Set(["mmap", "mremap", "brk", "shmat"])

const hex = (word: Word): string => registerOf(word).toString(16)

/** The registers of a call: some are offsets into the memory that calls may point to, which holds `data`. */
interface Registers {
  /** Bit i: argument i is such an offset. */
  readonly pointers?: number
  /** Bytes of that memory that are the answer. */
  readonly output?: number
  readonly data?: string
}

function perform(process: number, number: number, args: ReadonlyArray<Word | string>, more: Registers = {}): string {
  const six = Array.from({ length: 6 }, (_, i) => args[i] ?? 0)
  const words = six.map((arg) => (typeof arg === "string" ? arg : hex(arg)))
  const { data = "", output = 0, pointers = 0 } = more
  return `call ${process} ${number.toString(16)} ${pointers.toString(16)} ${output.toString(16)} ${words.join(" ")} ${data}\n`
}

const quietly = (line: string): string => line.replace("call", "quiet")

/** 64-bit words as bytes in hex, little endian. */
export const bytesOfWords = (words: readonly Word[]): string =>
  words
    .map((word) => {
      const digits = hex(word).padStart(16, "0")
      return (digits.match(/../g) ?? []).reverse().join("")
    })
    .join("")

/** Pages that `mincore` may be asked about: its answer must fit the memory that calls may point to. */
export const MOST_IN_CORE = 2048

const inCore = (len: Word): number => {
  const pages = (registerOf(len) + 4095n) >> 12n
  return pages > BigInt(MOST_IN_CORE) ? 0 : Number(pages)
}

/** Lines that make the recorder perform `call`; undefined for a call that it does not know. */
export function commandOf({ args, data, name, process }: Call): string | undefined {
  const arg = (at: number): Word => args[at] ?? 0
  const ioctl = ioctls[name]
  if (ioctl !== undefined) {
    const [number, words] = ioctl
    const bytes = bytesOfWords(Array.from({ length: words }, (_, i) => arg(i + 1)))
    return perform(process, IOCTL, [arg(0), number, 0], { pointers: 4, output: words * 8, data: bytes })
  }
  switch (name) {
    case "rd":
      return `load ${process} ${hex(arg(0))}\n`
    case "wr":
      return `store ${process} ${hex(arg(0))} ${hex(arg(1))}\n`
    case "fork":
      return `fork ${process} ${hex(arg(0))}\n`
    case "exit":
      return `exit ${process}\n`
    case "mincore":
      return perform(process, MINCORE, [arg(0), arg(1), 0], { pointers: 4, output: inCore(arg(1)) })
    case "pread64":
      return perform(process, PREAD, [arg(0), 0, arg(1), arg(2)], { pointers: 2, output: Number(arg(1)) })
    case "pwrite64":
      return perform(process, PWRITE, [arg(0), 0, data.length / 2, arg(1)], { pointers: 2, data })
    case "setrlimit": {
      const bytes = bytesOfWords([arg(1), arg(2)])
      return perform(process, SETRLIMIT, [arg(0), 0], { pointers: 2, data: bytes })
    }
    case "memfd_create":
      if (data === "") return perform(process, MEMFD_CREATE, [arg(0), arg(1)])
      return perform(process, MEMFD_CREATE, [0, arg(1)], { pointers: 1, data: `${data}00` })
    case "shmctl":
      return perform(process, SHMCTL, [arg(0), arg(1), 0], { pointers: 4 })
    case "process_madvise": {
      // On a descriptor of the caller itself, which is there for this call only.
      const ranges = args.slice(1)
      const call = perform(process, PROCESS_MADVISE, ["$kept", 0, ranges.length / 2, arg(0), 0], {
        pointers: 2,
        data: bytesOfWords(ranges)
      })
      return quietly(perform(process, PIDFD_OPEN, ["$pid", 0])) + call + quietly(perform(process, CLOSE, ["$kept"]))
    }
    default: {
      const number = Object.hasOwn(numbers, name) ? numbers[name] : undefined
      return number === undefined ? undefined : perform(process, number, args)
    }
  }
}

const signals: Readonly<Record<number, string>> = { 7: "SIGBUS", 11: "SIGSEGV" }
const codes: Readonly<Record<string, string>> = {
  "11/1": "SEGV_MAPERR",
  "11/2": "SEGV_ACCERR",
  "11/4": "SEGV_PKUERR",
  "11/128": "SI_KERNEL",
  "7/1": "BUS_ADRALN",
  "7/2": "BUS_ADRERR",
  "7/3": "BUS_OBJERR",
  "7/4": "BUS_MCEERR_AR"
}
/** Errno names that the library does not need. */
const others: Readonly<Record<number, string>> = {
  4: "EINTR",
  7: "E2BIG",
  25: "ENOTTY",
  29: "ESPIPE",
  38: "ENOSYS",
  95: "EOPNOTSUPP",
  512: "ERESTARTSYS"
}

const wordAt = (bytes: string, at: number): bigint => {
  const its = bytes.slice(at * 16, at * 16 + 16).match(/../g) ?? []
  return BigInt(`0x${its.reverse().join("") || "0"}`)
}

/** The members that say what came of `call`. `answer` is the recorder's: value, signal, code, address, bytes. */
export function jsonOfAnswer({ args, name }: Call, answer: readonly string[]): string {
  const [value = "0", signal = "0", code = "0", addr = "0", bytes = ""] = answer
  if (signal !== "0") {
    const kind = codes[`${signal}/${code}`]
    return `"sig":"${signals[Number(signal)] ?? signal}","code":${kind === undefined ? code : `"${kind}"`},"addr":"0x${addr}"`
  }
  const register = BigInt(`0x${value}`)
  const result = BigInt.asIntN(64, register)
  const errno = result < 0n && result >= -4095n ? -Number(result) : 0
  const words: string[] = []
  if (errno !== 0) words.push(`"r":-1,"e":"${nameOf(-errno) ?? others[errno] ?? String(errno)}"`)
  else words.push(answersAddress.has(name) ? `"r":"0x${value}"` : `"r":${result}`)
  const field = ioctls[name]?.[2]
  if (field !== undefined) {
    const out = wordAt(bytes, field)
    words.push(name === "uffdio_register" ? `"out":"0x${out.toString(16)}"` : `"out":${BigInt.asIntN(64, out)}`)
  }
  if (errno === 0 && name === "pread64") words.push(`"data":"${bytes.slice(0, Number(result) * 2)}"`)
  if (errno === 0 && name === "mincore") words.push(`"vec":"${vectorOf(bytes.slice(0, inCore(args[1] ?? 0) * 2))}"`)
  return words.join(",")
}

/** Only bit 0 of each byte means something. */
const vectorOf = (bytes: string): string =>
  (bytes.match(/../g) ?? []).map((byte) => (byte === "00" ? "0" : byte === "01" ? "1" : "?")).join("")
