/** Invalidation: whoever maps pages of an object forgets what it was told about them. Floor 5.
 *
 * The areas stay; the next access asks the object again. Truncation, a hole and a driver's `unmap_mapping_range` are this,
 * for page caches, shared memory, devices and users' objects alike.
 * @source mm/memory.c unmap_mapping_range (v6.18)
 */
import type { PgOff, Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { ZAP_COWS, ZAP_SKIP_COWS, zapNow } from "../page/zap.ts"
import type { Obj } from "../store/files.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"

/** Pages `[first, end)` of `o` leave the page tables of every area that maps them; private copies only if `evenCows`.
 * @locks none: entries go under the page-table lock alone, so it may run beside faults
 */
export function invalidate(k: Kernel, o: Obj, first: PgOff, end: PgOff, evenCows: boolean): void {
  if (first >= end) return
  for (let v = k.mappings.find(o, first, end); v !== 0; v = k.mappings.next(v, first, end)) {
    const d = k.vmas.startOf(v) - k.vmas.pgoff(v)
    const from = Math.max(k.vmas.startOf(v), first + d)
    forget(k, v, from, Math.min(k.vmas.endOf(v), end + d), evenCows)
  }
}

/** Pages `[start, end)` of `mm` leave its page tables, whatever object they are of; private copies only if `evenCows`.
 * @locks as `invalidate`
 */
export function invalidateSpace(k: Kernel, mm: Mm, start: Vpn, end: Vpn, evenCows: boolean): void {
  for (let v = k.maple.find(mm, start); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v))
    forget(k, v, Math.max(k.vmas.startOf(v), start), Math.min(k.vmas.endOf(v), end), evenCows)
}

const forget = (k: Kernel, v: Vma, start: Vpn, end: Vpn, evenCows: boolean): void =>
  zapNow(k, v, start, end, evenCows ? ZAP_COWS : ZAP_SKIP_COWS)
