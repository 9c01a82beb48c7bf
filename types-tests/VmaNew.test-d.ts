/** A VMA under construction: edits teach facts, and facts take failures away. What is refused: diagnostics/levels.ts. */
import type { Effect } from "effect"
import { type Fail, type Locked, VmaNew, type VmaRef } from "pagewright"
import { expectAssignable, expectType } from "tsd"

type Here = Locked.AfterUnlock
type Fresh = "!VM_PFNMAP" | "!VM_MIXEDMAP"
declare const fresh: VmaNew.VmaNew<Fresh, Here>
declare const readOnly: VmaNew.VmaNew<"!VM_WRITE", Here>

expectAssignable<VmaRef.VmaRef<Locked.VmaWrite, Fresh, Here>>(fresh)
expectType<VmaNew.VmaPlan<"!VM_PFNMAP" | "VM_MIXEDMAP", Here>>(fresh.setMixedmap())
expectType<VmaNew.VmaPlan<"!VM_MIXEDMAP" | "VM_PFNMAP", Here>>(fresh.setPfnmap())
// a plan is an effect that answers the VMA with what is known then
expectAssignable<Effect.Effect<VmaNew.VmaNew<"!VM_PFNMAP" | "VM_MIXEDMAP" | "VM_IO", Here>, never, Locked.Held<Here>>>(
  fresh.setMixedmap().setIo()
)
// EINVAL is there where the flag is not known, and nowhere else
expectAssignable<Effect.Effect<unknown, Fail.Errno<"EINVAL">, Locked.Held<Here>>>(fresh.tryClearMaywrite())
expectAssignable<Effect.Effect<unknown, never, Locked.Held<Here>>>(readOnly.tryClearMaywrite())
expectType<VmaNew.VmaPlan<Fresh | "!VM_MAYEXEC", Here, Fail.Errno<"EINVAL">>>(fresh.tryClearMayexec())
if (fresh.writable()) expectType<VmaNew.VmaNew<Fresh | "VM_WRITE", Here>>(fresh)
const write = VmaNew.is(fresh, "VM_WRITE")
if (!write.set) expectAssignable<Effect.Effect<unknown, never, Locked.Held<Here>>>(write.vma.tryClearMaywrite())
