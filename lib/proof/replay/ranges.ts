/** Where a call may change a map. Floor 9. */
import { pageOf, pagesUp, WORD_PAGES, type Word } from "../../mm/base/units.ts"
import type { Call, Delta, Result } from "./event.ts"

/** Page numbers: start, and end exclusive. */
export type Pages = readonly [start: number, end: number]

const everywhere: readonly Pages[] = [[1, WORD_PAGES]]

/** The pages that `call` may have changed, by its arguments and by what it answered; a delta says more. */
export function rangesOf(call: Call): readonly Pages[] {
  const { args, iov, name, result } = call
  const at = (i: number): Word => args[i] ?? 0
  switch (name) {
    case "mmap":
      return [span(at(0), at(1)), ...answered(result, at(1))]
    case "mremap":
      return [span(at(0), at(1)), span(at(0), at(2)), span(at(4), at(2)), ...answered(result, at(2))]
    case "brk":
      return [span(at(0), 4096), ...answered(result, 4096)]
    case "mlockall":
    case "munlockall":
      return everywhere
    case "process_madvise":
      return iov?.map(([start, len]) => span(start, len)) ?? []
    case "shmdt":
    case "shmat":
      return [span(at(0), 4096), ...answered(result, 4096)]
    default:
      return args.length >= 2 ? [span(at(0), at(1))] : []
  }
}

/** The pages that a delta names. */
export function rangesOfDelta({ gone, here }: Delta): readonly Pages[] {
  const ranges: Pages[] = []
  for (const line of gone) ranges.push([line.start, line.end])
  for (const line of here) ranges.push([line.start, line.end])
  return ranges
}

/** The pages of a range of bytes. */
export const span = (start: Word, len: Word): Pages => [
  pageOf(start),
  Math.min(WORD_PAGES, pageOf(start) + pagesUp(len))
]

const answered = (result: Result, len: Word): readonly Pages[] =>
  result.kind === "value" ? [span(result.value, len)] : []

/** The same pages in rising order; ranges that touch one another become one. */
export function joined(ranges: readonly Pages[]): readonly Pages[] {
  if (ranges.length < 2) return ranges
  const sorted = [...ranges].sort((a, b) => a[0] - b[0])
  const out: Pages[] = []
  let [start, end] = sorted[0]!
  for (const [from, to] of sorted) {
    if (from > end + 1) {
      out.push([start, end])
      start = from
      end = to
    } else if (to > end) end = to
  }
  out.push([start, end])
  return out
}
