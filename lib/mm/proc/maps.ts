/** /proc/PID/maps, byte for byte. Floor 6.
 * @source fs/proc/task_mmu.c show_map_vma, get_vma_name; fs/seq_file.c seq_pad (v6.18)
 */
import { VM_EXEC, VM_MAYSHARE, VM_READ, VM_WRITE } from "../../flags/bits.ts"
import { lockNextVma } from "../area/lookup.ts"
import { vmaEndRead } from "../area/vma-lock.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { BRK, type Mm, START_BRK, START_STACK } from "../store/mms.ts"
import { KIND_VDSO, KIND_VVAR, KIND_VVAR_VCLOCK, type Vma } from "../store/vmas.ts"

/** Columns are filled up to here, then one more space, then the name. */
const WIDTH = 72

/** `rwxp`, with `s` for memory mapped shared. */
export function permsText(lo: number): string {
  return `${(lo & VM_READ) !== 0 ? "r" : "-"}${(lo & VM_WRITE) !== 0 ? "w" : "-"}${(lo & VM_EXEC) !== 0 ? "x" : "-"}${(lo & VM_MAYSHARE) !== 0 ? "s" : "p"}`
}

/** Name of an area: its file, a special mapping, [heap], [stack], or nothing. Of a file's name only a newline is escaped. */
export function nameOf(k: Kernel, v: Vma): string {
  const name = rawNameOf(k, v)
  return name.includes("\n") ? name.replaceAll("\n", "\\012") : name
}

/** The same with nothing escaped, as PROCMAP_QUERY gives it. */
export function rawNameOf(k: Kernel, v: Vma): string {
  const f = k.vmas.file(v)
  if (f !== 0) return k.files.names[f]!
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

/** Byte address of a page, in at least eight digits. */
const addressText = (vpn: Vpn): string => `${vpn < 0x10000 ? vpn.toString(16).padStart(5, "0") : vpn.toString(16)}000`

/** The columns of a line, with the space behind them. `bounds` in page numbers; `lo` says what is allowed. */
export const columns = (start: Vpn, end: Vpn, lo: number, pgoff: number, id: string): string =>
  `${addressText(start)}-${addressText(end)} ${permsText(lo)} ${addressText(pgoff)} ${id} `

/** A line of these columns with a name, without newline. */
export const named = (head: string, name: string): string => `${head.padEnd(WIDTH)} ${name}`

/** The line of one area, without newline.
 * @locks VMA or mmap, read
 */
export function mapsLine(k: Kernel, v: Vma): string {
  const f = k.vmas.file(v)
  const id = f === 0 ? "00:00 0" : k.files.id(f)
  const head = columns(k.vmas.startOf(v), k.vmas.endOf(v), k.vmas.flags(v), f === 0 ? 0 : k.vmas.pgoff(v), id)
  const name = nameOf(k, v)
  return name === "" ? head : named(head, name)
}

/** The line of the gate area, which lies in the kernel's half and in no tree; undefined where the machine has none.
 * @source arch/x86/entry/vsyscall/vsyscall_64.c get_gate_vma (v6.18)
 */
export const gateLine = (k: Kernel): string | undefined =>
  k.config.vsyscall === "xonly"
    ? named("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 ", "[vsyscall]")
    : undefined

/** The whole file: a line an area, each with its newline. No area is shown twice; what changes while others run may be
 * seen before or after the change.
 * @locks takes each area's own lock, one after another; mmap read for one that is being written
 */
export function* maps(k: Kernel, mm: Mm): Verb<"NEED_LOCK" | "PREEMPT", string> {
  const lines: string[] = []
  for (let at: Vpn = 0; ;) {
    const v = yield* lockNextVma(k, mm, at)
    if (v === 0) break
    at = k.vmas.endOf(v) // also where it merged with what comes next: the position moves on
    lines.push(mapsLine(k, v))
    vmaEndRead(k, v)
  }
  const gate = gateLine(k)
  if (gate !== undefined) lines.push(gate)
  lines.push("")
  return lines.join("\n")
}
