/** Objects of one's own: an answer belongs to its question, and a ceiling is a type. */
import { Effect } from "effect"
import { Fail, type Locked, Mappable, type MappingSet, type MemoryFile, Mutex, Range } from "pagewright"
import { munmap } from "./given.ts"

declare module "pagewright" {
  interface LockClasses {
    readonly object_lock: "sleeps"
  }
  interface LockOrder {
    readonly "mmap_lock > object_lock": true
    readonly "vma_lock > object_lock": true
  }
}
const lock = Mutex.make("object_lock")

declare const file: MemoryFile.MemoryFile
declare const readable: Mappable.Mappable<"r--">
declare const identity: Mappable.MappingIdentity<"r--">
declare const either: Mappable.MappingIdentity<"r--" | "rw-">
declare const space: Mappable.MappingSpace
declare const offsets: Range.MappableRange
declare const addresses: Range.AddrRange
declare const set: MappingSet.MappingSet
const keep = { invalidatePrivate: false }

//: A01 keep a translation for a later question [G-TR-01, G-MAP-14]
const places = new Map<number, Mappable.Found<"rwx">>()
export const a01 = Mappable.make({ name: "a01", translate: (ask) => {
  const found = places.get(ask.required.start) ?? { source: ask.required, file, offset: ask.required.start }
  places.set(ask.required.start, found)
  return ask.translation(found)
} })
//! refused
const translations = new Map<number, Mappable.Translation<Locked.AfterUnlock>>()
export const a01x = Mappable.make({ name: "a01", translate: (ask) => {
  const made = ask.translation({ source: ask.required, file, offset: ask.required.start })
  translations.set(ask.required.start, made)
  return made
} })

//: A02 answer with a translation of an earlier question
export const a02 = Mappable.make({ name: "a02", translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 }) })
//! refused
export const a02x = Mappable.make({ name: "a02", translate: (ask) =>
  translations.get(ask.required.start) ?? ask.translation({ source: ask.required, file, offset: 0 }) })

//: A03 keep the question itself
export const a03 = Mappable.make({ name: "a03", translate: (ask) => {
  asked.push(ask.required)
  return ask.translation({ source: ask.required, file, offset: 0 })
} })
const asked: Range.PageRange<"mappable">[] = []
//! refused
const questions: Mappable.Ask<"rwx", Locked.AfterUnlock>[] = []
export const a03x = Mappable.make({ name: "a03", translate: (ask) => {
  questions.push(ask)
  return ask.translation({ source: ask.required, file, offset: 0 })
} })

//: A04 keep a translation in an effect that answers later
export const a04 = Mappable.make({ name: "a04", translate: (ask) => Effect.gen(function*() {
  yield* Effect.sleep("1 millis")
  return ask.translation({ source: ask.required, file, offset: 0 })
}) })
//! refused
export const a04x = Mappable.make({ name: "a04", translate: (ask) => Effect.gen(function*() {
  const made = ask.translation({ source: ask.required, file, offset: 0 })
  yield* Effect.sync(() => { kept = () => made })
  return made
}) })
let kept: (() => Mappable.Translation<Locked.AfterUnlock>) | undefined

//: A05 answer one question with the translation of another
export const a05 = <here extends Locked.AfterUnlock>(ask: Mappable.Ask<"r--", here>): Mappable.Answer<here> =>
  ask.translation({ source: ask.required, file, offset: 0 })
//! refused
export const a05x = <here extends Locked.AfterUnlock, there extends Locked.AfterUnlock>(
  ask: Mappable.Ask<"r--", here>, other: Mappable.Ask<"r--", there>
): Mappable.Answer<here> => other.translation({ source: ask.required, file, offset: 0 })

//: A06 offer to write what can only be read [G-TR-02]
export const a06 = Mappable.make({ name: "a06", maxPerms: "r--", translate: (ask) =>
  ask.translation({ source: ask.required, file, offset: 0, perms: "r--" }) })
//! refused
export const a06x = Mappable.make({ name: "a06", maxPerms: "r--", translate: (ask) =>
  ask.translation({ source: ask.required, file, offset: 0, perms: "rw-" }) })

//: A07 answer a write, where none can be asked
export const a07 = Mappable.make({ name: "a07", maxPerms: "rw-", translate: (ask) =>
  ask.at === "rw-" ? { translations: [], error: Fail.make("EACCES") } : ask.translation({ source: ask.required, file, offset: 0 }) })
//! refused
export const a07x = Mappable.make({ name: "a07", maxPerms: "r--", translate: (ask) =>
  ask.at === "rw-" ? { translations: [], error: Fail.make("EACCES") } : ask.translation({ source: ask.required, file, offset: 0 }) })

