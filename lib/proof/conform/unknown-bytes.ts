/** Bytes that no recording holds: what lies in the recorder's own memory. Floor 9.
 *
 * A sequence may write them into a file: `pwrite_mem` from [vvar], where the clock is. From there on bytes are not compared
 * in it; answers, signals, areas and states of pages are, as ever.
 */
import { addrOf } from "../../mm/base/units.ts"
import type { Header, Op, Result } from "./record.ts"

/** Does `op` put bytes of the recorder's own memory where they can be read? */
export function movesUnknownBytes({ args, name, result }: Op, { areas }: Header): boolean {
  if (name !== "pwrite_mem" || result.kind !== "value") return false
  const addr = Number(args[1] ?? 0)
  const end = addr + Number(result.value)
  return areas.some((area) => addr < addrOf(area.end) && end > addrOf(area.start))
}

/** The same answer without the bytes in it. */
export function withoutBytes(op: Op, result: Result): Result {
  if (result.kind !== "value") return result
  if (op.name === "rd") return { kind: "value", value: 0 }
  return op.name === "pread64" ? { kind: "value", value: result.value } : result
}

/** The same sweep of an area without its bytes: `?` for a page that can be read. */
export function sweepWithoutBytes(text: string): string {
  const runs: Array<[page: string, count: number]> = []
  for (const run of text.split(" ")) {
    const [page = "", count = "1"] = run.split("*")
    const known = page.length === 1 ? page : "?"
    const last = runs.at(-1)
    if (last !== undefined && last[0] === known) last[1] += Number(count)
    else runs.push([known, Number(count)])
  }
  return runs.map(([page, count]) => (count > 1 ? `${page}*${count}` : page)).join(" ")
}
