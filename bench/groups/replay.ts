/** What replaying a log costs, from its bytes to the tally: recordings with maps, with many areas at once, and strace logs. */
import type * as SessionModule from "../../lib/proof/replay/session.ts"
import { format2Log, straceLog } from "../logs.ts"
import type { Figures } from "../measure.ts"

const CALLS = 100_000
const FEW = 200
const MANY = 20_000
const CHUNK = 1 << 16

export async function replays(figures: Figures): Promise<void> {
  const { Session } = (await import(
    new URL("../../dist/proof/replay/session.js", import.meta.url).href
  )) as typeof SessionModule
  const logs = { maps: format2Log(CALLS, FEW), "maps.many": format2Log(CALLS, MANY), strace: straceLog(CALLS, FEW) }
  for (const [name, log] of Object.entries(logs)) {
    const pieces = piecesOf(log)
    const session = new Session()
    const start = performance.now()
    for (const piece of pieces) session.lines.push(piece)
    session.lines.finish()
    session.finish()
    const { agrees, total } = session.tally
    if (!agrees) throw new Error("the benchmark's own log does not agree")
    figures.set(`replay.${name}`, ((performance.now() - start) * 1e6) / total.total)
  }
}

/** The log as a file's bytes, in pieces. */
function piecesOf(log: Iterable<string>): readonly Uint8Array[] {
  const encoder = new TextEncoder()
  const pieces: Uint8Array[] = []
  let text = ""
  for (const line of log) {
    text += `${line}\n`
    if (text.length < CHUNK) continue
    pieces.push(encoder.encode(text))
    text = ""
  }
  return [...pieces, encoder.encode(text)]
}
