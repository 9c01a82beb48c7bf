/** Where user accesses enter the kernel: loads and stores by address, a TLB miss, a page fault, a signal. Floor 6.
 * @source arch/x86/mm/fault.c (v6.18)
 */
import { type Access, FAULT_GP, FAULT_MAPERR, FAULT_OK, FAULT_SIGBUS, READ, WRITE } from "../../flags/FaultFlags.ts"
import { DIRTY, PRESENT, PROTNONE, SPECIAL, WRITE as PTE_WRITE, YOUNG } from "../../flags/PteFlags.ts"
import { T_FAULT } from "../base/trace.ts"
import { type Addr, registerOf, TASK_SIZE, vpnOf, type Vpn, type Word } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import { fault, faultNow } from "../page/fault.ts"
import { FAULT_USERFAULT, GIVE_UP } from "../page/need.ts"
import { switchMm } from "../page/tlb.ts"
import { bitsAt } from "../page/walk.ts"
import { NO_SLOT } from "../store/ptes.ts"
import type { Mm } from "../store/mms.ts"
import { runNow } from "./run-now.ts"

const PRESENT_MASK = PRESENT | PROTNONE | SPECIAL
/** Half of the 48-bit space: addresses from here to the kernel half are not canonical. */
const CANONICAL = 2 ** 47
/** A fault that would have had to wait, for synchronous callers. Not an outcome of flags/FaultFlags.ts. */
export const FAULT_WOULD_WAIT = 32

/** Is `addr` a byte of user space? Otherwise which signal it gives: not canonical, or the kernel's.
 * @returns FAULT_OK | FAULT_GP | FAULT_MAPERR
 */
export function checkUserAddr(addr: Word): number {
  if (typeof addr === "number" && addr >= 0 && addr < TASK_SIZE && Math.floor(addr) === addr) return FAULT_OK
  const a = registerOf(addr)
  if (a < BigInt(TASK_SIZE)) return FAULT_OK
  return a >= BigInt(CANONICAL) && a < 0xffff_8000_0000_0000n ? FAULT_GP : FAULT_MAPERR
}

/** The address in a register that `checkUserAddr` found to be one of user space: fractions are cut, bigints to 64 bits. */
export const userAddr = (addr: Word): Addr =>
  typeof addr === "number" && addr >= 0 && Math.floor(addr) === addr ? addr : Number(registerOf(addr))

/** Lets the TLB find entries of `k.activeMm` and fault in what is missing. */
export function installTrap(k: Kernel): void {
  k.tlb.miss = (addr, write) => miss(k, addr, write)
}

function miss(k: Kernel, addr: Addr, write: boolean): number {
  const mm = k.activeMm
  if (mm === 0) return FAULT_MAPERR
  const bad = checkUserAddr(addr)
  if (bad !== FAULT_OK) return bad
  const vpn = vpnOf(addr)
  if (hit(k, mm, vpn, write)) return FAULT_OK
  const code = resolveNow(k, mm, vpn, write ? WRITE : READ)
  if (code !== FAULT_OK) return code
  if (hit(k, mm, vpn, write)) return FAULT_OK
  // UNLIKE LINUX: no bus answers for a raw frame number here, and faulting again would not help.
  return (bitsAt(k, mm, vpn) & SPECIAL) !== 0 ? FAULT_SIGBUS : FAULT_WOULD_WAIT
}

/** Resolves a fault in one turn, the generator included where it does not have to wait. */
function resolveNow(k: Kernel, mm: Mm, vpn: Vpn, access: Access): number {
  k.trace.point(T_FAULT, mm, vpn, access)
  const code = faultNow(k, mm, vpn, access)
  if (code === FAULT_USERFAULT) return FAULT_WOULD_WAIT // nobody is told in vain
  return code === GIVE_UP ? resolveByGenerator(k, mm, vpn, access) : code
}

/** An owner that must be asked is waited for: nobody agrees for him here. */
const nobodyAnswers = (): undefined => undefined

/** Apart from its caller, which would otherwise allocate what the closure catches on every fault. */
function resolveByGenerator(k: Kernel, mm: Mm, vpn: Vpn, access: Access): number {
  const r = runNow(k, () => fault(k, mm, vpn, access), nobodyAnswers)
  return typeof r === "number" ? r : FAULT_WOULD_WAIT
}

/** Fills the TLB from an entry that is good already, as the MMU does by itself. */
function hit(k: Kernel, mm: Mm, vpn: Vpn, write: boolean): boolean {
  const slot = k.ptes.slot(k.mms.pgd(mm), vpn)
  if (slot === NO_SLOT) return false
  const bits = k.ptes.bits(slot)
  if ((bits & PRESENT_MASK) !== PRESENT || (write && (bits & (PTE_WRITE | DIRTY)) !== (PTE_WRITE | DIRTY))) return false
  k.ptes.setBits(slot, bits | YOUNG)
  k.tlb.fill(vpn, k.ptes.pfn(slot), write)
  return true
}

/** Loads a byte as `mm`'s user does.
 * @returns 0..255 | a fault code, negated
 */
export function userLoad8(k: Kernel, mm: Mm, addr: Word): number {
  const bad = checkUserAddr(addr)
  if (bad !== FAULT_OK) return -bad
  if (k.activeMm !== mm) switchMm(k, mm)
  const value = k.tlb.load8(userAddr(addr))
  const code = k.tlb.takeFault()
  return code === FAULT_OK ? value : -code
}

/** Stores a byte as `mm`'s user does.
 * @returns 0 | a fault code, negated
 */
export function userStore8(k: Kernel, mm: Mm, addr: Word, value: number): number {
  const bad = checkUserAddr(addr)
  if (bad !== FAULT_OK) return -bad
  if (k.activeMm !== mm) switchMm(k, mm)
  k.tlb.store8(userAddr(addr), value)
  return 0 - k.tlb.takeFault()
}
