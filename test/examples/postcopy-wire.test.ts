/** The wire of the post-copy example: messages come whole however they are cut, and a lost connection loses nothing. */
import { Effect, Fiber, Latch, type Scope } from "effect"
import fc from "fast-check"
import { type Lockdep, MapFlags, ProtFlags, Task } from "pagewright"
import { describe, expect, it } from "vitest"
import { connect, type Connection, listen, Lost } from "../../examples/postcopy/connection.ts"
import { Pages } from "../../examples/postcopy/incoming.ts"
import { Layout, PAGE, PageSet } from "../../examples/postcopy/layout.ts"
import { makeLink } from "../../examples/postcopy/link.ts"
import { Outgoing, resume, send } from "../../examples/postcopy/outgoing.ts"
import { Decoder, encode, Garbled, type Message } from "../../examples/postcopy/wire.ts"
import { onKernel, small } from "../vma/support.ts"

const bytesOf = (messages: readonly Message[]) => Buffer.concat(messages.flatMap(encode))
const u32 = fc.nat({ max: 2 ** 32 - 1 })
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({
    _tag: fc.constant("Pages" as const),
    urgent: fc.boolean(),
    first: u32,
    bytes: fc.uint8Array({ maxLength: 100 })
  }),
  fc.record({ _tag: fc.constant("Zeros" as const), urgent: fc.boolean(), first: u32, count: u32 }),
  fc.record({ _tag: fc.constant("Request" as const), page: u32 }),
  fc.record({ _tag: fc.constant("Placed" as const), urgent: u32, background: u32 }),
  fc.record({
    _tag: fc.constant("Received" as const),
    bits: fc.uint8Array({ maxLength: 40 }),
    urgent: u32,
    background: u32
  }),
  fc.record({
    _tag: fc.constant("Arrived" as const),
    fingerprint: fc.string(),
    urgent: fc.nat(),
    background: fc.nat()
  }),
  fc.record({ _tag: fc.constant("Halted" as const), fingerprint: fc.string(), instructions: fc.nat() }),
  fc.record({
    _tag: fc.constant("Advise" as const),
    areas: fc.array(fc.record({ start: fc.nat(), length: fc.nat(), prot: fc.nat() }), { maxLength: 4 })
  }),
  fc.constantFrom<Message>({ _tag: "Listening" }, { _tag: "Run" }, { _tag: "Running" }, { _tag: "Bye" })
)
/** As plain arrays of bytes, so that a Buffer equals a Uint8Array. */
const plain = (one: Message) => {
  if (one._tag === "Pages") return { ...one, bytes: [...one.bytes] }
  return one._tag === "Received" ? { ...one, bits: [...one.bits] } : one
}

describe("messages", () => {
  it("come whole and in their order, wherever the network cuts their bytes", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), fc.array(fc.nat({ max: 90 })), (messages, cuts) => {
        const bytes = bytesOf(messages)
        const decoder = new Decoder()
        const got: Message[] = []
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const length = cuts.length === 0 ? bytes.length : cuts[i % cuts.length]! + (i % 2)
          expect(decoder.push(bytes.subarray(at, at + length), (one) => got.push(one))).toBeUndefined()
          at += length
        }
        expect(got.map(plain)).toEqual(messages.map(plain))
      })
    )
  })

  it("a kind, a length or words that nobody knows are refused, and nothing after them is believed", () => {
    const run = bytesOf([{ _tag: "Run" }])
    const unknown = Buffer.from(run)
    unknown[0] = 77
    const long = Buffer.from(run)
    long.writeUInt32LE(2 ** 30, 12)
    const words = Buffer.from(run)
    words[words.length - 3] = 0x21
    for (const bytes of [unknown, long, words]) {
      const got: Message[] = []
      expect(new Decoder().push(Buffer.concat([bytes, run]), (one) => got.push(one))).toBeInstanceOf(Garbled)
      expect(got).toEqual([])
    }
  })

  it("a set of pages is the same after its bits have travelled", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: 99 })), (some) => {
        const set = new PageSet(100)
        for (const page of some) set.add(page)
        const copy = new PageSet(100, set.bits)
        expect(copy.size).toBe(some.length)
        for (let page = 0; page < 100; page++) expect(copy.has(page)).toBe(some.includes(page))
      })
    )
  })
})

/** Both ends of a connection over TCP. */
const pair = Effect.gen(function* () {
  const server = yield* listen
  const [here, there] = yield* Effect.all([server.accept, connect(server.port)], { concurrency: "unbounded" })
  return { here, there }
})
const scoped = <A, E>(program: Effect.Effect<A, E, Scope.Scope>) => Effect.runPromise(Effect.scoped(program))

