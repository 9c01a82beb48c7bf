/** Areas that a log says are there, put there without a call: a new program's first map. Floor 9. */
import {
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_DONTEXPAND,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_IO,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_PFNMAP,
  VM_READ,
  VM_SHARED,
  VM_WRITE
} from "../../flags/bits.ts"
import type { File } from "../../mm/store/files.ts"
import { KIND_VDSO, KIND_VVAR, KIND_VVAR_VCLOCK } from "../../mm/store/vmas.ts"
import type { Placement } from "../../mm/sys/exec.ts"
import type { MapLine } from "./event.ts"

const kinds: Readonly<Record<string, number>> = {
  "[vdso]": KIND_VDSO,
  "[vvar]": KIND_VVAR,
  "[vvar_vclock]": KIND_VVAR_VCLOCK
}

/** The area of a line as it is to be.
 * @param file - what it maps; 0 none
 * @param lo - its flags, if more is known than the line says
 */
export const placementOf = (line: MapLine, file: File, lo = flagsOf(line), hi = 0): Placement => ({
  start: line.start,
  end: line.end,
  lo,
  hi,
  file,
  kind: kinds[line.name],
  pgoff: file === 0 ? undefined : line.offset
})

/** The flags that an area with this line has in all likelihood: what the line does not show is as after a plain mmap. */
export function flagsOf({ name, perms }: MapLine): number {
  const access = (perms[0] === "r" ? VM_READ : 0) | (perms[1] === "w" ? VM_WRITE : 0) | (perms[2] === "x" ? VM_EXEC : 0)
  if (name === "[vvar]" || name === "[vvar_vclock]")
    return access | VM_MAYREAD | VM_PFNMAP | VM_IO | VM_DONTEXPAND | VM_DONTDUMP
  const may = access | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  if (name === "[vdso]") return may | VM_DONTEXPAND
  if (perms[3] === "s") return may | VM_SHARED | VM_MAYSHARE
  const charged = perms[1] === "w" ? VM_ACCOUNT : 0
  return may | charged | (name === "[stack]" ? VM_GROWSDOWN : 0)
}
