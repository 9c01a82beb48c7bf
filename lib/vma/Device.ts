/** Device drivers as values. Floor 8. */
import type { Effect, Scope } from "effect"
import type { Fail } from "./Fail.ts"
import type { HookBody, HookEffect, Hooks, ServicesOf } from "./hook.ts"
import type { Markers } from "./Lockdep.ts"
import type { AfterUnlock } from "./region.ts"
import type { UserAddr } from "./unit.ts"
import type { VmaNew } from "./VmaNew.ts"
import type { VmaRef } from "./VmaRef.ts"

export type { Hooks } from "./hook.ts"
declare const device: unique symbol
export interface Device<in out S, out OpenError, out MmapError, out R> {
  readonly [device]: {
    readonly state: (_: S) => S
    readonly open: OpenError
    readonly mmap: MmapError
    readonly needs: R
  }
}
interface Kinds {
  readonly plain: "!VM_PFNMAP" | "!VM_MIXEDMAP"
  readonly mixedmap: "VM_MIXEDMAP" | "!VM_PFNMAP"
  readonly pfnmap: "VM_PFNMAP" | "!VM_MIXEDMAP"
}
type Nothing = Effect.Effect<void>
export declare const make: <
  S,
  OE,
  OR,
  const K extends keyof Kinds = "plain",
  M extends HookEffect<"mmap"> = Nothing,
  R extends Effect.Effect<unknown, never, unknown> = Nothing,
  I extends Effect.Effect<number, Fail<"EINVAL">, unknown> = Effect.Effect<number>,
  O extends HookEffect<"open"> = Nothing,
  C extends HookEffect<"close"> = Nothing,
  Sp extends HookEffect<"maySplit"> = Nothing,
  F extends HookEffect<"fault"> = Effect.Effect<never>
>(def: {
  readonly open: Effect.Effect<S, OE, OR>
  readonly kind?: K
  readonly mmap?: <here extends AfterUnlock>(self: S, vma: VmaNew<Kinds[K], here>) => HookBody<M, here>
  readonly release?: (self: S) => R
  readonly vmOps?: {
    readonly open?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["open"]["level"], never, here>
    ) => HookBody<O, here>
    readonly close?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["close"]["level"], never, here>
    ) => HookBody<C, here>
    readonly maySplit?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["maySplit"]["level"], never, here>,
      at: UserAddr
    ) => HookBody<Sp, here>
    readonly fault?: <here extends AfterUnlock>(
      self: S,
      vma: VmaRef<Hooks["fault"]["level"], never, here>,
      at: UserAddr
    ) => HookBody<F, here>
  }
}) => Device<S, OE, Effect.Error<M>, Exclude<OR, Scope.Scope | Markers> | ServicesOf<M | R | I | O | C | Sp | F>>
