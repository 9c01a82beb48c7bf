/** Loads and stores of a process, 8 to 64 bits and byte ranges. Little endian. Floor 8, internal; `Task` has them. */
import { Effect } from "effect"
import { FAULT_OK } from "../flags/FaultFlags.ts"
import type { Word } from "../mm/base/units.ts"
import { switchMm } from "../mm/page/tlb.ts"
import type { Tlb } from "../mm/store/tlb.ts"
import { checkUserAddr, userAddr } from "../mm/sys/trap.ts"
import { access } from "./access.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Process, type Task } from "./process.ts"
import { type Register, wordOf } from "./register.ts"
import type { Signal } from "./signal.ts"

export type { Sigbus, Sigkill, Signal, Sigsegv } from "./signal.ts"

type Access<A> = Effect.Effect<A, Signal, Task | Takes<"mmap_lock">>

/** Any access: `now`, where it has all it needs, or nothing was changed; else piece by piece, waiting where it must. */
const accessed = <A>(
  at: Register,
  now: ((tlb: Tlb, at: number) => A) | undefined,
  slow: (p: Process, at: Word) => Effect.Effect<A, Signal>
): Access<A> =>
  onProcess((p) => {
    const word = wordOf(at)
    if (now === undefined || typeof word !== "number" || checkUserAddr(word) !== FAULT_OK) return slow(p, word)
    const { k } = p.world
    const mm = k.tasks.mm(p.pid)
    if (k.activeMm !== mm) switchMm(k, mm)
    k.runs.current = 0 // the fault that a miss may run is nobody's hook
    const answer = now(k.tlb, userAddr(word))
    return k.tlb.takeFault() === FAULT_OK ? Effect.succeed(answer) : slow(p, word)
  })

/** A value on its way: its bytes move in one turn, so that one place is enough. A buffer an access would cost as much as the
 * fault that makes it necessary.
 */
const value8 = new Uint8Array(8)
const view8 = new DataView(value8.buffer)

const loaded =
  <A>(size: number, value: (view: DataView) => A) =>
  (p: Process, at: Word): Effect.Effect<A, Signal> =>
    access(
      p,
      at,
      size,
      false,
      (bytes, from, offset, n) => {
        for (let i = 0; i < n; i++) value8[offset + i] = bytes[from + i]!
      },
      () => value(view8)
    )

const stored =
  (size: number, fill: (view: DataView) => void) =>
  (p: Process, at: Word): Effect.Effect<void, Signal> =>
    access(
      p,
      at,
      size,
      true,
      (bytes, to, offset, n) => {
        fill(view8)
        for (let i = 0; i < n; i++) bytes[to + i] = value8[offset + i]!
      },
      () => {}
    )

const slow8 = loaded(1, (view) => view.getUint8(0))
const slow16 = loaded(2, (view) => view.getUint16(0, true))
const slow32 = loaded(4, (view) => view.getUint32(0, true))
const slow64 = loaded(8, (view) => view.getBigUint64(0, true))
const now8 = (tlb: Tlb, at: number): number => tlb.load8(at)
const now32 = (tlb: Tlb, at: number): number => tlb.load32(at) >>> 0

/** Loads a byte. @returns 0..255 | a signal */
export const load8 = (at: Register): Access<number> => accessed(at, now8, slow8)
/** Loads 16 bits. @returns 0..65535 | a signal */
export const load16 = (at: Register): Access<number> => accessed(at, undefined, slow16)
/** Loads 32 bits. @returns 0..2^32-1 | a signal */
export const load32 = (at: Register): Access<number> => accessed(at, now32, slow32)
/** Loads 64 bits. @returns 0..2^64-1 | a signal */
export const load64 = (at: Register): Access<bigint> => accessed(at, undefined, slow64)

/** Stores the low 8 bits of `value`. */
export const store8 = (at: Register, value: number): Access<void> =>
  accessed(
    at,
    (tlb, address) => void tlb.store8(address, value),
    stored(1, (view) => view.setUint8(0, value))
  )
/** Stores the low 16 bits of `value`. */
export const store16 = (at: Register, value: number): Access<void> =>
  accessed(
    at,
    undefined,
    stored(2, (view) => view.setUint16(0, value, true))
  )
/** Stores the low 32 bits of `value`. */
export const store32 = (at: Register, value: number): Access<void> =>
  accessed(
    at,
    (tlb, address) => void tlb.store32(address, value),
    stored(4, (view) => view.setUint32(0, value, true))
  )
/** Stores the low 64 bits of `value`. */
export const store64 = (at: Register, value: bigint): Access<void> =>
  accessed(
    at,
    undefined,
    stored(8, (view) => view.setBigUint64(0, value, true))
  )

/** Loads `length` bytes.
 * @returns a copy | a signal, and nothing was loaded
 */
export const loadBytes = (at: Register, length: number): Access<Uint8Array> =>
  accessed(at, undefined, (p, address) =>
    Effect.suspend(() => {
      const into = new Uint8Array(length)
      return access(
        p,
        address,
        length,
        false,
        (bytes, from, offset, n) => into.set(bytes.subarray(from, from + n), offset),
        () => into
      )
    })
  )

/** Stores `bytes`, as they are now.
 * @returns a signal
 * @partial pages before the one that gave the signal are written
 */
export const storeBytes = (at: Register, bytes: Uint8Array): Access<void> =>
  accessed(at, undefined, (p, address) =>
    Effect.suspend(() => {
      const from = new Uint8Array(bytes)
      return access(
        p,
        address,
        from.length,
        true,
        (memory, to, offset, n) => memory.set(from.subarray(offset, offset + n), to),
        () => {}
      )
    })
  )
