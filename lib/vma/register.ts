/** What a system call's argument may be: anything. Floor 8, internal. */
import type { Word } from "../mm/base/units.ts"
import { numberOf } from "./raw.ts"
import type { Unit } from "./unit.ts"

/** A 64-bit register as a program fills it: a unit, or any number, NaN and fractions included, or any bigint. */
export type Register = Unit | number | bigint

/** What the core gets of it. */
export const wordOf = (register: Register): Word =>
  typeof register === "number" || typeof register === "bigint" ? register : numberOf(register)
