/** From errno to typed failures. Floor 8, internal. */
import { Effect } from "effect"
import { byName, nameOf } from "../flags/Errno.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import { type ErrnoName, type Fail, make } from "./Fail.ts"
import { failureOf } from "./raw.ts"

/** Turns results of one core verb into success, or into the failures that its `@returns` line names; another errno is a
 * bug of ours. Built once for each verb: a failure costs one lookup.
 */
export function settler<T extends ErrnoName>(
  ...names: readonly T[]
): <A>(r: number, a: A) => Effect.Effect<A, Fail<T>> {
  const failures = new Map<number, Effect.Effect<never, Fail<T>>>(
    names.map((name) => [byName[name], Effect.fail(failureOf<T>(make(name)))])
  )
  return (r, a) => (r >= 0 ? Effect.succeed(a) : (failures.get(r) ?? unexpected(r, names)))
}

/** The same for a verb that asks objects or drivers of users: they may answer with any errno. */
export const settleAny = <A>(r: number, a: A): Effect.Effect<A, Fail<ErrnoName>> =>
  r >= 0 ? Effect.succeed(a) : Effect.fail(failureOf(make(nameOf(r) ?? "EINVAL")))

const unexpected = (r: number, names: readonly ErrnoName[]): Effect.Effect<never> =>
  Effect.sync(() => vmBugOn(`the core answers ${nameOf(r) ?? r}, expected one of ${names.join(", ")}`))
