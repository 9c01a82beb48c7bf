/** Pages a driver owns. Floor 8. */
import type { Effect, Scope } from "effect"
import type { Fail } from "./Fail.ts"
import type { Sleeps } from "./Lockdep.ts"
import type { Mapped, Page } from "./page-handle.ts"
import type { AfterUnlock, AnyEffect, Body, Release, Stay } from "./region.ts"

export type { Mapped, Page } from "./page-handle.ts"
export type Gfp = `GFP_${"KERNEL" | "ATOMIC"}` | `GFP_${"KERNEL" | "ATOMIC"}|__GFP_ZERO`
export declare const allocPage: <const G extends Gfp>(
  gfp: G
) => Effect.Effect<
  Page,
  Fail<"ENOMEM">,
  Scope.Scope | (G extends `GFP_KERNEL${string}` ? Sleeps<"alloc_page(GFP_KERNEL)"> : never)
>
export declare const put: (page: Page) => Effect.Effect<void>
export declare const withPageMapped: <Fx extends AnyEffect>(
  page: Page,
  body: <here extends AfterUnlock>(bytes: Mapped<here>) => Stay<Effect.Success<Fx>, Effect.Error<Fx>, Body<Fx, here>>
) => Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>, Release<Effect.Services<Fx>>>
