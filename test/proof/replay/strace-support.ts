/** Logs of strace in text, and what becomes of them. */
import { expect } from "vitest"
import { BarePlayer } from "../../../lib/proof/replay/bare/player.ts"
import type { Event } from "../../../lib/proof/replay/event.ts"
import { Order } from "../../../lib/proof/replay/order.ts"
import type { Verdict } from "../../../lib/proof/replay/player.ts"
import { StraceReader } from "../../../lib/proof/replay/strace.ts"
import { findings } from "../../../lib/mm/area/check.ts"

export const linesOf = (log: string): readonly string[] => log.replace(/^\n|\n$/g, "").split("\n")

/** The events of a log that has no malformed lines. */
export function eventsOf(log: readonly string[]): readonly Event[] {
  const events: Event[] = []
  const malformed: string[] = []
  const reader = new StraceReader({
    event: (event) => events.push(event),
    malformed: (line, why) => malformed.push(`${line}: ${why}`)
  })
  log.forEach((line, at) => reader.push(line, at + 1))
  reader.finish()
  expect(malformed).toEqual([])
  return events
}

/** What became of a log. */
export interface Replayed {
  /** `agreed`, `unanchored: why`, `differs: linux, ours`..., by line. */
  readonly verdicts: ReadonlyMap<number, string>
  readonly player: BarePlayer
  readonly order: Order
  /** Lines that are not as predicted. */
  readonly differs: readonly number[]
}

const textOf = (verdict: Verdict): string => {
  if (verdict.kind === "unanchored") return `unanchored: ${verdict.why}`
  return verdict.kind === "differs" ? `differs: ours ${verdict.difference.ours}` : verdict.kind
}

/** Replays a log; the simulation keeps its promises all the time. */
export function replay(log: string | readonly string[]): Replayed {
  const player = new BarePlayer()
  const verdicts = new Map<number, string>()
  const note = (event: Event, verdict: Verdict): void => {
    if (event.kind === "call" || event.kind === "signal") verdicts.set(event.line, textOf(verdict))
  }
  const order = new Order(player, { verdict: note, revised: (event, _before, now) => note(event, now) })
  for (const event of eventsOf(typeof log === "string" ? linesOf(log) : log)) order.push(event)
  order.finish()
  expect(findings(player.state.world.k)).toEqual([])
  const differs = [...verdicts].filter(([, text]) => text.startsWith("differs")).map(([line]) => line)
  return { verdicts, player, order, differs: differs.sort((a, b) => a - b) }
}

/** What a program begins with: its heap is at 0x555555560000, its first mapping, of two pages, at 0x7ffff7fc0000. */
export const start = `
1  execve("/bin/x", ["x"], [])       = 0
1  brk(NULL)                         = 0x555555560000
1  mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fc0000`

/** Verdicts in the order of performance, differences without what differs. */
export const valuesOf = (verdicts: ReadonlyMap<number, string>): readonly string[] =>
  [...verdicts.values()].map((text) => (text.startsWith("differs") ? "differs" : text))

/** Verdicts of the lines behind `start`. */
export function after(log: string): readonly string[] {
  const { verdicts } = replay(`${start}\n${log.replace(/^\n/, "")}`)
  return valuesOf(verdicts).slice(linesOf(start).length - 1)
}

/** A line that maps `pages` of anonymous memory. */
export const map = (pages: number, at: string, where = "NULL", pid = 1): string =>
  `${pid}  mmap(${where}, ${pages * 4096}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${at}`