describe("a connection", () => {
  it("a big message waits until the other side takes it, and comes whole", () =>
    scoped(
      Effect.gen(function* () {
        const { here, there } = yield* pair
        const bytes = new Uint8Array(2 ** 20).map((_, i) => i * 7)
        let sent = 0
        const sending = Effect.forEach(
          Array.from({ length: 64 }),
          (_, first) =>
            Effect.andThen(
              here.send({ _tag: "Pages", urgent: false, first, bytes }),
              Effect.sync(() => sent++)
            ),
          { discard: true }
        )
        const sender = yield* Effect.forkChild(sending)
        yield* Effect.sleep("50 millis")
        expect(sent).toBeLessThan(64) // nobody reads
        for (let first = 0; first < 64; first++) {
          const message = yield* there.receive
          expect(message).toMatchObject({ _tag: "Pages", first })
          expect(message._tag === "Pages" && Buffer.from(bytes).equals(message.bytes)).toBe(true)
        }
        yield* Fiber.join(sender)
      })
    ))

  it("one that is cut is Lost on both sides, for whoever sends and for whoever waits", () =>
    scoped(
      Effect.gen(function* () {
        const { here, there } = yield* pair
        const waiting = yield* Effect.forkChild(Effect.flip(there.receive))
        yield* here.cut
        expect(yield* Fiber.join(waiting)).toBeInstanceOf(Lost)
        expect(yield* Effect.flip(there.send({ _tag: "Run" }))).toBeInstanceOf(Lost)
        expect(yield* Effect.flip(here.receive)).toBeInstanceOf(Lost)
      })
    ))

  it("who says nonsense is not listened to any longer", () =>
    scoped(
      Effect.gen(function* () {
        const { here, there } = yield* pair
        yield* here.send({ _tag: "Run" })
        const nonsense: Message = { _tag: "Pages", urgent: false, first: 0, bytes: new Uint8Array(2 ** 20 + 1) }
        yield* Effect.ignore(here.send(nonsense))
        expect(yield* there.receive).toEqual({ _tag: "Run" })
        expect(yield* Effect.flip(there.receive)).toBeInstanceOf(Garbled)
      })
    ))
})

const START = 0x2000_0000
const { READ, WRITE } = ProtFlags
/** Runs `body` as a task with so many pages; every third has nothing in it, the others begin with their number. */
const withPages = <A, E>(
  count: number,
  body: (layout: Layout) => Effect.Effect<A, E, Task.Task | Scope.Scope | Lockdep.Markers>
) =>
  onKernel(
    Task.run(
      "source",
      Effect.scoped(
        Effect.gen(function* () {
          const length = count * PAGE
          const flags = MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED
          yield* Task.mmap({ address: START, length, prot: READ | WRITE, flags })
          for (let page = 0; page < count; page++) if (page % 3 !== 0) yield* Task.store32(START + page * PAGE, page)
          return yield* body(new Layout([{ start: START, length, prot: READ | WRITE }]))
        })
      )
    ),
    { ...small, frames: 1024 }
  )

/** The pages of a message; each is what the task has there. */
const pagesOf = (message: Message): readonly number[] => {
  if (message._tag === "Zeros") {
    const pages = Array.from({ length: message.count }, (_, i) => message.first + i)
    expect(pages.filter((page) => page % 3 !== 0)).toEqual([])
    return pages
  }
  if (message._tag !== "Pages") throw new Error(`the source says ${message._tag}`)
  const { buffer, byteOffset, length } = message.bytes
  return Array.from({ length: length / PAGE }, (_, i) => {
    expect(new DataView(buffer, byteOffset).getUint32(i * PAGE, true)).toBe(message.first + i)
    return message.first + i
  })
}
/** Takes messages until so many pages have come, and says that they are placed. */
const take = (connection: Connection, count: number) =>
  Effect.gen(function* () {
    const got: number[] = []
    let [urgent, background] = [0, 0]
    while (got.length < count) {
      const message = yield* connection.receive
      const pages = pagesOf(message)
      got.push(...pages)
      if ("urgent" in message && message.urgent === true) urgent += pages.length
      else background += pages.length
      yield* connection.send({ _tag: "Placed", urgent, background })
    }
    return got
  })
const nobodyHeard = (message: Message) => Effect.die(new Error(`heard ${message._tag}`))
const numbers = (count: number) => Array.from({ length: count }, (_, page) => page)

