/** Which calls, with which flags, ended how: operations recorded, and how many of them agree. Floor 9. */
import type { Op, Result } from "./record.ts"
import { wordsOf } from "./words.ts"

/** How many operations were recorded, and for how many our answer and all that the recording shows after it are equal. */
export type Cell = readonly [recorded: number, agreed: number]

/** By call, by flag (`ALL` first), by outcome. */
export type CallTable = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Cell>>>>>>

/** The row of a call that counts each of its operations once. */
export const ALL = "all"
/** The row of values that have no name. */
const OTHER = "other values"
/** More names than that are no names of calls. */
const MOST_CALLS = 500

type Outcomes = Map<string, [number, number]>

/** Counts what it is told of. An operation with several flags is counted in a row for each. */
export class Coverage {
  private readonly calls = new Map<string, Map<string, Outcomes>>()

  /** Takes in one recorded operation. */
  note({ args, name, result }: Op, agrees: boolean): void {
    const outcome = outcomeOf(result)
    const agreed = agrees ? 1 : 0
    this.add(name, ALL, outcome, 1, agreed)
    const words = args.flatMap((arg, at) => wordsOf(name, at, arg) ?? [])
    for (const word of new Set(words.map(rowOf))) this.add(name, word, outcome, 1, agreed)
  }

  /** Takes in all that `more` was told of. */
  merge(more: Coverage): void {
    for (const [name, rows] of more.calls) {
      for (const [word, outcomes] of rows) {
        for (const [outcome, [recorded, agreed]] of outcomes) this.add(name, word, outcome, recorded, agreed)
      }
    }
  }

  /** The counts, for JSON. */
  table(): CallTable {
    return Object.fromEntries(
      [...this.calls].map(([name, rows]) => [
        name,
        Object.fromEntries([...rows].map(([word, outcomes]) => [word, Object.fromEntries(outcomes)]))
      ])
    )
  }

  private add(name: string, word: string, outcome: string, recorded: number, agreed: number): void {
    const key = this.calls.has(name) || this.calls.size < MOST_CALLS ? name : "other calls"
    const rows = getOr(this.calls, key, () => new Map<string, Outcomes>())
    const outcomes = getOr(rows, word, () => new Map<string, [number, number]>())
    const cell = getOr(outcomes, outcome, noCounts)
    cell[0] += recorded
    cell[1] += agreed
  }
}

const noCounts = (): [number, number] => [0, 0]

function getOr<A>(map: Map<string, A>, key: string, make: () => A): A {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}

/** No flag at all is worth a row of its own. */
const rowOf = (word: string): string => (word === "0" || /^[A-Z]/.test(word) ? word : OTHER)

/** `OK`, an errno, or the code of a signal. */
function outcomeOf(result: Result): string {
  switch (result.kind) {
    case "value":
      return "OK"
    case "errno":
      return result.errno
    case "signal":
      return result.code
    case "nothing":
      return "not run"
  }
}
