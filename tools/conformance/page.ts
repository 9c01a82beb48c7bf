/** docs/conformance.md from docs/conformance.json. */
import { ALL, type CallTable, type Cell } from "../../lib/proof/conform/coverage.ts"
import { numberOf } from "./quote.ts"
import type { Proof, Results } from "./results.ts"

/** The page. */
export function pageOf({ live, recordings }: Results): string {
  const proofs = [recordings, live].filter(({ total }) => total.operations > 0)
  const calls = sumOf(proofs.map((proof) => proof.calls))
  return `${[
    "# Conformance",
    "",
    "What the simulation answers, held against what Linux answered. This page is written by `npm run conformance` and",
    "`npm run differential` from what they find; nothing in it is typed by hand.",
    "",
    ...sectionOf("Recordings", recordings, [
      "Sequences of operations that ran on a real kernel. Each operation is performed here too, and then compared: its result,",
      "errno or signal; of every area its line in `/proc/PID/maps`, its VmFlags, eight numbers of `smaps` and the state of",
      "every page; five sizes of `/proc/PID/status`; at the end of a sequence, the contents of the first pages of every area.",
      "After every operation `checkMm` looks for broken invariants. How a sequence is judged, and what `pagewright conform`",
      "prints, stands in [the guide](./guide/conformance.md)."
    ]),
    ...sectionOf("Live", live, [
      "Random programs that ran on the host's kernel, recorded and judged at once; the seed repeats a run."
    ]),
    ...knownOf(proofs),
    ...(proofs.length === 0 ? [] : coverageOf(calls))
  ].join("\n")}\n`
}

function sectionOf(title: string, proof: Proof, text: readonly string[]): readonly string[] {
  const { dropped, kernel, missing, sources, themes, total } = proof
  if (total.operations === 0) return []
  const names = Object.entries(missing)
  return [
    `## ${title}`,
    "",
    ...text,
    "",
    `**${numberOf(total.judged)} of ${numberOf(total.operations)} operations of ${kernel} are judged; in ` +
      `${numberOf(total.sequences)} sequences there are ${numberOf(total.divergences)} divergences` +
      `${total.known === 0 ? "" : ` and ${numberOf(total.known)} known differences`}.** ` +
      `${numberOf(total.complete)} sequences are judged to their end, the last sweep included.` +
      (dropped === 0 ? "" : ` ${numberOf(dropped)} lost their process while they were recorded, and were dropped.`),
    "",
    ...(names.length === 0
      ? []
      : [
          `${numberOf(total.apart)} sequences are judged only up to a call that this version does not have (${names
            .map(([name, count]) => `${name} ${numberOf(count)}`)
            .join(", ")}).`,
          ""
        ]),
    ...tableOf(
      ["judged", "sequences", "operations", "seeds", "SHA-256"],
      sources.map(({ name, operations, seeds, sequences, sha256 }) => [
        `\`${name}\``,
        numberOf(sequences),
        numberOf(operations),
        seeds,
        sha256 === undefined ? "" : `\`${sha256.slice(0, 16)}…\``
      ])
    ),
    "",
    ...tableOf(
      ["theme", "sequences", "operations", "judged", "known", "divergences"],
      Object.entries(themes)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([theme, { divergences, judged, known, operations, sequences }]) => [
          theme,
          ...[sequences, operations, judged, known, divergences].map(numberOf)
        ])
    ),
    ""
  ]
}

function knownOf(proofs: readonly Proof[]): readonly string[] {
  const entries = proofs.flatMap(({ known }) => known).filter(({ met }) => met > 0)
  if (entries.length === 0) return []
  return [
    "## Known differences",
    "",
    ...tableOf(
      ["where", "what differs", "times", "why it is accepted"],
      entries.map(({ i, met, operation, reason, seq, theme, what }) => [
        [theme, seq === undefined ? undefined : `sequence ${seq}`, i === undefined ? undefined : `operation ${i}`]
          .concat(operation === undefined ? undefined : `\`${operation}\``)
          .filter((part) => part !== undefined)
          .join(", "),
        what,
        numberOf(met),
        reason
      ])
    ),
    ""
  ]
}

function coverageOf(calls: CallTable): readonly string[] {
  const names = Object.keys(calls).sort()
  return [
    "## Calls",
    "",
    "How many operations were recorded of each call, and how many agree: our answer, and everything that the recording shows",
    "after it. What does not agree differs, or was not judged. `rd` and `wr` are a load and a store of one byte.",
    "",
    ...tableOf(
      ["call", "operations", "agree", "outcomes"],
      names.map((name) => {
        const outcomes = calls[name]![ALL]!
        return [`[${name}](#${name})`, ...totalsOf(outcomes), sorted(outcomes).join(" ")]
      })
    ),
    "",
    "## Flags and outcomes",
    "",
    "A call with several flags counts in the row of each.",
    "",
    ...names.flatMap((name) => [`### ${name}`, "", ...callTable(calls[name]!), ""])
  ]
}

function callTable(rows: CallTable[string]): readonly string[] {
  const outcomes = sorted(rows[ALL]!)
  const words = Object.keys(rows).filter((word) => word !== ALL)
  return tableOf(
    ["", "operations", "agree", ...outcomes],
    [ALL, ...words.sort(byName)].map((word) => [
      word === ALL ? ALL : `\`${word}\``,
      ...totalsOf(rows[word]!),
      ...outcomes.map((outcome) => textOfCell(rows[word]![outcome]))
    ])
  )
}

/** Values without a name come last. */
const byName = (a: string, b: string): number => {
  const [later, sooner] = [a, b].map((word) => /^[a-z]/.test(word))
  return later === sooner ? (a < b ? -1 : 1) : later === true ? 1 : -1
}

const textOfCell = (cell: Cell | undefined): string => {
  if (cell === undefined) return ""
  const [recorded, agreed] = cell
  return agreed === recorded ? numberOf(recorded) : `${numberOf(recorded)} (${numberOf(agreed)} agree)`
}

function totalsOf(outcomes: Readonly<Record<string, Cell>>): readonly [string, string] {
  const cells = Object.values(outcomes)
  return [numberOf(sum(cells.map(([recorded]) => recorded))), numberOf(sum(cells.map(([, agreed]) => agreed)))]
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0)

/** `OK` first, then by name. */
const sorted = (outcomes: Readonly<Record<string, Cell>>): readonly string[] =>
  Object.keys(outcomes).sort((a, b) => (a === b ? 0 : a === "OK" ? -1 : b === "OK" ? 1 : a < b ? -1 : 1))

function sumOf(tables: readonly CallTable[]): CallTable {
  const total: Record<string, Record<string, Record<string, Cell>>> = {}
  for (const table of tables) {
    for (const [name, rows] of Object.entries(table)) {
      for (const [word, outcomes] of Object.entries(rows)) {
        for (const [outcome, [recorded, agreed]] of Object.entries(outcomes)) {
          const its = ((total[name] ??= {})[word] ??= {})
          const [n, m] = its[outcome] ?? [0, 0]
          its[outcome] = [n + recorded, m + agreed]
        }
      }
    }
  }
  return total
}

/** The first column is text; so are the others where they hold no numbers. */
function tableOf(heads: readonly string[], rows: ReadonlyArray<readonly string[]>): readonly string[] {
  const isNumbers = (i: number): boolean => i > 0 && rows.every((row) => /^(\d[\d,]*( \(.*\))?)?$/.test(row[i]!))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`
  return [line(heads), line(heads.map((_, i) => (isNumbers(i) ? "---:" : "---"))), ...rows.map(line)]
}