describe("the source", () => {
  it("a page that is asked for is sent at once, out of its order, once; the background leaves it out", () =>
    withPages(200, (layout) =>
      Effect.gen(function* () {
        const { here, there } = yield* pair
        const quiet = yield* Latch.make(false)
        yield* Effect.forkChild(send(new Outgoing(layout), here, nobodyHeard, quiet.await))
        for (const page of [150, 99, 150, 7]) yield* there.send({ _tag: "Request", page })
        for (const page of [150, 99, 7]) {
          const message = yield* there.receive
          expect(message).toMatchObject({ urgent: true, first: page })
          expect(pagesOf(message)).toEqual([page])
        }
        yield* quiet.open
        const rest = yield* take(there, 197)
        expect(rest).toEqual(numbers(200).filter((page) => ![150, 99, 7].includes(page)))
      })
    ))

  it("what is under way in the background is bounded, and a page that is asked for comes behind that, not behind the rest", () =>
    withPages(600, (layout) =>
      Effect.gen(function* () {
        const { here, there } = yield* pair
        const out = new Outgoing(layout)
        yield* Effect.forkChild(send(out, here, nobodyHeard, Effect.void))
        const got: number[] = []
        while (got.length < 256) got.push(...pagesOf(yield* there.receive)) // none of them is said to be placed
        yield* there.send({ _tag: "Request", page: 590 })
        expect(yield* there.receive).toMatchObject({ urgent: true, first: 590 })
        expect(out.sent.size).toBe(257)
      })
    ))

  it("sends what a destination that is back has not got, whatever that is, and nothing else", () =>
    fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.nat({ max: 149 }), { maxLength: 149 }), (has) =>
        withPages(150, (layout) =>
          Effect.gen(function* () {
            const { here, there } = yield* pair
            const received = new PageSet(layout.pages)
            for (const page of has) received.add(page)
            yield* there.send({ _tag: "Received", bits: received.bits, urgent: 0, background: 0 })
            const out = new Outgoing(layout)
            for (const page of numbers(150)) out.sent.add(page) // so it was; some of them were lost on their way
            yield* resume(out, here)
            yield* Effect.forkChild(send(out, here, nobodyHeard, Effect.void))
            const missing = numbers(150).filter((page) => !has.includes(page))
            expect(yield* take(there, missing.length)).toEqual(missing)
          })
        )
      ),
      { numRuns: 20 }
    ))
})

describe("the destination's link", () => {
  it("a connection that is cut in the middle of a message is made again: what is here, what is missed, what was said", () =>
    scoped(
      Effect.gen(function* () {
        const server = yield* listen
        const [first, connection] = yield* Effect.all([server.accept, connect(server.port)], {
          concurrency: "unbounded"
        })
        const pages = new Pages(new Layout([{ start: START, length: 100 * PAGE, prot: READ }]))
        const link = makeLink(server.port, connection, pages)
        const got: number[] = []
        const serving = yield* Effect.forkChild(
          link.serve((contents) =>
            Effect.sync(() => {
              got.push(contents.first)
              pages.received.add(contents.first)
              pages.asked.delete(contents.first)
              pages.background++
            })
          )
        )
        for (const page of [40, 41]) {
          pages.asked.add(page)
          yield* link.request(page)
        }
        yield* link.say({ _tag: "Running" })
        expect(yield* first.receive).toEqual({ _tag: "Request", page: 40 })
        expect(yield* first.receive).toEqual({ _tag: "Request", page: 41 })
        expect(yield* first.receive).toEqual({ _tag: "Running" })
        yield* first.send({ _tag: "Zeros", urgent: true, first: 40, count: 1 })
        expect(yield* first.receive).toMatchObject({ _tag: "Placed", background: 1 })
        // more than the sockets have room for: the rest of it is lost
        const bytes = new Uint8Array(2 ** 20)
        const flood = Effect.forever(first.send({ _tag: "Pages", urgent: false, first: 99, bytes }))
        yield* Effect.forkChild(Effect.ignore(flood))
        yield* first.cut

        const second = yield* server.accept
        const back = yield* second.receive
        const { bits } = back._tag === "Received" ? back : { bits: new Uint8Array(0) }
        expect(new PageSet(100, bits).has(40)).toBe(true)
        expect(new PageSet(100, bits).has(41)).toBe(false)
        expect(yield* second.receive).toEqual({ _tag: "Request", page: 41 })
        expect(yield* second.receive).toEqual({ _tag: "Running" })
        pages.asked.add(42)
        yield* link.request(42)
        expect(yield* second.receive).toEqual({ _tag: "Request", page: 42 })
        yield* second.send({ _tag: "Zeros", urgent: true, first: 41, count: 1 })
        yield* second.send({ _tag: "Bye" })
        yield* Fiber.join(serving)
        expect(got.filter((page) => page !== 99)).toEqual([40, 41])
        expect([...pages.asked]).toEqual([42])
      })
    ))
})
