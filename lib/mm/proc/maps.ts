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
import { Text } from "./text.ts"

/** Columns are filled up to here, then one more space, then the name. */
const WIDTH = 72
const SPACE = 32
const DASH = 45

/** All sixteen, by the three permission bits and one for shared. */
const PERMS = Array.from(
  { length: 16 },
  (_, i) => `${(i & 1) !== 0 ? "r" : "-"}${(i & 2) !== 0 ? "w" : "-"}${(i & 4) !== 0 ? "x" : "-"}${i < 8 ? "p" : "s"}`
)

/** `rwxp`, with `s` for memory mapped shared. */
export const permsText = (lo: number): string =>
  PERMS[(lo & (VM_READ | VM_WRITE | VM_EXEC)) | ((lo & VM_MAYSHARE) !== 0 ? 8 : 0)]!

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

/** The columns of a line, with the space behind them; `lo` says what is allowed. Makes room for a name of usual length. */
export function putColumns(t: Text, start: Vpn, end: Vpn, lo: number, pgoff: number, id: string): void {
  t.room(128)
  t.putAddress(start)
  t.putByte(DASH)
  t.putAddress(end)
  t.putByte(SPACE)
  t.put(permsText(lo))
  t.putByte(SPACE)
  t.putAddress(pgoff)
  t.putByte(SPACE)
  t.put(id)
  t.putByte(SPACE)
}

/** A name behind columns that began at byte `from` of the text, and the end of the line. */
export function putName(t: Text, from: number, name: string): void {
  if (name !== "") {
    t.room(WIDTH)
    t.padTo(from, WIDTH)
    t.put(` ${name}`)
  }
  t.put("\n")
}

/** The line of one area, with its newline.
 * @locks VMA or mmap, read
 */
export function putLine(t: Text, k: Kernel, v: Vma): void {
  const from = t.length
  const f = k.vmas.file(v)
  const id = f === 0 ? "00:00 0" : k.files.id(f)
  putColumns(t, k.vmas.startOf(v), k.vmas.endOf(v), k.vmas.flags(v), f === 0 ? 0 : k.vmas.pgoff(v), id)
  putName(t, from, nameOf(k, v))
}

/** The same as a string, without newline. */
export function mapsLine(k: Kernel, v: Vma): string {
  const t = new Text(256)
  putLine(t, k, v)
  return t.read().slice(0, -1)
}

/** The line of the gate area, which lies in the kernel's half and in no tree; nothing where the machine has none. Says
 * whether there is one.
 * @source arch/x86/entry/vsyscall/vsyscall_64.c get_gate_vma (v6.18)
 */
export function putGate(t: Text, k: Kernel): boolean {
  if (k.config.vsyscall !== "xonly") return false
  const from = t.length
  t.put("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 ")
  putName(t, from, "[vsyscall]")
  return true
}

/** The whole file: a line an area, each with its newline. No area is shown twice; what changes while others run may be
 * seen before or after the change.
 * @locks takes each area's own lock, one after another; mmap read for one that is being written
 */
export function* maps(k: Kernel, mm: Mm): Verb<"NEED_LOCK" | "PREEMPT", string> {
  const t = new Text()
  for (let at: Vpn = 0; ;) {
    const v = yield* lockNextVma(k, mm, at)
    if (v === 0) break
    at = k.vmas.endOf(v) // also where it merged with what comes next: the position moves on
    putLine(t, k, v)
    vmaEndRead(k, v)
  }
  putGate(t, k)
  return t.read()
}
