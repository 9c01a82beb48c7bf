/** Pages are owned by a Scope; the view of their bytes by a section. What is refused: diagnostics/pages.ts. */
import type { Effect, Scope } from "effect"
import { type Fail, type Kernel, type Lockdep, Page, type Units } from "pagewright"
import { expectType } from "tsd"

declare const page: Page.Page
expectType<Units.Pfn>(page.pfn)
expectType<Effect.Effect<Page.Page, Fail.Errno<"ENOMEM">, Kernel.Kernel | Scope.Scope>>(Page.allocPage("GFP_ATOMIC"))
expectType<
  Effect.Effect<Page.Page, Fail.Errno<"ENOMEM">, Kernel.Kernel | Scope.Scope | Lockdep.Sleeps<"alloc_page(GFP_KERNEL)">>
>(Page.allocPage("GFP_KERNEL|__GFP_ZERO"))
expectType<Effect.Effect<Uint8Array, Fail.Errno<"EINVAL">>>(Page.read(page, 0, 1))
expectType<Effect.Effect<Uint8Array, Fail.Errno<"EINVAL">>>(Page.withPageMapped(page, (bytes) => bytes.read(0, 1)))
expectType<Effect.Effect<void>>(Page.put(page))
