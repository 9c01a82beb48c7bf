/** What may be done to memory, as three letters: the value is its type. Floor 8.
 *
 * `"r--"` is what /proc prints. Ceilings are computed by the compiler from it: what may at most be read has no way to a
 * write in its type.
 */

/** Any set of read, write and execute. */
export type Access = `${"r" | "-"}${"w" | "-"}${"x" | "-"}`

/** Every access that needs no more than `Max` allows; of several, no more than any of them does. */
export type Within<Max extends Access> = Extract<
  { [A in Access]: [Max] extends [Allowing<A>] ? A : never }[Access],
  Access
>

/** Every access that needs no more than one of `Max` allows. */
export type WithinSome<Max extends Access> = Max extends `${infer R}${infer W}${infer X}`
  ? Extract<`${R | "-"}${W | "-"}${X | "-"}`, Access>
  : never

/** Every access that allows all that `A` needs. */
type Allowing<A extends Access> = { [B in Access]: A extends WithinSome<B> ? B : never }[Access]

/** `A`, and reading if it writes or executes: what a processor makes of it. */
export type Effective<A extends Access> = A extends "---"
  ? "---"
  : A extends `${infer _}${infer Rest}`
    ? Extract<`r${Rest}`, Access>
    : never

/** Nothing. */
export const NONE = "---"
export const READ = "r--"
export const WRITE = "-w-"
export const EXECUTE = "--x"
export const READ_WRITE = "rw-"
export const READ_EXECUTE = "r-x"
/** Everything. */
export const ANY = "rwx"

const names: readonly Access[] = ["---", "r--", "-w-", "rw-", "--x", "r-x", "-wx", "rwx"]

/** Bits of `ProtFlags`: 1 read, 2 write, 4 execute. */
export const bits = (access: Access): number =>
  (access.charCodeAt(0) === 114 ? 1 : 0) |
  (access.charCodeAt(1) === 119 ? 2 : 0) |
  (access.charCodeAt(2) === 120 ? 4 : 0)

/** The access with the low three bits of `prot`. */
export const fromBits = (prot: number): Access => names[prot & 7]!

/** Does `a` allow all that `b` does? */
export const isSupersetOf = (a: Access, b: Access): boolean => (bits(b) & ~bits(a)) === 0
/** What both allow. */
export const intersect = (a: Access, b: Access): Access => fromBits(bits(a) & bits(b))
/** What either allows. */
export const union = (a: Access, b: Access): Access => fromBits(bits(a) | bits(b))
/** With reading, if it writes or executes. */
export const effective = (a: Access): Access => (bits(a) > 1 ? fromBits(bits(a) | 1) : a)
