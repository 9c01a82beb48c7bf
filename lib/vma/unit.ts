/** The units as types: ts-brands over `object`, so that the compiler refuses arithmetic on them. Floor 8, internal.
 * A brand over `number` would let `+` and `<` between two units through.
 */
import type { Brand } from "ts-brand"

/** A virtual address, in bytes. Any 64-bit address that a double holds exactly; user space ends at 2^47. */
export type UserAddr = Brand<object, "UserAddr">
/** A physical address, in bytes. */
export type PhysAddr = Brand<object, "PhysAddr">
/** A page frame number. */
export type Pfn = Brand<object, "Pfn">
/** A page offset within an object (`pgoff`). */
export type PageIndex = Brand<object, "PageIndex">
/** A length, in bytes. */
export type ByteLength = Brand<object, "ByteLength">
/** An offset within a file, in bytes. */
export type FileOffset = Brand<object, "FileOffset">
/** Any of the units. */
export type Unit = UserAddr | PhysAddr | Pfn | PageIndex | ByteLength | FileOffset
/** A unit of bytes that is known to be a multiple of the page size. */
export type PageAligned<U extends Unit> = Brand<U, "PageAligned", "__align__">
