/** vm_operations: what an area's owner wants to be asked or told. Floor 3.
 *
 * Drivers' hooks are performed by whoever drives the verb (`NEED_HOOK`); the core's own owners (special mappings, System V
 * segments) answer in place.
 */
import { OK } from "../../flags/Errno.ts"
import {
  H_CLOSE,
  H_MAY_SPLIT,
  H_MSYNC,
  H_OPEN,
  H_PAGE_MKWRITE,
  H_REMOVE_MAPPING,
  H_TRANSLATE_WRITE,
  KILLABLE,
  NEED_HOOK,
  type Stop,
  type Verb
} from "../base/stop.ts"
import type { PgOff, Vpn } from "../base/units.ts"
import type { Kernel, Ops } from "../kernel.ts"
import type { Vma } from "../store/vmas.ts"

/** Rows that every world has; `sys/boot.ts` registers them in this order. */
export const OPS_SHMEM = 1
export const OPS_FILE = 2
export const OPS_SPECIAL = 3
export const OPS_SHM = 4
export const OPS_SECRET = 5
export const OPS_HUGETLB = 6

/** Adds a row of operations; its number is what areas and files carry. */
export function registerOps(k: Kernel, ops: Ops): number {
  for (let i = 1; i < k.ops.length; i++)
    if (k.ops[i] === undefined) {
      k.ops[i] = ops
      return i
    }
  return k.ops.push(ops) - 1
}

/** Has the owner of `v` this hook? */
export function hasHook(k: Kernel, v: Vma, hook: number): boolean {
  const row = k.vmas.ops(v)
  return row !== 0 && ((k.ops[row]!.hooks >> hook) & 1) === 1
}

/** Has removing `v` an audience? Such an area is not merged away. */
export const hasClose = (k: Kernel, v: Vma): boolean =>
  hasHook(k, v, H_CLOSE) || k.ops[k.vmas.ops(v)]?.closed !== undefined

/** Has another area like `v` one? */
export const hasOpen = (k: Kernel, v: Vma): boolean =>
  hasHook(k, v, H_OPEN) || k.ops[k.vmas.ops(v)]?.opened !== undefined

/** Must the owner of `v` agree before a page of it is written that is mapped for reading? */
export function hasWriteHook(k: Kernel, v: Vma): boolean {
  const row = k.vmas.ops(v)
  return row !== 0 && (k.ops[row]!.hooks & ((1 << H_PAGE_MKWRITE) | (1 << H_TRANSLATE_WRITE))) !== 0
}

/** Is anybody told when `v` is gone? */
export function hasFarewell(k: Kernel, v: Vma): boolean {
  const ops = k.ops[k.vmas.ops(v)]
  return ops !== undefined && (ops.closed !== undefined || (ops.hooks & FAREWELLS) !== 0)
}
const FAREWELLS = (1 << H_CLOSE) | (1 << H_REMOVE_MAPPING)

/** The stop that runs a hook of `v`'s owner. Operands: a = area, b = row of ops, at = page number. */
export function needHook(k: Kernel, v: Vma, hook: number, at: Vpn, killable: number): Stop<"NEED_HOOK"> {
  const r = k.runs.current
  k.runs.a[r] = v
  k.runs.b[r] = k.vmas.ops(v)
  k.runs.at[r] = at
  return k.runs.stop(NEED_HOOK | killable | (hook << 4))
}

/** The stop that asks whoever a file belongs to, to store pages `[first, end)`. No lock is held. */
export function needSync(k: Kernel, file: number, first: PgOff, end: PgOff): Stop<"NEED_HOOK"> {
  const r = k.runs.current
  k.runs.a[r] = file
  k.runs.b[r] = k.files.ops(file)
  k.runs.at[r] = first
  k.range[0] = first
  k.range[1] = end
  return k.runs.stop(NEED_HOOK | KILLABLE | (H_MSYNC << 4))
}

/** May `v` be split at `vpn`?
 * @returns OK | errno of the owner's veto
 */
export function* maySplit(k: Kernel, v: Vma, vpn: Vpn): Verb<"NEED_HOOK"> {
  const row = k.vmas.ops(v)
  if (row === 0) return OK
  const own = k.ops[row]!.maySplit
  if (own !== undefined) return own(k, v, vpn)
  return hasHook(k, v, H_MAY_SPLIT) ? yield needHook(k, v, H_MAY_SPLIT, vpn, KILLABLE) : OK
}

/** Tells the owner that there is one more area of his. Not killable: what is half done must be undone by hooks. */
export function* openVma(k: Kernel, v: Vma): Verb<"NEED_HOOK"> {
  k.ops[k.vmas.ops(v)]?.opened?.(k, v)
  return hasHook(k, v, H_OPEN) ? yield needHook(k, v, H_OPEN, k.vmas.startOf(v), 0) : OK
}

/** Tells the owner that this area is gone. Cannot fail. */
export function* closeVma(k: Kernel, v: Vma): Verb<"NEED_HOOK", void> {
  k.ops[k.vmas.ops(v)]?.closed?.(k, v)
  if (hasHook(k, v, H_CLOSE)) yield needHook(k, v, H_CLOSE, k.vmas.startOf(v), 0)
}
