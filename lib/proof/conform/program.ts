/** Operations as a short program that a person can read. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import { textOfResult } from "./judge.ts"
import type { Op, Result } from "./record.ts"

type Bits = ReadonlyArray<readonly [bit: number, name: string]>

const prots: Bits = [
  [1, "READ"],
  [2, "WRITE"],
  [4, "EXEC"],
  [8, "SEM"],
  [0x1000000, "GROWSDOWN"],
  [0x2000000, "GROWSUP"]
]
const types = ["0", "SHARED", "PRIVATE", "SHARED_VALIDATE", "4", "5", "6", "7", "DROPPABLE"]
const flags: Bits = [
  [0x10, "FIXED"],
  [0x20, "ANONYMOUS"],
  [0x40, "32BIT"],
  [0x80, "ABOVE4G"],
  [0x100, "GROWSDOWN"],
  [0x800, "DENYWRITE"],
  [0x1000, "EXECUTABLE"],
  [0x2000, "LOCKED"],
  [0x4000, "NORESERVE"],
  [0x8000, "POPULATE"],
  [0x10000, "NONBLOCK"],
  [0x20000, "STACK"],
  [0x40000, "HUGETLB"],
  [0x80000, "SYNC"],
  [0x100000, "FIXED_NOREPLACE"],
  [0x4000000, "UNINITIALIZED"]
]

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** One call and its result: `p1 wr(0x200000000000, 5) = 0`. */
export function lineOfOp(op: Op, result: Result): string {
  const who = op.process === 0 ? "" : `p${op.process} `
  const args = op.args.map((arg, i) => argOf(op.name, arg, i))
  if (op.data !== "") args.push(`"${op.data}"`)
  return `${who}${op.name}(${args.join(", ")}) = ${textOfResult(result)}`
}

function argOf(name: string, arg: Word, i: number): string {
  if (arg === ALL_ONES) return "-1"
  if (typeof arg === "number") {
    if ((name === "mmap" || name === "mprotect") && i === 2) return bitsOf(arg, prots)
    if (name === "mmap" && i === 3)
      return `${types[arg & 15] ?? arg & 15}${arg > 15 ? `|${bitsOf(arg - (arg & 15), flags)}` : ""}`
    if (name === "mmap" && i === 4) return `fd ${arg}`
  }
  return arg > 9 ? `0x${arg.toString(16)}` : String(arg)
}

/** Names of the bits that have one, and what is left in hex. */
function bitsOf(word: number, names: Bits): string {
  const found: string[] = []
  let left = word
  for (const [bit, name] of names) {
    if (Math.floor(left / bit) % 2 === 1) {
      found.push(name)
      left -= bit
    }
  }
  if (left !== 0 || found.length === 0) found.push(left === 0 ? "NONE" : `0x${left.toString(16)}`)
  return found.join("|")
}
