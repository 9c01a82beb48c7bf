/** Texts of /proc of an address space with many areas, none of which has a page. */
import type { StopName, Verb } from "../../lib/mm/base/stop.ts"
import { maps, mmap, mprotect, runNow, smaps } from "../built.ts"
import { best, type Figures, use } from "../measure.ts"
import { AT, FIXED, NONE, PAGE, RW, turn, world } from "../world.ts"

const HALF = 30_000
const AREAS = 2 * HALF + 1

export function proc(figures: Figures): void {
  const { k, mm, task } = world({ ramPages: 1 << 20 })
  turn(k, mmap(k, task, AT * PAGE, AREAS * PAGE, RW, FIXED, -1, 0))
  for (let i = 0; i < HALF; i++) turn(k, mprotect(k, task, (AT + 2 * i + 1) * PAGE, PAGE, NONE))
  const read = (text: () => Verb<StopName, string>): void => {
    const r: unknown = runNow(k, text)
    if (typeof r !== "string") throw new Error("a text waits in a benchmark")
    use(r.length)
  }
  best(figures, "maps.60k", AREAS, () => read(() => maps(k, mm)))
  best(figures, "smaps.60k", AREAS, () => read(() => smaps(k, mm)))
}
