/** Tries the orders in which concurrent programs can go: every one up to a bound, or random ones. Floor 9. */
export { type Scenario, search, small } from "./effects.ts"
export { type Failure, type Outcome, tell } from "./search.ts"
export { type Choices, dfs, pct, random, replay, type Option, type Strategy } from "./strategy.ts"
