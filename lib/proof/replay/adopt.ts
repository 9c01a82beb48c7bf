/** Makes a map of ours what the log says it is, where it is not: after a call that is not built, or that we got wrong.
 * Floor 9.
 */
import { VM_ACCESS, VMH_SEALED } from "../../flags/bits.ts"
import { addrOf, PAGE_SIZE } from "../../mm/base/units.ts"
import { permsText } from "../../mm/proc/maps.ts"
import type { Vma } from "../../mm/store/vmas.ts"
import { placeArea } from "../../mm/sys/exec.ts"
import { munmap } from "../../mm/sys/munmap.ts"
import type { Comparer } from "./compare.ts"
import { flagsOf, placementOf } from "./place.ts"
import type { Process, World } from "./world.ts"

/** Takes over the recorded map. Areas that are as recorded stay what they are; others keep what the log does not show. */
export function adopt(world: World, comparer: Comparer, process: Process): void {
  const { k } = world
  const { mm, recorded } = process.space
  if (recorded === undefined) return
  const wanted = new Map(recorded.lines.map((line) => [line.start, line]))
  const flags: [start: number, end: number, lo: number, hi: number][] = []
  for (const v of k.maple.list(mm)) {
    const line = wanted.get(k.vmas.startOf(v))
    if (line !== undefined && comparer.isSame(v, line)) {
      wanted.delete(line.start)
      continue
    }
    flags.push([k.vmas.startOf(v), k.vmas.endOf(v), k.vmas.flags(v), k.vmas.flagsHi(v) & ~VMH_SEALED])
    remove(world, process, v)
  }
  for (const line of wanted.values()) {
    const file = line.ino !== 0 ? world.files.mapped(line) : 0
    const before = flags.find(([start, end]) => start <= line.start && line.start < end)
    const lo = before === undefined ? flagsOf(line) : (before[2] & ~VM_ACCESS) | (flagsOf(line) & VM_ACCESS)
    const isLike = before !== undefined && permsText(lo) === line.perms
    const placement = placementOf(line, file, isLike ? lo : flagsOf(line), isLike ? before[3] : 0)
    world.run(() => placeArea(k, mm, placement))
  }
}

/** Unmaps an area whatever it is. */
function remove(world: World, { task }: Process, v: Vma): void {
  const { k } = world
  k.vmas.setFlags(v, k.vmas.flags(v), k.vmas.flagsHi(v) & ~VMH_SEALED)
  const at = addrOf(k.vmas.startOf(v))
  const len = k.vmas.pages(v) * PAGE_SIZE
  world.run(() => munmap(k, task, at, len))
}
