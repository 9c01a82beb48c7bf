/** What users' own tests need: a small machine for each test, pictures of address spaces, invariants, failed allocations,
 * and every order in which concurrent programs can go. Floor 10.
 */
export {
  boot,
  checkIdle,
  checkMm,
  draw,
  drawPages,
  exit,
  failNth,
  legend,
  map,
  spawn,
  start
} from "./proof/testing/kit.ts"
export type { Attributes, Legend, Machine, Small, Window } from "./proof/testing/kit.ts"
export * as Explore from "./proof/explore/Explore.ts"
