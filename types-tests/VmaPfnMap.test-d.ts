/** A PFN map is a VmaRef that knows its flag: no page may be inserted. */
import type { Locked, VmaMixedMap, VmaPfnMap, VmaRef } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

type Here = Locked.AfterUnlock
declare const raw: VmaPfnMap.VmaPfnMap<Locked.VmaRead, Here>
declare const mixed: VmaMixedMap.VmaMixedMap<Locked.VmaRead, Here>
expectType<VmaRef.VmaRef<Locked.VmaRead, "VM_PFNMAP", Here>>(raw)
expectAssignable<VmaRef.AnyVma<Here>>(raw)
expectNotAssignable<VmaPfnMap.VmaPfnMap<Locked.VmaRead, Here>>(mixed)
