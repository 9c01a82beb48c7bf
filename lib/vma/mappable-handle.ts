/** Objects of one's own, and what their mappings are known by, as handles. Floor 8; `Mappable` has the names. */
import type { Access } from "./AccessType.ts"

declare const mappable: unique symbol
declare const identity: unique symbol

/** An object that can be mapped, for `Max` at most. */
export interface Mappable<in out Max extends Access> {
  readonly [mappable]: (_: Max) => Max
}

/** What mappings of an object are known by. */
export interface MappingIdentity<in out Max extends Access> {
  readonly [identity]: (_: Max) => Max
}
