/** Pages of a memory file are held by ranges of pages of it. What is refused: diagnostics/mappable.ts. */
import type { Effect, Scope } from "effect"
import { type Fail, type Kernel, MemoryFile, Range } from "pagewright"
import { expectError, expectType } from "tsd"

declare const file: MemoryFile.MemoryFile
declare const pages: Range.PageRange<"file">
declare const bytes: Range.FileRange

expectType<Effect.Effect<MemoryFile.MemoryFile, Fail.Fail<"ENOMEM">, Kernel.Kernel | Scope.Scope>>(
  MemoryFile.make("pixels")
)
expectType<Range.PageRange<"file"> | undefined>(file.allocate(2))
expectType<void>(file.incRef(pages))
expectType<void>(file.decRef(pages))
expectError(file.incRef(bytes))
expectError(file.decRef(Range.ofPages<"mappable">(0, 1)))
// bytes may be looked at from anywhere to anywhere
expectType<readonly Uint8Array[]>(file.mapInternal(bytes))
expectError(file.mapInternal(Range.ofPages<"addr">(0, 1)))
