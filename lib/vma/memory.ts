/** Loads and stores of a process, 8 to 64 bits and byte ranges. Little endian. Floor 8, internal; `Task` has them. */
import type { Effect } from "effect"
import { access } from "./access.ts"
import type { Takes } from "./Lockdep.ts"
import { onProcess, type Task } from "./process.ts"
import { type Register, wordOf } from "./register.ts"
import type { Signal } from "./signal.ts"

export type { Sigbus, Sigkill, Signal, Sigsegv } from "./signal.ts"

type Access<A> = Effect.Effect<A, Signal, Task | Takes<"mmap_lock">>

const loaded = <A>(at: Register, size: number, value: (view: DataView) => A): Access<A> =>
  onProcess((p) => {
    const buffer = new Uint8Array(size)
    return access(
      p,
      wordOf(at),
      size,
      false,
      (bytes, from, offset, n) => buffer.set(bytes.subarray(from, from + n), offset),
      () => value(new DataView(buffer.buffer))
    )
  })

const stored = (at: Register, size: number, fill: (view: DataView) => void): Access<void> =>
  onProcess((p) => {
    const buffer = new Uint8Array(size)
    fill(new DataView(buffer.buffer))
    return access(
      p,
      wordOf(at),
      size,
      true,
      (bytes, to, offset, n) => bytes.set(buffer.subarray(offset, offset + n), to),
      () => {}
    )
  })

/** Loads a byte. @returns 0..255 | a signal */
export const load8 = (at: Register): Access<number> => loaded(at, 1, (view) => view.getUint8(0))
/** Loads 16 bits. @returns 0..65535 | a signal */
export const load16 = (at: Register): Access<number> => loaded(at, 2, (view) => view.getUint16(0, true))
/** Loads 32 bits. @returns 0..2^32-1 | a signal */
export const load32 = (at: Register): Access<number> => loaded(at, 4, (view) => view.getUint32(0, true))
/** Loads 64 bits. @returns 0..2^64-1 | a signal */
export const load64 = (at: Register): Access<bigint> => loaded(at, 8, (view) => view.getBigUint64(0, true))

/** Stores the low 8 bits of `value`. */
export const store8 = (at: Register, value: number): Access<void> => stored(at, 1, (view) => view.setUint8(0, value))
/** Stores the low 16 bits of `value`. */
export const store16 = (at: Register, value: number): Access<void> =>
  stored(at, 2, (view) => view.setUint16(0, value, true))
/** Stores the low 32 bits of `value`. */
export const store32 = (at: Register, value: number): Access<void> =>
  stored(at, 4, (view) => view.setUint32(0, value, true))
/** Stores the low 64 bits of `value`. */
export const store64 = (at: Register, value: bigint): Access<void> =>
  stored(at, 8, (view) => view.setBigUint64(0, value, true))

/** Loads `length` bytes.
 * @returns a copy | a signal, and nothing was loaded
 */
export const loadBytes = (at: Register, length: number): Access<Uint8Array> =>
  loaded(at, length, (view) => new Uint8Array(view.buffer))

/** Stores `bytes`.
 * @returns a signal
 * @partial pages before the one that gave the signal are written
 */
export const storeBytes = (at: Register, bytes: Uint8Array): Access<void> =>
  stored(at, bytes.length, (view) => new Uint8Array(view.buffer).set(bytes))
