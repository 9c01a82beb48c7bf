/** Pages: owned ones may be kept; the view of their bytes may not. */
import { Effect, Option } from "effect"
import { Locked, Page } from "pagewright"
import { at, mm, page } from "./given.ts"

//: M12 keep the bytes of a page after they were unmapped [R-PAGE-09]
export const m12 = Page.withPageMapped(page, (bytes) => bytes.read(0, 16))
//! refused
export const m12x = Page.withPageMapped(page, (bytes) => Effect.succeed(bytes))

//: M13 put what was only borrowed
export const m13 = Effect.andThen(Page.withPageMapped(page, (bytes) => bytes.read(0, 1)), Page.put(page))
//! refused
export const m13x = Page.withPageMapped(page, (bytes) => Effect.asVoid(Page.put(bytes)))

//: M70 keep an operation on the bytes of a page
export const m70 = Page.withPageMapped(page, (bytes) => bytes.write(0, new Uint8Array(4)))
//! refused
export const m70x = Page.withPageMapped(page, (bytes) => Effect.succeed(bytes.write(0, new Uint8Array(4))))

//: M72 pass the bytes mapped in one section for those of another
export const m72 = <here extends Locked.AfterUnlock>(bytes: Page.Mapped<here>): Page.Mapped<here> => bytes
//! refused
export const m72x = <a extends Locked.AfterUnlock, b extends Locked.AfterUnlock>(bytes: Page.Mapped<a>): Page.Mapped<b> => bytes

//: M64 insert a page without the check that the VMA is a mixed map [R-MIX-08]
export const m64 = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const mixed = (yield* mmap.vmaLookup(at)).asMixedmapVma()
  if (Option.isSome(mixed)) yield* mixed.value.vmInsertPage(at, page)
})))
//! refused
export const m64x = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const mixed = (yield* mmap.vmaLookup(at)).asMixedmapVma()
  yield* mixed.vmInsertPage(at, page)
})))
