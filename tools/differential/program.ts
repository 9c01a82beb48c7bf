/** Programs: what format 1 says of a sequence before anything was run. */
import { type LimitName, limitNames, type Op } from "../../lib/proof/conform/record.ts"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import type { Word } from "../../lib/mm/base/units.ts"

/** One operation without its result. */
export type Call = Pick<Op, "name" | "process" | "args" | "data">

/** Who runs it, and within which limits. */
export interface Setting {
  readonly root: boolean
  /** Limits in bytes, soft and hard alike. */
  readonly rlimits: ReadonlyMap<LimitName, number>
}

/** A sequence of operations for one fresh process. */
export interface Program extends Setting {
  readonly seq: string
  readonly theme: string
  readonly calls: readonly Call[]
}

/** A call by process 0, without data, unless it is said otherwise. */
export const call = (
  name: string,
  args: readonly Word[],
  more: Partial<Pick<Call, "process" | "data">> = {}
): Call => ({
  name,
  args,
  process: more.process ?? 0,
  data: more.data ?? ""
})

/** As the machine wants it, that shall perform it. */
export const operation = (call: Call, i: number): Op => ({
  ...call,
  kind: "op",
  i,
  result: { kind: "nothing" },
  hasEffect: false,
  deltas: [],
  forked: [],
  stats: []
})

const ALL_ONES = 0xffff_ffff_ffff_ffffn

/** An argument as format 1 writes it. */
export const jsonOfWord = (word: Word): string =>
  word === ALL_ONES || word === -1 ? "-1" : word > 99 ? `"0x${word.toString(16)}"` : String(word)

/** The members of an operation's record that are known before it runs. */
export function jsonOfCall({ args, data, name, process }: Call, i: number): string {
  const who = process === 0 ? "" : `"p":${process},`
  const bytes = data === "" ? "" : `,"data":"${data}"`
  return `"i":${i},${who}"op":"${name}","a":[${args.map(jsonOfWord).join(",")}]${bytes}`
}

/** The first members of a header. */
export function jsonOfSetting({ rlimits, root, seq, theme }: Program): string {
  const limits = Object.fromEntries(
    limitNames.flatMap((name) => (rlimits.has(name) ? [[name, rlimits.get(name)]] : []))
  )
  return `"seq":${JSON.stringify(seq)},"theme":${JSON.stringify(theme)},"root":${root},"rlimits":${JSON.stringify(limits)}`
}

/** The programs of a recording, or of a file that has only headers and operations. */
export function programsOf(text: string): readonly Program[] {
  const programs: Array<Program & { readonly calls: Call[] }> = []
  for (const line of text.split("\n")) {
    if (line.trim() === "") continue
    const record = parseRecord(line)
    if (record.kind === "header") programs.push({ ...record, calls: [] })
    if (record.kind === "op") programs.at(-1)?.calls.push(record)
  }
  return programs.map(({ calls, rlimits, root, seq, theme }) => ({
    seq,
    theme,
    root,
    rlimits,
    calls: calls.map(({ args, data, name, process }) => ({ args, data, name, process }))
  }))
}
