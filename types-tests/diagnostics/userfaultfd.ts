/** userfaultfd: what may be asked next is in the type of the descriptor. */
import { Effect } from "effect"
import { Userfaultfd } from "pagewright"
import { at, one } from "./given.ts"

//: M54 register before the handshake
export const m54 = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  yield* uffd.register(at, one, ["MISSING"])
}))
//! refused
export const m54x = Userfaultfd.open((fresh) => Effect.gen(function*() {
  yield* fresh.register(at, one, ["MISSING"])
}))

//: M55 a second handshake
export const m55 = Userfaultfd.open((fresh) => Effect.asVoid(fresh.api([])))
//! refused
export const m55x = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  yield* uffd.api([])
}))

//: M56 register for writes without the feature
export const m56 = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["SIGBUS", "PAGEFAULT_FLAG_WP"])
  yield* uffd.register(at, one, ["WP"])
}))
//! refused
export const m56x = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["SIGBUS"])
  yield* uffd.register(at, one, ["WP"])
}))

//: M57 protect a range that is registered for missing pages only
export const m57 = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING", "WP"])
  yield* range.changeProtection(at, one, true)
}))
//! refused
export const m57x = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING"])
  yield* range.changeProtection(at, one, true)
}))

//: M58 fill a range that is registered for writes only
export const m58 = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING"])
  yield* range.zeroPage(at, one)
}))
//! refused
export const m58x = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["WP"])
  yield* range.zeroPage(at, one)
}))

//: M58b give a page protected where nobody would be told of writes
export const m58b = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING", "WP"])
  yield* range.copyPage(at, new Uint8Array(4096), { wp: true })
}))
//! refused
export const m58bx = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING"])
  yield* range.copyPage(at, new Uint8Array(4096), { wp: true })
}))

//: M58c poll a descriptor whose reads wait
export const m58c = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  return yield* uffd.pollEvents("1 second")
}), { nonBlocking: true })
//! refused
export const m58cx = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([])
  return yield* uffd.pollEvents("1 second")
}))

//: M59 a misspelt feature
export const m59 = Userfaultfd.open((fresh) => Effect.asVoid(fresh.api(["PAGEFAULT_FLAG_WP"])))
//! refused
export const m59x = Userfaultfd.open((fresh) => Effect.asVoid(fresh.api(["PAGEFAULT_FLAG_WPX"])))

//: M59b keep the descriptor after it was closed
export const m59b = Userfaultfd.open((fresh) => Effect.asVoid(fresh.api([])))
//! refused
export const m59bx = Userfaultfd.open((fresh) => fresh.api([]))

//: M59c register for writes where it depends whether they were agreed on
const [which, whichModes] = [Math.random() < 0.5 ? "PAGEFAULT_FLAG_WP" : "SIGBUS", Math.random() < 0.5 ? "MISSING" : "WP"] as const
export const m59c = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP", which])
  yield* uffd.register(at, one, ["WP"])
}))
//! refused
export const m59cx = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api([which])
  yield* uffd.register(at, one, ["WP"])
}))

//: M59d fill a range where it depends for what it was registered
export const m59d = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, ["MISSING", whichModes])
  yield* range.zeroPage(at, one)
}))
//! refused
export const m59dx = Userfaultfd.open((fresh) => Effect.gen(function*() {
  const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
  const range = yield* uffd.register(at, one, [whichModes])
  yield* range.zeroPage(at, one)
}))
