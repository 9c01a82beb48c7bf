/** Copies between the kernel and a user's memory: the fault verb, delegated. Floor 6.
 * @source lib/usercopy.c, arch/x86/lib/copy_user_64.S (v6.18)
 */
import { FAULT_OK, FAULT_SIGBUS, READ, WRITE } from "../../flags/FaultFlags.ts"
import { DIRTY, PRESENT, PROTNONE, SPECIAL, WRITE as PTE_WRITE } from "../../flags/PteFlags.ts"
import { vmBugOn } from "../base/debug.ts"
import { heldName, type Verb } from "../base/stop.ts"
import { TASK_SIZE, type Vpn, vpnOf, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { fault, type FaultStops } from "../page/fault.ts"
import { KERNEL_MODE } from "../page/userfault.ts"
import type { Mm } from "../store/mms.ts"
import { NO_SLOT } from "../store/ptes.ts"
import { checkUserAddr, userAddr } from "./trap.ts"

/** It must be faulted in first. */
const MISSING = -1
/** A raw frame number: there are no bytes to copy. */
const RAW = -2

/** Frame behind page `vpn` if its entry allows the access now; else MISSING or RAW. */
function frameFor(k: Kernel, mm: Mm, vpn: Vpn, write: boolean): number {
  const slot = k.ptes.slot(k.mms.pgd(mm), vpn)
  if (slot === NO_SLOT) return MISSING
  const bits = k.ptes.bits(slot)
  const need = write ? PRESENT | PTE_WRITE | DIRTY : PRESENT
  if ((bits & need) !== need || (bits & PROTNONE) !== 0) return MISSING
  return (bits & SPECIAL) !== 0 ? RAW : k.ptes.pfn(slot)
}

/** might_fault(): a user copy may take mmap_lock, so nothing may be held. */
function mightFault(k: Kernel): void {
  const held = k.runs.held[k.runs.current]!
  if (held !== 0) vmBugOn(`might_fault() while holding ${heldName(held)}`)
}

/** Copies `from` to user address `addr` of `mm`. Returns the bytes that were *not* copied, as copy_to_user does.
 * @locks none held
 */
export function* copyToUser(k: Kernel, mm: Mm, addr: Word, from: Uint8Array): Verb<FaultStops> {
  mightFault(k)
  if (checkUserAddr(addr) !== FAULT_OK) return from.length
  return yield* copy(k, mm, userAddr(addr), from, true)
}

/** Fills `into` from user address `addr` of `mm`. Returns the bytes that were *not* copied.
 * @locks none held
 */
export function* copyFromUser(k: Kernel, mm: Mm, addr: Word, into: Uint8Array): Verb<FaultStops> {
  mightFault(k)
  if (checkUserAddr(addr) !== FAULT_OK) return into.length
  return yield* copy(k, mm, userAddr(addr), into, false)
}

/** Fills `into` from user address `addr` of `mm` as far as that goes without a fault (copy_from_user_inatomic).
 * Returns the bytes that were copied.
 */
export function copyFromUserNow(k: Kernel, mm: Mm, addr: number, into: Uint8Array): number {
  for (let done = 0; done < into.length;) {
    const at = addr + done
    const p = frameFor(k, mm, vpnOf(at), false)
    if (p < 0) return done
    const n = Math.min(4096 - (at % 4096), into.length - done)
    into.set(k.frames.bytes.subarray(p * 4096 + (at % 4096), p * 4096 + (at % 4096) + n), done)
    done += n
  }
  return into.length
}

/** The bytes of a string at `addr` of `mm`, up to its 0, `most` at most: as many as that if there is no 0 among them.
 * @returns bytes | undefined: it cannot be read
 * @locks none held
 * @source lib/strncpy_from_user.c (v6.18)
 */
export function* strncpyFromUser(
  k: Kernel,
  mm: Mm,
  addr: Word,
  most: number
): Verb<FaultStops, Uint8Array | undefined> {
  mightFault(k)
  if (checkUserAddr(addr) !== FAULT_OK) return undefined
  const from = userAddr(addr)
  const bytes = new Uint8Array(most)
  for (let done = 0; done < most;) {
    const want = Math.min(4096 - ((from + done) % 4096), most - done)
    const part = bytes.subarray(done, done + want)
    const missed = yield* copy(k, mm, from + done, part, false)
    const end = part.subarray(0, want - missed).indexOf(0)
    if (end >= 0) return bytes.subarray(0, done + end)
    if (missed !== 0) return undefined
    done += want
  }
  return bytes
}

/** Faults in what `[addr, addr + len)` of `mm` needs to be read. Returns the bytes that cannot be: all of them from address 0.
 * @locks none held
 * @source mm/gup.c fault_in_readable (v6.18)
 */
export function* faultInReadable(k: Kernel, mm: Mm, addr: number, len: number): Verb<FaultStops> {
  mightFault(k)
  if (addr === 0) return len
  for (let at = addr; at < addr + len; at = (vpnOf(at) + 1) * 4096) {
    const p = frameFor(k, mm, vpnOf(at), false)
    if (p >= 0) continue
    const code = p === RAW ? FAULT_SIGBUS : yield* fault(k, mm, vpnOf(at), READ, at % 4096, KERNEL_MODE)
    if (code !== FAULT_OK) return addr + len - at
  }
  return 0
}

function* copy(k: Kernel, mm: Mm, addr: number, bytes: Uint8Array, out: boolean): Verb<FaultStops> {
  for (let done = 0; done < bytes.length;) {
    const at = addr + done
    if (at >= TASK_SIZE) return bytes.length - done
    const vpn = vpnOf(at)
    let p = frameFor(k, mm, vpn, out)
    while (p === MISSING) {
      const code = yield* fault(k, mm, vpn, out ? WRITE : READ, at % 4096, KERNEL_MODE)
      if (code !== FAULT_OK) return bytes.length - done
      p = frameFor(k, mm, vpn, out) // somebody may have taken it away again
    }
    if (p === RAW) return bytes.length - done
    const n = Math.min(4096 - (at % 4096), bytes.length - done)
    const here = p * 4096 + (at % 4096)
    if (out) {
      k.frames.bytes.set(bytes.subarray(done, done + n), here)
    } else bytes.set(k.frames.bytes.subarray(here, here + n), done)
    done += n
  }
  return 0
}
