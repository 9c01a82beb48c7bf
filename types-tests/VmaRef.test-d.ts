/** VMAs: the lattice of levels, facts about flags, sections. What is refused: diagnostics/levels.ts and sections.ts. */
import type { Effect, Option } from "effect"
import { type Fail, type Locked, type Mm, type Page, type Units, VmaRef } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

type Here = Locked.AfterUnlock
declare const read: VmaRef.VmaRef<Locked.VmaRead, never, Here>
declare const mmapRead: VmaRef.VmaRef<Locked.MmapRead, "VM_IO", Here>
declare const written: VmaRef.VmaRef<Locked.VmaWrite, "VM_MIXEDMAP", Here>
declare const at: Units.PageAligned<Units.UserAddr>
declare const size: Units.PageAligned<Units.ByteLength>
declare const page: Page.Page

// a stronger level is every weaker one, more facts are fewer
expectAssignable<VmaRef.AnyVma<Here>>(mmapRead)
expectAssignable<VmaRef.VmaRef<Locked.MmapWrite, never, Here>>(written)
expectNotAssignable<VmaRef.VmaRef<Locked.MmapRead, never, Here>>(read)
expectNotAssignable<VmaRef.VmaRef<Locked.VmaRead, "VM_IO", Here>>(read)
// operations say what they need, what they fail with, and nothing else
expectType<Effect.Effect<void, never, Locked.Held<Here>>>(read.zapPageRangeSingle(at, size))
expectType<Effect.Effect<VmaRef.VmaSlice<Here>, Fail.Errno<"EFAULT">, Locked.Held<Here>>>(read.slice(at, size))
expectType<Effect.Effect<void, Fail.Fail<"EFAULT" | "EINVAL" | "ENOMEM" | "EBUSY">, Locked.Held<Here>>>(
  written.vmInsertPage(at, page)
)
expectType<Effect.Effect<VmaRef.VmaRef<Locked.VmaWrite, "VM_MIXEDMAP", Here>, never, Locked.Held<Here>>>(
  written.startWrite()
)
expectType<Effect.Effect<VmaRef.VmaRef<Locked.VmaWrite, "VM_MIXEDMAP" | "VM_IO", Here>, never, Locked.Held<Here>>>(
  written.setFlag("VM_IO")
)
expectType<Option.Option<VmaRef.VmaRef<Locked.VmaRead, "VM_MIXEDMAP", Here>>>(read.asMixedmapVma())
expectType<Mm.MmWithUser<Here>>(read.mm())
expectType<bigint>(read.flags())
expectAssignable<Units.PageAligned<Units.UserAddr>>(read.start)
// looking narrows; is() narrows both ways
if (read.has("VM_MIXEDMAP")) expectType<VmaRef.VmaRef<Locked.VmaRead, "VM_MIXEDMAP", Here>>(read)
if (read.lacks("VM_WRITE")) expectType<VmaRef.VmaRef<Locked.VmaRead, "!VM_WRITE", Here>>(read)
const io = VmaRef.is(read, "VM_IO")
if (io.set) expectType<VmaRef.VmaRef<Locked.VmaRead, "VM_IO", Here>>(io.vma)
else expectType<VmaRef.VmaRef<Locked.VmaRead, "!VM_IO", Here>>(io.vma)
