/** /proc/PID/maps, byte for byte. Floor 6.
 * @source fs/proc/task_mmu.c show_map_vma, get_vma_name (v6.18)
 */
import { VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE } from "../../flags/bits.ts"
import type { Kernel } from "../kernel.ts"
import { BRK, type Mm, START_BRK, START_STACK } from "../store/mms.ts"
import { KIND_VDSO, KIND_VVAR, KIND_VVAR_VCLOCK, type Vma } from "../store/vmas.ts"

/** Width of the columns before a name. */
const NAME_COLUMN = 73

/** `rwxp`, with `s` for memory mapped shared. */
export function permsText(lo: number): string {
  return `${(lo & VM_READ) !== 0 ? "r" : "-"}${(lo & VM_WRITE) !== 0 ? "w" : "-"}${(lo & VM_EXEC) !== 0 ? "x" : "-"}${(lo & VM_MAYSHARE) !== 0 ? "s" : "p"}`
}

/** Name of an area: its file, a special mapping, [heap], [stack], or nothing. */
export function nameOf(k: Kernel, v: Vma): string {
  const f = k.vmas.file(v)
  if (f !== 0) return k.files.names[f]!.replaceAll("\n", "\\012")
  const kind = k.vmas.kind(v)
  if (kind === KIND_VDSO) return "[vdso]"
  if (kind === KIND_VVAR) return "[vvar]"
  if (kind === KIND_VVAR_VCLOCK) return "[vvar_vclock]"
  const mm = k.vmas.mmOf(v)
  const start = k.vmas.startOf(v) * 4096
  const end = k.vmas.endOf(v) * 4096
  if (start < k.mms.stat(mm, BRK) && end > k.mms.stat(mm, START_BRK)) return "[heap]"
  const stack = k.mms.stat(mm, START_STACK)
  return start <= stack && end >= stack && stack !== 0 ? "[stack]" : ""
}

const hex8 = (n: number): string => n.toString(16).padStart(8, "0")

/** The line of one area, without newline. */
export function mapsLine(k: Kernel, v: Vma): string {
  const f = k.vmas.file(v)
  const offset = f === 0 ? 0n : BigInt(k.vmas.pgoff(v)) * 4096n
  const id = f === 0 ? "00:00 0" : k.files.id(f)
  const head = `${hex8(k.vmas.startOf(v) * 4096)}-${hex8(k.vmas.endOf(v) * 4096)} ${permsText(k.vmas.flags(v))} ${offset.toString(16).padStart(8, "0")} ${id} `
  const name = nameOf(k, v)
  return name === "" ? head : head.padEnd(NAME_COLUMN) + name
}

/** The whole file: a line an area, each with its newline.
 * @locks mmap read, or nobody else runs
 */
export function mapsText(k: Kernel, mm: Mm): string {
  let out = ""
  for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) out += `${mapsLine(k, v)}\n`
  return out
}
