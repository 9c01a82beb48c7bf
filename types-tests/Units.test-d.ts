/** Units: literals, narrowing, arithmetic that keeps alignment. What is refused: diagnostics/units.ts. */
import type { Option } from "effect"
import { Units } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

declare const address: Units.UserAddr
declare const aligned: Units.PageAligned<Units.UserAddr>
declare const length: Units.ByteLength

expectType<Units.PageAligned<Units.UserAddr>>(Units.va("0x7f00_0000_1000"))
expectType<Units.UserAddr>(Units.va("0x1001"))
expectType<Units.PageAligned<Units.ByteLength>>(Units.pages(3))
expectType<number>(Units.raw(address))
expectType<Units.PageAligned<Units.UserAddr>>(Units.offset(aligned, Units.pages(1)))
expectType<Units.UserAddr>(Units.offset(aligned, length))
expectType<Units.PageAligned<Units.ByteLength>>(Units.between(aligned, aligned))
expectType<Units.ByteLength>(Units.between(address, aligned))
expectType<Option.Option<Units.PageAligned<Units.UserAddr>>>(Units.pageAlign(address))
expectAssignable<Units.UserAddr>(aligned)
expectNotAssignable<Units.PageAligned<Units.UserAddr>>(address)
expectNotAssignable<Units.PhysAddr>(address)
expectNotAssignable<number>(address)
if (Units.isPageAligned(address)) expectAssignable<Units.PageAligned<Units.UserAddr>>(address)
