/** Objects know their ceiling, and what they need. What is refused, and in which words: diagnostics/mappable.ts. */
import { Context, Effect, type Scope } from "effect"
import {
  type Fail,
  type Kernel,
  type Lockdep,
  type Locked,
  Mappable,
  type MemoryFile,
  Range,
  type Task,
  type Units
} from "pagewright"
import { expectAssignable, expectError, expectNotAssignable, expectType } from "tsd"

declare const file: MemoryFile.MemoryFile
declare const readable: Mappable.MappingIdentity<"r--">
declare const all: Mappable.MappingIdentity<"rwx">
declare const space: Mappable.MappingSpace
const keep = { invalidatePrivate: false }

class Store extends Context.Service<Store, { readonly page: Effect.Effect<number, Fail.Fail<"EIO">> }>()("Store") {}

// the ceiling is read off the definition; "rwx" where there is none
const everything = Mappable.make({
  name: "everything",
  translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 })
})
expectType<Effect.Effect<Mappable.Mappable<"rwx">, Fail.Fail<"ENOMEM">, Kernel.Kernel | Scope.Scope>>(everything)
const constant = Mappable.make({
  name: "constant",
  maxPerms: "r-x",
  translate: (ask) => {
    expectType<"---" | "r--" | "r-x">(ask.at)
    expectType<Range.PageRange<"mappable">>(ask.required)
    return ask.translation({ source: ask.optional, file, offset: 0, perms: "r--" })
  }
})
expectType<Effect.Effect<Mappable.Mappable<"r-x">, Fail.Fail<"ENOMEM">, Kernel.Kernel | Scope.Scope>>(constant)

// an answer is a value or an effect; what the effect needs, making the object needs
const stored = Mappable.make({
  name: "stored",
  translate: (ask) =>
    Effect.map(
      Effect.flatMap(Store, (store) => store.page),
      (page) => ask.translation({ source: ask.required, file, offset: page * 4096 })
    ),
  addMapping: ({ range, offset, writable }) => {
    expectType<Range.PageRange<"addr">>(range)
    expectType<number>(offset)
    expectType<boolean>(writable)
  },
  copyMapping: (from, to) => {
    expectType<Range.AddrRange>(from.range)
    expectType<Range.PageRange<"addr">>(to)
  }
})
expectType<Effect.Effect<Mappable.Mappable<"rwx">, Fail.Fail<"ENOMEM">, Kernel.Kernel | Scope.Scope | Store>>(stored)

// an answer belongs to its question
const answers = <here extends Locked.AfterUnlock, there extends Locked.AfterUnlock>(
  ask: Mappable.Ask<"rwx", here>,
  other: Mappable.Ask<"rwx", there>
) => {
  const found = { source: ask.required, file, offset: 0 }
  expectAssignable<Mappable.Answer<here>>(ask.translation(found))
  expectAssignable<Mappable.Answer<here>>([ask.translation(found), ask.translation(found)])
  expectNotAssignable<Mappable.Answer<here>>(other.translation(found))
  expectNotAssignable<Mappable.Answer<here>>([ask.translation(found), other.translation(found)])
  expectNotAssignable<Mappable.Answer<Locked.AfterUnlock>>(ask.translation(found))
  expectNotAssignable<Mappable.Translation<here>>(found)
  expectNotAssignable<Mappable.Translation<here>>({})
  expectError(ask.translation({ source: Range.ofPages<"addr">(0, 1), file, offset: 0 }))
}
expectType<void>(answers({} as never, {} as never))

// mapping: a shared mapping stays within the ceiling, a private one need not
expectType<
  Effect.Effect<Units.PageAligned<Units.UserAddr>, Fail.Fail<Fail.ErrnoName>, Task.Task | Lockdep.Takes<"mmap_lock">>
>(Mappable.map({ identity: all, length: 4096, perms: "rwx" }))
expectAssignable<Mappable.MMapOpts<"r--">>({ identity: readable, length: 1, perms: "---", maxPerms: "r--" })
expectAssignable<Mappable.MMapOpts<"r--">>({ identity: readable, length: 1, perms: "rw-", private: true })
expectNotAssignable<Mappable.MMapOpts<"r--">>({ identity: readable, length: 1, perms: "rw-" })
expectNotAssignable<Mappable.MMapOpts<"r--">>({ identity: readable, length: 1, perms: "rw-", private: false })
expectNotAssignable<Mappable.MMapOpts<"r--">>({ identity: readable, length: 1, perms: "r--", maxPerms: "r-x" })
expectNotAssignable<Mappable.MMapOpts<"r--">>({ identity: all, length: 1, perms: "r--" })
// memory of no object
expectAssignable<Mappable.MMapOpts<never>>({ length: 1, perms: "rw-" })

// whole pages, of the right kind
expectType<Effect.Effect<void>>(space.invalidate(Range.ofPages(1, 1), keep))
expectError(space.invalidate(Range.make(0, 4096), keep))
expectError(space.invalidate(Range.ofPages<"mappable">(1, 1), keep))
expectError(space.invalidate(Range.ofPages(1, 1), {}))
