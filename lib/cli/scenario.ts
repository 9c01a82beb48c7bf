/** What `pagewright run` accepts as a scenario. Floor 11. */
import { Effect } from "effect"

/** A named program that needs nothing more and tells its own story through Effect's `Console`. */
export type Scenario = {
  readonly name: string
  readonly run: Effect.Effect<unknown, unknown>
}

/** Every Effect may be tried; one that still needs a service dies with that service's name. */
const asProgram = (value: unknown): Effect.Effect<unknown, unknown> | undefined =>
  Effect.isEffect(value) ? (value as Effect.Effect<unknown, unknown>) : undefined

/** The scenario that a module's default export is: an Effect, or `{ name, run }`; else `undefined`. */
export function scenarioOf(exported: unknown, fallbackName: string): Scenario | undefined {
  const program = asProgram(exported)
  if (program !== undefined) return { name: fallbackName, run: program }
  if (typeof exported !== "object" || exported === null || !("run" in exported)) return undefined
  const run = asProgram(exported.run)
  if (run === undefined) return undefined
  const name = "name" in exported && typeof exported.name === "string" ? exported.name : fallbackName
  return { name, run }
}

/** Says whether a scenario's failure is a check of its own that did not hold, not a mishap. */
export const isFailedCheck = (failure: unknown): boolean =>
  typeof failure === "object" && failure !== null && "_tag" in failure && failure._tag === "CheckFailed"
