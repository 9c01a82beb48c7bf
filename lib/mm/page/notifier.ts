/** Watchers of secondary MMUs (mmu_notifier). Floor 4.
 * @source mm/mmu_notifier.c mmu_notifier_invalidate_range_start, _end (v6.18)
 */
import type { Vpn } from "../base/units.ts"
import type { Kernel, Notifier } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"

/** Lets `n` watch `mm`; returns what takes it off again.
 * @locks mmap write, as mmu_notifier_register asks
 */
export function notifierRegister(k: Kernel, mm: Mm, n: Notifier): () => void {
  const list = k.notifiers.get(mm) ?? []
  k.notifiers.set(mm, [...list, n])
  return () => {
    const left = (k.notifiers.get(mm) ?? []).filter((x) => x !== n)
    if (left.length === 0) k.notifiers.delete(mm)
    else k.notifiers.set(mm, left)
  }
}

/** Before the first entry of `[start, end)` changes. */
export function invalidateStart(k: Kernel, mm: Mm, start: Vpn, end: Vpn): void {
  if (k.notifiers.size !== 0) for (const n of k.notifiers.get(mm) ?? []) n.start(start, end)
}

/** After the last one has. */
export function invalidateEnd(k: Kernel, mm: Mm, start: Vpn, end: Vpn): void {
  if (k.notifiers.size !== 0) for (const n of k.notifiers.get(mm) ?? []) n.end(start, end)
}
