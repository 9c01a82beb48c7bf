/** The lock classes and their order, as interfaces that drivers extend. Floor 8; `lib/index.ts` exports it flat, so that
 * `declare module "pagewright"` reaches both interfaces.
 */
import type { lockClasses, lockOrder } from "../mm/base/lockdep.ts"

/** Every lock class, and whether waiting for it `"sleeps"` or `"spins"`. Drivers add theirs.
 * @example
 * ```ts
 * declare module "pagewright" {
 *   interface LockClasses {
 *     readonly ring_lock: "sleeps"
 *   }
 * }
 * ```
 */
export interface LockClasses extends Readonly<typeof lockClasses> {}

/** The lock order, one key per edge: `"a > b"` allows taking b while a is held. What follows from two edges follows.
 * A table of keys and not of lists, because two declarations of a list cannot be merged.
 * @example
 * ```ts
 * declare module "pagewright" {
 *   interface LockOrder {
 *     readonly "ring_lock > mmap_lock": true
 *   }
 * }
 * ```
 */
export interface LockOrder extends Readonly<typeof lockOrder> {}
