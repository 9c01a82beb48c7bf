/** The sentences about conformance that README quotes. */
import type { Proof, Results } from "./results.ts"

const start = "<!-- from docs/conformance.json -->"
const end = "<!-- end -->"

/** README's text with its quoted lines renewed. */
export function withQuote(readme: string, results: Results): string {
  const from = readme.indexOf(start)
  const to = readme.indexOf(end)
  if (from < 0 || to < from) throw new Error(`README.md has no place for the totals: ${start} ... ${end}`)
  return `${readme.slice(0, from + start.length)}\n${quoteOf(results)}\n${readme.slice(to)}`
}

/** The lines themselves, as items of a list. */
export function quoteOf({ live, recordings }: Results): string {
  const items = [
    `**Recordings.** Recorded operations, performed here again: ${countsOf(recordings)}: result, errno, the address the kernel chose, every field of every VMA line, ` +
      `the state of every page, RSS and VmSize, the signal of every bad access. ${verdictOf(recordings)} ` +
      "[Call by call, flag by flag](docs/conformance.md)."
  ]
  if (live.total.operations > 0) {
    items.push(`**Live.** Random programs, run on a real kernel and here: ${countsOf(live)}. ${verdictOf(live)}`)
  }
  return items
    .map((item) => filled(item).join("\n  "))
    .map((item) => `- ${item}`)
    .join("\n")
}

const countsOf = ({ kernel, total }: Proof): string =>
  `of ${numberOf(total.operations)} operations in ${numberOf(total.sequences)} sequences on ${kernel}, ` +
  `${numberOf(total.judged)} are judged`

function verdictOf({ known, missing, total }: Proof): string {
  const differ =
    total.divergences === 0
      ? "0 differ."
      : `${numberOf(total.divergences)} ${total.divergences === 1 ? "sequence differs" : "sequences differ"}.`
  const accepted = total.known === 0 ? "" : ` ${numberOf(total.known)} known differences, in ${known.length} entries.`
  const without =
    Object.keys(missing).length === 0 ? "" : " The rest comes after calls that this version does not have."
  return differ + accepted + without
}

/** Lines of at most 118 characters. */
function filled(text: string): readonly string[] {
  const lines: string[] = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ""
    }
    line = line === "" ? word : `${line} ${word}`
  }
  return [...lines, line]
}

const WIDTH = 118

/** 80,805 */
export const numberOf = (n: number): string => n.toLocaleString("en-US")
