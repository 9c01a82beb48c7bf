/** Handles of pages: the owned page, and the borrowed view of its bytes. Floor 8, internal. */
import type { Effect } from "effect"
import type { Fail } from "./Fail.ts"
import type { AfterUnlock, Held, mustNotOutliveItsLock } from "./region.ts"
import type { Pfn } from "./unit.ts"

declare const ownedPage: unique symbol

/** An order-0 page that its holder owns: it can be stored, and is put exactly once, by the Scope that allocated it or
 * by `Page.put` before that.
 * @source rust/kernel/page.rs Page (v6.18)
 */
export interface Page {
  readonly [ownedPage]: true
  /** Its frame number. */
  readonly pfn: Pfn
}

/** The bytes of a page, mapped into the kernel for one section.
 * @source rust/kernel/page.rs Page::with_page_mapped (v6.18)
 */
export interface Mapped<in out here extends AfterUnlock> extends Held<here> {
  readonly [mustNotOutliveItsLock]: (_: here) => here
  /** Bytes in this view. */
  readonly size: number
  /** Copies `length` bytes out, from byte `offset` on.
   * @returns EINVAL beyond the view
   */
  read(offset: number, length: number): Effect.Effect<Uint8Array, Fail<"EINVAL">, Held<here>>
  /** Copies `bytes` in, from byte `offset` on.
   * @returns EINVAL beyond the view
   */
  write(offset: number, bytes: Uint8Array): Effect.Effect<void, Fail<"EINVAL">, Held<here>>
}
