/** Two maps side by side, around the place where they differ. Floor 9. */
import type { Kernel } from "../../mm/kernel.ts"
import { diffOf } from "../conform/picture.ts"
import type { Comparer } from "./compare.ts"
import type { Pages } from "./ranges.ts"
import type { Space } from "./world.ts"

/** Lines that are shown. */
const MOST_LINES = 40

/** Linux's lines and ours: where they differ, or else around `places`. */
export function around(comparer: Comparer, k: Kernel, space: Space, places: readonly Pages[]): readonly string[] {
  const { mm, recorded } = space
  if (recorded === undefined) return []
  const ours = k.maple.list(mm).map((v) => comparer.lineOf(v))
  const linux = recorded.lines.map(({ text }) => text)
  const different = diffOf(linux, ours)
  if (different.length > 0) return different.slice(0, MOST_LINES)
  const near = recorded.lines.filter(({ end, start }) => places.some(([from, to]) => start <= to && end >= from))
  return near.slice(0, MOST_LINES).map(({ text }) => `  ${text}`)
}
