/** Devices: state, errors and services are read off the hooks. What is refused: diagnostics/hooks.ts. */
import { Context, Effect, type Scope } from "effect"
import { Device, Fail, type Kernel, type Lockdep, type Locked, type Page, Range } from "pagewright"
import { expectError, expectType } from "tsd"

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

// taking pages back takes the lock of the mappings, and says so
declare const mapping: Locked.Mapping
expectType<Effect.Effect<void, never, Lockdep.Takes<"i_mmap_rwsem">>>(
  Device.unmapMappingRange(mapping, Range.ofPages(0, 1), { evenCows: true })
)
expectType<Effect.Effect<void, never, Lockdep.Takes<"i_mmap_rwsem">>>(
  Device.unmapMappingRange(mapping, "all", { evenCows: false })
)
expectError(Device.unmapMappingRange(mapping, Range.make(0, 4096), { evenCows: true }))
expectError(Device.unmapMappingRange(mapping, Range.ofPages<"addr">(0, 1), { evenCows: true }))
expectError(Device.unmapMappingRange(mapping, "all", {}))
