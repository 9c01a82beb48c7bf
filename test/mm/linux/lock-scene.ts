/** A process whose calls are stepped beside somebody who holds its mmap_lock. */
import { expect } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { type StopName, type Verb } from "../../../lib/mm/base/stop.ts"
import { BRK, START_BRK } from "../../../lib/mm/store/mms.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { Hand, withMmap } from "../rows/world.ts"
import { at, RW } from "./words.ts"
import { type Proc, world } from "./world.ts"

/** A call of a process, to be stepped. */
export type Call = (p: Proc) => Verb<StopName, unknown>
/** Bytes of a page. */
export const PAGES = 4096

/** a0+2 RW, both written, a2 RO, a4+2 shared memory, and a heap of one page at a40. */
export function scene(): Proc {
  const p = world("aab")
  p.mmap("a4+2", RW, MAP.SHARED, p.memfd(4))
  p.write("a0+2")
  p.write("a4+2")
  for (const field of [START_BRK, BRK]) p.k.mms.setStat(p.mm, field, at("a40"))
  expect(p.sys(brk, at("a41"))).toBe("a41")
  return p
}

/** Where a call stands first while somebody else holds mmap_lock in `mode`: does it wait? It goes on afterwards. */
export function waits(mode: number, make: Call, p = scene()): boolean {
  let hand!: Hand<unknown>
  let waited = false
  withMmap(p.k, p.mm, mode, () => {
    hand = new Hand(p.k, () => make(p)).step()
    waited = hand.waits
  })
  hand.finish()
  return waited
}
