/** The one place where brands are minted and phantom types are claimed. Floor 8, internal.
 *
 * Every cast of the library is here, each with the reason why it holds.
 */
import type { Brand } from "ts-brand"
import type { Effect } from "effect"

/** Any unit: a brand over `object`, a plain number at run time. */
export type AnyUnit = Brand<object, string>

// INVARIANT: units.ts has checked the number against the unit's range; a unit is a number at run time.
export const unitOf = <U extends AnyUnit>(n: number): U => n as unknown as U

// INVARIANT: every unit was minted by `unitOf`, so it is a number.
export const numberOf = (u: AnyUnit): number => u as unknown as number

// INVARIANT: markers are requirements that nobody reads from the context; only a task's edge calls this.
export const discharged = <A, E>(self: Effect.Effect<A, E, unknown>): Effect.Effect<A, E> => self as Effect.Effect<A, E>

// INVARIANT: `set` is what the VMA's flag word says now, and it cannot change while the section holds its lock.
export const knowing = <Set, Clear>(
  vma: unknown,
  set: boolean
): { readonly set: true; readonly vma: Set } | { readonly set: false; readonly vma: Clear } =>
  set ? { set, vma: vma as Set } : { set, vma: vma as Clear }
