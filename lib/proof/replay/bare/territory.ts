/** What a log without maps does not show: the parts of an address space of which nobody knows whether they are mapped, and
 * those that are mapped by nobody knows what. Floor 9.
 *
 *     [unknown]   hidden: mapped or not. An area keeps searches out of it, as if it were full.
 *     [before]    solid: a call that succeeded showed that something is mapped there.
 *
 * Both are areas of files that nothing else maps, so that they never merge with what is known.
 */
import { VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE } from "../../../flags/bits.ts"
import { vmBugOn } from "../../../mm/base/debug.ts"
import { addrOf, TASK_PAGES, type Vpn } from "../../../mm/base/units.ts"
import type { Kernel } from "../../../mm/kernel.ts"
import { openAnonymous, RDWR } from "../../../mm/object/file.ts"
import { type File, FILE_REGULAR } from "../../../mm/store/files.ts"
import type { Mm } from "../../../mm/store/mms.ts"
import type { Vma } from "../../../mm/store/vmas.ts"
import { placeArea } from "../../../mm/sys/exec.ts"
import { munmap } from "../../../mm/sys/munmap.ts"
import { runNow } from "../../../mm/sys/run-now.ts"

/** As /proc/PID/maps would name them. */
export const HIDDEN_NAME = "[unknown]"
export const SOLID_NAME = "[before]"

/** Larger than any address space. */
const ANY_SIZE = 2 ** 48

/** The territory of a simulated machine that its log does not show. */
export class Territory {
  private readonly hidden: File
  private readonly solid: File

  constructor(private readonly k: Kernel) {
    this.hidden = openAnonymous(k, FILE_REGULAR, RDWR, HIDDEN_NAME, ANY_SIZE)
    this.solid = openAnonymous(k, FILE_REGULAR, RDWR, SOLID_NAME, ANY_SIZE)
  }

  isHidden(v: Vma): boolean {
    return v !== 0 && this.k.vmas.file(v) === this.hidden
  }

  isSolid(v: Vma): boolean {
    return v !== 0 && this.k.vmas.file(v) === this.solid
  }

  /** Is any page of `[start, end)` hidden? */
  touches(mm: Mm, start: Vpn, end: Vpn): boolean {
    return this.some(mm, start, end, (v) => this.isHidden(v))
  }

  /** Is any page of `[start, end)` mapped by nobody knows what? */
  touchesSolid(mm: Mm, start: Vpn, end: Vpn): boolean {
    return this.some(mm, start, end, (v) => this.isSolid(v))
  }

  /** Is any page of `[start, end)` known to be mapped? */
  isTaken(mm: Mm, start: Vpn, end: Vpn): boolean {
    return this.some(mm, start, end, (v) => !this.isHidden(v))
  }

  /** `[start, end)`, which is not known to be mapped, with up to `more` pages on both sides of which the same is true. */
  untaken(mm: Mm, start: Vpn, end: Vpn, more: number): readonly [Vpn, Vpn] {
    const { maple, vmas } = this.k
    let low = Math.max(0, start - more)
    let high = Math.min(TASK_PAGES, end + more)
    for (let v = maple.find(mm, low); v !== 0 && vmas.startOf(v) < high; v = maple.next(mm, v)) {
      if (this.isHidden(v)) continue
      if (vmas.endOf(v) <= start) low = vmas.endOf(v)
      else high = Math.min(high, vmas.startOf(v))
    }
    return [low, high]
  }

  /** Of `[start, end)` and the pages around it, up to those that are known to be mapped: is any known to be free? */
  isNextToFree(mm: Mm, start: Vpn, end: Vpn): boolean {
    const { maple, vmas } = this.k
    let v = maple.lookup(mm, start)
    while (this.isHidden(v) && vmas.startOf(v) > 0) v = maple.lookup(mm, vmas.startOf(v) - 1)
    if (v === 0) return true
    for (let at = start; at < TASK_PAGES; at = vmas.endOf(v)) {
      v = maple.lookup(mm, at)
      if (v === 0) return true
      if (!this.isHidden(v)) return at < end
    }
    return false
  }

  /** Every free page of `[start, end)` becomes hidden. */
  hide(mm: Mm, start: Vpn, end: Vpn): void {
    const { maple, vmas } = this.k
    let at = start
    while (at < end) {
      const v = maple.find(mm, at)
      const to = v === 0 ? end : Math.min(end, vmas.startOf(v))
      if (to > at) this.place(mm, at, to, this.hidden, 0)
      at = v === 0 ? end : vmas.endOf(v)
    }
  }

  /** Every hidden page of `[start, end)` becomes free. */
  free(mm: Mm, start: Vpn, end: Vpn): void {
    for (const [from, to] of this.hiddenIn(mm, start, end)) this.unmap(mm, from, to)
  }

  /** Every hidden page of `[start, end)` becomes mapped by nobody knows what, with protection `prot`. */
  solidify(mm: Mm, start: Vpn, end: Vpn, prot: number): void {
    for (const [from, to] of this.hiddenIn(mm, start, end)) {
      this.unmap(mm, from, to)
      this.place(mm, from, to, this.solid, prot & 7)
    }
  }

  /** Whatever is in `[start, end)` goes, and something that nobody knows comes; nothing, where that cannot be.
   * @param more - VM_* flags
   */
  put(mm: Mm, start: Vpn, end: Vpn, prot: number, more = 0): void {
    if (end <= TASK_PAGES && this.unmap(mm, start, end)) this.place(mm, start, end, this.solid, (prot & 7) | more)
  }

  /** Takes out whatever is in `[start, end)`. False: it is not user space, or sealed. */
  unmap(mm: Mm, start: Vpn, end: Vpn): boolean {
    const { k } = this
    return runNow(k, () => munmap(k, k.mms.owner(mm), addrOf(start), addrOf(end - start))) === 0
  }

  private hiddenIn(mm: Mm, start: Vpn, end: Vpn): (readonly [Vpn, Vpn])[] {
    const { maple, vmas } = this.k
    const found: (readonly [Vpn, Vpn])[] = []
    for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v)) {
      if (this.isHidden(v)) found.push([Math.max(start, vmas.startOf(v)), Math.min(end, vmas.endOf(v))])
    }
    return found
  }

  private some(mm: Mm, start: Vpn, end: Vpn, is: (v: Vma) => boolean): boolean {
    const { maple, vmas } = this.k
    for (let v = maple.find(mm, start); v !== 0 && vmas.startOf(v) < end; v = maple.next(mm, v)) if (is(v)) return true
    return false
  }

  private place(mm: Mm, start: Vpn, end: Vpn, file: File, flags: number): void {
    const { k } = this
    // access bits are VM_READ, VM_WRITE, VM_EXEC: 1, 2, 4, as PROT_* are
    const lo = flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
    const done = runNow(k, () => placeArea(k, mm, { start, end, lo, file, pgoff: Number(start) }))
    if (done !== 0) vmBugOn(`pages ${start} to ${end} cannot be placed`)
  }
}
