/** Operations as a short program that a person can read. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import { textOfResult } from "./judge.ts"
import type { Op, Result } from "./record.ts"
import { wordsOf } from "./words.ts"

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** One call and its result, flags as strace would have them: `p1 mlock2(0x200000000000, 0x1000, MLOCK_ONFAULT) = 0`. */
export function lineOfOp(op: Op, result: Result): string {
  const who = op.process === 0 ? "" : `p${op.process} `
  const args = op.args.map((arg, at) => wordsOf(op.name, at, arg)?.join("|") ?? textOfWord(arg))
  if (op.data !== "") args.push(`"${op.data}"`)
  return `${who}${op.name}(${args.join(", ")}) = ${textOfResult(result)}`
}

const textOfWord = (arg: Word): string => (arg === ALL_ONES ? "-1" : arg > 99 ? `0x${arg.toString(16)}` : String(arg))
