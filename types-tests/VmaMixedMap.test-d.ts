/** A mixed map is a VmaRef that knows its flag. What is refused: diagnostics/levels.ts M20, M21, M23. */
import type { Locked, VmaMixedMap, VmaRef } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

type Here = Locked.AfterUnlock
declare const mixed: VmaMixedMap.VmaMixedMap<Locked.VmaRead, Here>
declare const plain: VmaRef.AnyVma<Here>
expectType<VmaRef.VmaRef<Locked.VmaRead, "VM_MIXEDMAP", Here>>(mixed)
expectAssignable<VmaRef.AnyVma<Here>>(mixed)
expectNotAssignable<VmaMixedMap.VmaMixedMap<Locked.VmaRead, Here>>(plain)
