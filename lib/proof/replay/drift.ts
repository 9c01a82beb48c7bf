/** What changed in a map without a call: stacks that grew on a fault, files that were renamed or deleted. Floor 9. */
import { addrOf, registerOf, type Word } from "../../mm/base/units.ts"
import { userLoad8, userStore8 } from "../../mm/sys/trap.ts"
import { bitsAt } from "../../mm/page/walk.ts"
import { GUARD } from "../../flags/PteFlags.ts"
import { VM_GROWSDOWN, VM_WRITE } from "../../flags/bits.ts"
import type { Comparer } from "./compare.ts"
import type { Delta, MapLine } from "./event.ts"
import type { Space, World } from "./world.ts"

/** Stacks of `space` grow by the fault that `delta` shows. Answers how many did. */
export function growths(world: World, space: Space, delta: Delta): number {
  let count = 0
  for (const line of delta.here) if (grows(world, space, line)) count++
  return count
}

/** Touches the first page of `line`, if it is below a stack of ours that ends where the line does. */
function grows({ k }: World, space: Space, line: MapLine): boolean {
  const v = k.maple.lookup(space.mm, line.end - 1)
  if (v === 0 || (k.vmas.flags(v) & VM_GROWSDOWN) === 0) return false
  if (k.vmas.endOf(v) !== line.end || k.vmas.startOf(v) <= line.start) return false
  const at = addrOf(line.start)
  if ((k.vmas.flags(v) & VM_WRITE) !== 0) userStore8(k, space.mm, at, 0)
  else userLoad8(k, space.mm, at)
  return true
}

/** Files that are shown under another name than before, wherever they are mapped. Answers how many. */
export function renames(comparer: Comparer, { recorded }: Space, { gone, here }: Delta): number {
  const seen = new Map<string, string>()
  for (const line of gone) if (line.ino !== 0) seen.set(idOf(line), line.name)
  if (seen.size === 0) return 0
  let count = 0
  for (const line of here) {
    const id = idOf(line)
    const before = seen.get(id)
    if (before === undefined || before === line.name) continue
    if (recorded?.lines.some((other) => other.name === before && idOf(other) === id) === true) continue
    comparer.rename(id, before, line.name)
    seen.set(id, line.name)
    count++
  }
  return count
}

const idOf = ({ dev, ino }: MapLine): string => `${dev} ${ino}`

/** Is an address such that a signal about it may have the code it has? Undefined: it may. Else what is the matter. */
export function signalContradicts({ k }: World, space: Space, code: string, addr: Word): string | undefined {
  const at = registerOf(addr)
  const page = Number(at >> 12n)
  const v = page < 2 ** 35 ? k.maple.lookup(space.mm, page) : 0
  switch (code) {
    case "SEGV_MAPERR":
      return v === 0 || (bitsAt(k, space.mm, page) & GUARD) !== 0 ? undefined : "mapped"
    case "SEGV_ACCERR":
      if (v === 0) return "not mapped"
      return (k.vmas.flags(v) & 7) === 7 ? "mapped for every access" : undefined
    case "BUS_ADRERR":
      return v === 0 ? "not mapped" : undefined
    default:
      return undefined
  }
}
