/** An object's own set of mappings: what is told is whole pages. What is refused: diagnostics/mappable.ts. */
import type { Effect } from "effect"
import { type Mappable, MappingSet, Range } from "pagewright"
import { expectError, expectType } from "tsd"

declare const set: MappingSet.MappingSet
declare const mapping: Mappable.Mapping
declare const segment: MappingSet.Segment
declare const copied: Mappable.Mapping<Range.AddrRange>
const keep = { invalidatePrivate: false }

expectType<readonly Range.MappableRange[]>(MappingSet.add(set, mapping))
expectType<readonly Range.MappableRange[]>(MappingSet.remove(set, mapping))
expectType<Effect.Effect<void>>(MappingSet.invalidate(set, Range.ofPages(0, 1), keep))
expectType<Effect.Effect<void>>(MappingSet.invalidateAll(set, keep))
expectError(MappingSet.invalidate(set, Range.make(0, 4096), keep))
expectError(MappingSet.invalidate(set, Range.ofPages<"addr">(0, 1), keep))
// what mremap copies from may be empty, and is no mapping to add
expectError(MappingSet.add(set, copied))
expectType<MappingSet.Segment | undefined>(MappingSet.merge(segment, segment))
