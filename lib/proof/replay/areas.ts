/** The areas of an address space for people: what is where, and what it is. Floor 9. */
import { VM_EXEC, VM_READ, VM_SHARED, VM_WRITE } from "../../flags/bits.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { nameOf, permsText } from "../../mm/proc/maps.ts"
import type { Mm } from "../../mm/store/mms.ts"
import type { Vma } from "../../mm/store/vmas.ts"
import { HIDDEN_NAME, SOLID_NAME } from "./bare/territory.ts"

/** What an area is used for, as far as its line tells. */
export type Use =
  | "code"
  | "data"
  | "constants"
  | "heap"
  | "stack"
  | "anonymous"
  | "shared"
  | "none"
  | "kernel"
  | "unknown"

/** One area. */
export interface Area {
  /** Page numbers. */
  readonly start: number
  readonly end: number
  readonly perms: string
  /** Page offset within its file; 0 where it has none. */
  readonly offset: number
  /** Path, `[heap]`..., or empty. */
  readonly name: string
  readonly use: Use
}

/** Every area of `mm`, lowest first. */
export const areasOf = (k: Kernel, mm: Mm): readonly Area[] => k.maple.list(mm).map((v) => areaOf(k, v))

function areaOf(k: Kernel, v: Vma): Area {
  const name = nameOf(k, v)
  const use = useOf(k, v, name)
  return {
    start: k.vmas.startOf(v),
    end: k.vmas.endOf(v),
    perms: name === HIDDEN_NAME ? "????" : permsText(k.vmas.flags(v)),
    offset: k.vmas.file(v) === 0 || use === "unknown" ? 0 : k.vmas.pgoff(v),
    name,
    use
  }
}

function useOf(k: Kernel, v: Vma, name: string): Use {
  const lo = k.vmas.flags(v)
  if (name === HIDDEN_NAME || name === SOLID_NAME) return "unknown"
  if (name === "[heap]") return "heap"
  if (name === "[stack]") return "stack"
  if (name.startsWith("[v")) return "kernel"
  if ((lo & (VM_READ | VM_WRITE | VM_EXEC)) === 0) return "none"
  if ((lo & VM_EXEC) !== 0) return "code"
  if ((lo & VM_SHARED) !== 0) return "shared"
  if (k.vmas.file(v) === 0) return "anonymous"
  return (lo & VM_WRITE) !== 0 ? "data" : "constants"
}

/** Do two areas look the same? */
export const sameArea = (a: Area, b: Area): boolean =>
  a.start === b.start && a.end === b.end && a.perms === b.perms && a.offset === b.offset && a.name === b.name
