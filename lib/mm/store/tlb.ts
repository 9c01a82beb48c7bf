/** Software TLB: direct mapped, 1024 lines of four words, tagged with an address-space number. Floor 2.
 *
 *     line[i*4]  read tag    [i*4+1]  write tag    [i*4+2]  first word of the frame    [i*4+3]  -
 *     tag = vpn >> 10 (25 bits) | asn << 25 ; -1 never matches
 *
 * `addr | 0` is the low 32 bits of a double, exact modulo 2^32, and `addr * 2^-22 | 0` its 25 high ones: two conversions,
 * no floor, no double compare (0.7 ns against 4).
 */
import type { Addr, Pfn, Vpn } from "../base/units.ts"
import type { Frames } from "./frames.ts"

const LINES = 1024
const ASNS = 64

/** The translation cache of one world's processor. */
export class Tlb {
  private readonly line = new Int32Array(LINES * 4).fill(-1)
  readonly words: Int32Array
  // Numbers 1..63 are handed out; when they run out the lines are cleared and the generation moves on, so that a number
  // kept by a sleeping mm can be told from a fresh one.
  private asnTop = 1
  private generation = 1
  private cur = 0
  misses = 0
  flushes = 0
  /** Code of the signal that an access ended in, until somebody takes it with `takeFault`; and its address. */
  fault = 0
  readonly faultAddr = new Float64Array(1)
  /** Resolves a miss by faulting the page in: FAULT_OK when the line is filled. Set when the world boots. */
  miss: (addr: Addr, write: boolean) => number = () => 1

  constructor(frames: Frames) {
    this.words = frames.words
  }

  /** The pending signal's code (FAULT_OK if none), and forgets it. */
  takeFault(): number {
    const f = this.fault
    this.fault = 0
    return f
  }

  /** A tag that an mm keeps: generation * 64 + number. */
  newTag(): number {
    if (this.asnTop === ASNS) {
      this.line.fill(-1)
      this.asnTop = 1
      this.generation++
    }
    return this.generation * ASNS + this.asnTop++
  }
  isFresh(tag: number): boolean {
    return tag >>> 6 === this.generation
  }
  /** Accesses from now on are those of the address space with this tag. */
  use(tag: number): void {
    this.cur = (tag & 63) << 25
  }

  load32(addr: Addr): number {
    const lo = addr | 0
    const i = (lo >>> 10) & 0xffc
    if (this.line[i] === ((addr * (1 / 4194304)) | 0 | this.cur) && (lo & 3) === 0)
      return this.words[this.line[i + 2]! + ((lo & 4095) >>> 2)]!
    return this.load32Slow(addr)
  }
  load8(addr: Addr): number {
    const lo = addr | 0
    const i = (lo >>> 10) & 0xffc
    if (this.line[i] === ((addr * (1 / 4194304)) | 0 | this.cur))
      return (this.words[this.line[i + 2]! + ((lo & 4095) >>> 2)]! >>> ((lo & 3) << 3)) & 255
    return this.load8Slow(addr)
  }
  store32(addr: Addr, value: number): number {
    const lo = addr | 0
    const i = (lo >>> 10) & 0xffc
    if (this.line[i + 1] === ((addr * (1 / 4194304)) | 0 | this.cur) && (lo & 3) === 0) {
      this.words[this.line[i + 2]! + ((lo & 4095) >>> 2)] = value
      return 0
    }
    return this.store32Slow(addr, value)
  }
  store8(addr: Addr, value: number): number {
    const lo = addr | 0
    const i = (lo >>> 10) & 0xffc
    if (this.line[i + 1] === ((addr * (1 / 4194304)) | 0 | this.cur)) {
      this.putByte(this.line[i + 2]!, lo, value)
      return 0
    }
    const b = this.baseFor(addr, true)
    if (b < 0) return this.fault
    this.putByte(b, lo, value)
    return 0
  }
  private putByte(base: number, lo: number, value: number): void {
    const w = base + ((lo & 4095) >>> 2)
    const sh = (lo & 3) << 3
    this.words[w] = (this.words[w]! & ~(255 << sh)) | ((value & 255) << sh)
  }
  /** First word of addr's frame, for a read or a write; faults it in; -1 when that ends in a signal (`fault`, `faultAddr`). */
  baseFor(addr: Addr, write: boolean): number {
    const i = ((addr | 0) >>> 10) & 0xffc
    if (this.line[i + (write ? 1 : 0)] !== ((addr * (1 / 4194304)) | 0 | this.cur)) {
      this.misses++
      const code = this.miss(addr, write)
      this.fault = code
      if (code !== 0) {
        this.faultAddr[0] = addr
        return -1
      }
    }
    return this.line[i + 2]!
  }
  /** Called once an entry is good: its line, writable or not. */
  fill(vpn: Vpn, pfn: Pfn, writable: boolean): void {
    const i = (vpn & 1023) << 2
    const tag = (vpn * (1 / 1024)) | 0 | this.cur
    this.line[i] = tag
    this.line[i + 1] = writable ? tag : -1
    this.line[i + 2] = pfn << 10
  }
  private load32Slow(addr: Addr): number {
    const off = addr & 4095
    if (off <= 4092) {
      const b = this.baseFor(addr, false)
      if (b < 0) return 0
      const w = b + (off >>> 2)
      const sh = (off & 3) << 3
      return sh === 0 ? this.words[w]! : (this.words[w]! >>> sh) | (this.words[w + 1]! << (32 - sh))
    }
    let out = 0
    for (let k = 0; k < 4; k++) {
      out |= this.load8(addr + k) << (k << 3)
      if (this.fault !== 0) return 0
    }
    return out
  }
  private load8Slow(addr: Addr): number {
    const b = this.baseFor(addr, false)
    return b < 0 ? 0 : (this.words[b + ((addr & 4095) >>> 2)]! >>> ((addr & 3) << 3)) & 255
  }
  private store32Slow(addr: Addr, value: number): number {
    const off = addr & 4095
    if (off <= 4092) {
      const b = this.baseFor(addr, true)
      if (b < 0) return this.fault
      const w = b + (off >>> 2)
      const sh = (off & 3) << 3
      if (sh === 0) this.words[w] = value
      else {
        const m = -1 << sh
        this.words[w] = (this.words[w]! & ~m) | (value << sh)
        this.words[w + 1] = (this.words[w + 1]! & m) | (value >>> (32 - sh))
      }
      return 0
    }
    // across pages: both are faulted in before the first byte changes
    if (this.baseFor(addr, true) < 0 || this.baseFor(addr + 4096 - off, true) < 0) return this.fault
    for (let k = 0; k < 4; k++) if (this.store8(addr + k, value >>> (k << 3)) !== 0) return this.fault
    return 0
  }
  /** Drops one page of every address space (a tag is only compared whole, so clearing is enough). */
  flushPage(vpn: Vpn): void {
    const i = (vpn & 1023) << 2
    this.line[i] = -1
    this.line[i + 1] = -1
    this.flushes++
  }
  flushAll(): void {
    this.line.fill(-1)
    this.flushes++
  }
  /** Calls `f` for each line of the address space with this tag. For checks. */
  forEachLine(tag: number, f: (vpn: Vpn, pfn: Pfn, write: boolean) => void): void {
    const asn = tag & 63
    for (let i = 0; i < LINES * 4; i += 4)
      for (const write of [false, true]) {
        const t = this.line[i + (write ? 1 : 0)]!
        if (t !== -1 && t >>> 25 === asn) f((t & 0x1ffffff) * 1024 + (i >> 2), this.line[i + 2]! >> 10, write)
      }
  }
}
