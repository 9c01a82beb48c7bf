/** Three kinds of ranges, and ranges of pages among them. What is refused: diagnostics/mappable.ts. */
import type { Option } from "effect"
import { Range } from "pagewright"
import { expectAssignable, expectError, expectNotAssignable, expectType } from "tsd"

declare const offsets: Range.MappableRange
declare const addresses: Range.AddrRange
declare const whole: Range.PageRange<"mappable">

expectAssignable<Range.MappableRange>(whole)
expectNotAssignable<Range.PageRange<"mappable">>(offsets)
expectNotAssignable<Range.AddrRange>(offsets)
expectNotAssignable<Range.PageRange<"file">>(whole)

expectType<Range.PageRange<"mappable">>(Range.ofPages<"mappable">(0, 1))
expectType<Option.Option<Range.PageRange<"mappable">>>(Range.pages(offsets))
// what two ranges of pages have in common may be nothing: no range of pages
expectType<Range.Range<"mappable">>(Range.intersect(whole, offsets))
expectNotAssignable<Range.PageRange<"mappable">>(Range.intersect(whole, whole))
expectNotAssignable<Range.PageRange<"addr">>({ start: 0, end: 4096 })

expectType<boolean>(Range.overlaps(whole, offsets))
expectError(Range.overlaps(addresses, offsets))
expectError(Range.isSupersetOf(addresses, whole))