//: A08 map for writing what can only be read: only a private copy may be [G-OPT-11]
export const a08 = Mappable.map({ identity, length: 4096, perms: "r--" })
//! refused
export const a08x = Mappable.map({ identity, length: 4096, perms: "rw-" })

//: A09 let mprotect give what the object does not have [G-OPT-13]
export const a09 = Mappable.map({ identity, length: 4096, perms: "---", maxPerms: "r--" })
//! refused
export const a09x = Mappable.map({ identity, length: 4096, perms: "r--", maxPerms: "rw-" })

//: A10 map for writing what may be one that can only be read
export const a10 = Mappable.map({ identity: either, length: 4096, perms: "r--" })
//! refused
export const a10x = Mappable.map({ identity: either, length: 4096, perms: "rw-" })

//: A11 take an object that can be read for one that can be written
export const a11: Mappable.Mappable<"r--"> = readable
//! refused
export const a11x: Mappable.Mappable<"rw-"> = readable

//: A12 a private copy is the mapper's own: it may be written whatever the object allows [G-OPT-14]
export const a12 = Mappable.map({ identity, length: 4096, private: true, perms: "rw-" })

//: A13 invalidate a range that may be empty, or no pages [G-MAP-01]
export const a13 = Mappable.invalidate(readable, Range.ofPages(1, 2), keep)
//! refused
export const a13x = Mappable.invalidate(readable, offsets, keep)

//: A14 tell a space to forget a range that may be empty, or no pages [G-MSP-02]
export const a14 = space.invalidate(Range.ofPages(1, 2), keep)
//! refused
export const a14x = space.invalidate(addresses, keep)

//: A15 invalidate addresses where offsets are meant
export const a15 = Mappable.invalidate(readable, Range.ofPages<"mappable">(1, 2), keep)
//! refused
export const a15x = Mappable.invalidate(readable, Range.ofPages<"addr">(1, 2), keep)

//: A16 tell of offsets that may be no pages through one's own set
export const a16 = invalidateSet(set, Range.ofPages(1, 2), keep)
//! refused
export const a16x = invalidateSet(set, offsets, keep)
declare const invalidateSet: typeof MappingSet.invalidate

//: A17 hold pages of a memory file by a range that may be none of pages [G-FILE-01]
export const a17 = () => file.incRef(Range.ofPages(0, 1))
//! refused
export const a17x = () => file.incRef(Range.make(0, 4096))

//: A18 fail with a reason that is none: a BusError or an errno, or the access ends in nothing that a process understands
export const a18 = Mappable.make({ name: "a18", translate: () => Effect.fail(Mappable.busError(Fail.make("EIO"))) })
//! refused
export const a18x = Mappable.make({ name: "a18", translate: () => Effect.fail("gone") })

//: A19 answer with less than was asked, and no reason
export const a19 = Mappable.make({ name: "a19", translate: () => ({ translations: [], error: Fail.make("ENOMEM") }) })
//! refused
export const a19x = Mappable.make({ name: "a19", translate: () => ({ translations: [] }) })

//: A20 answer with nothing
export const a20 = Mappable.make({ name: "a20", translate: () => ({ translations: [], error: Fail.make("EFAULT") }) })
//! refused
export const a20x = Mappable.make({ name: "a20", translate: () => undefined })

//: A21 refuse to let go of a mapping [G-MAP-06]
export const a21 = Mappable.make({ name: "a21", addMapping: () => Fail.make("EBUSY"), translate: a05 as never })
//! refused
export const a21x = Mappable.make({ name: "a21", removeMapping: () => Fail.fail("EBUSY"), translate: a05 as never })

//: A22 unmap something while a page is asked for; a lock of one's own may be taken, and the answer come out of it
export const a22 = Mappable.make({ name: "a22", translate: (ask) => Mutex.withLock(lock, () => Effect.sync(() =>
  ask.translation({ source: ask.required, file, offset: 0 }))) })
//! refused
export const a22x = Mappable.make({ name: "a22", translate: (ask) => munmap.pipe(
  Effect.map(() => ask.translation({ source: ask.required, file, offset: 0 }))) })

//: A23 unmap something while a mapping is announced
export const a23 = Mappable.make({ name: "a23", translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 }),
  addMapping: () => Mutex.withLock(lock, () => Effect.void) })
//! refused
export const a23x = Mappable.make({ name: "a23", translate: (ask) => ask.translation({ source: ask.required, file, offset: 0 }),
  addMapping: () => munmap })
