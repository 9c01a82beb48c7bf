/** Events of a log in words. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import { wordsOf } from "../conform/words.ts"
import type { Call, Event, FileRef, Result } from "./event.ts"

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** Which argument is a descriptor. */
const descriptors: Readonly<Record<string, number>> = { mmap: 4, fcntl: 0, ioctl: 0, ftruncate: 0, fallocate: 0 }

/** What happened, in one line. */
export function textOfEvent(event: Event): string {
  switch (event.kind) {
    case "call":
      return textOfCall(event)
    case "exec":
      return `exec of ${event.path}`
    case "clone":
      return `clone: ${event.childPid === event.pid ? "thread" : "process"} ${event.childTid}`
    case "drift":
      return "the map changed between two calls"
    case "signal":
      return `${event.signal} ${event.code} at ${textOfWord(event.addr)}`
    case "exit":
      return "exit"
    case "end":
      return "end"
  }
}

/** A call as strace prints it, more or less: `munmap(0x7ffff7fb5000, 0xaa1b) = 0`. */
function textOfCall({ args, fd, name, result }: Call): string {
  const texts = args.map((arg, at) => {
    if (arg === undefined) return "?"
    if (descriptors[name] === at) return `${Number(arg) | 0}${textOfFile(fd)}`
    return wordsOf(name, at, arg)?.join("|") ?? textOfWord(arg)
  })
  return `${name}(${texts.join(", ")}) = ${textOfResult(result)}`
}

const textOfFile = (fd: FileRef | undefined): string => (fd === undefined ? "" : `<${fd.path}>`)

const textOfWord = (word: Word): string =>
  word === ALL_ONES ? "-1" : word > 99 ? `0x${word.toString(16)}` : String(word)

/** A result as strace prints it. */
export function textOfResult(result: Result): string {
  if (result.kind === "unknown") return "?"
  if (result.kind === "errno") return `-1 ${result.errno}`
  return result.value > 4095 ? `0x${result.value.toString(16)}` : String(result.value)
}
