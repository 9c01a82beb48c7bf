/** Devices: state, errors and services are read off the hooks. What is refused: diagnostics/hooks.ts. */
import { Context, Effect, type Scope } from "effect"
import { Device, Fail, type Kernel, type Page } from "pagewright"
import { expectType } from "tsd"

class Db extends Context.Service<Db, { readonly load: Effect.Effect<Page.Page, Fail.Fail<"EIO">> }>()("Db") {}
declare const page: Page.Page

expectType<Device.Device<void, never, never, never>>(Device.make({ open: Effect.void }))
const device = Device.make({
  open: Fail.fail("EBUSY").pipe(Effect.as({ opened: 1 })),
  kind: "mixedmap",
  mmap: (self, vma) => (self.opened > 0 ? vma.vmInsertPage(vma.start, page) : Effect.fail({ _tag: "Tired" } as const)),
  vmOps: { fault: () => Effect.flatMap(Db, (db) => db.load) }
})
expectType<
  Device.Device<
    { opened: number },
    Fail.Errno<"EBUSY">,
    Fail.Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY"> | { readonly _tag: "Tired" },
    Db
  >
>(device)
expectType<Effect.Effect<void, Fail.Fail<"EEXIST" | "ENOMEM">, Db | Kernel.Kernel | Scope.Scope>>(
  Device.register("/dev/test", device)
)
