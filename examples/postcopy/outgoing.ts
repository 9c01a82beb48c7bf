/**
 * The memory of a stopped task, on its way: what is asked for at once, everything else in the background, in its order.
 *
 * What is under way in the background is kept short, or a page that was asked for would wait behind it.
 */
import { Effect, Queue, Semaphore } from "effect"
import { Task } from "pagewright"
import { type Connection, expect } from "./connection.ts"
import { type Layout, PAGE, PageSet } from "./layout.ts"
import { Garbled, type Message } from "./wire.ts"

/** Pages of one message. */
const RUN = 64
/** Pages of the background that may be under way. */
const WINDOW = 4 * RUN

/** What was sent, and what came of it. */
export class Outgoing {
  readonly layout: Layout
  /** Pages that the destination has, or that are under way to it. */
  sent: PageSet
  /** Pages that the destination has placed. */
  placed = { urgent: 0, background: 0 }
  constructor(layout: Layout) {
    this.layout = layout
    this.sent = new PageSet(layout.pages)
  }
}

const zeroes = Buffer.alloc(PAGE)

/** Reads so many pages, and cuts them into messages: contents, and runs of zeroes. */
const messagesOf = (address: number, first: number, count: number, urgent: boolean) =>
  Effect.map(Task.loadBytes(address, count * PAGE), (bytes) => {
    const messages: Message[] = []
    const isZero = (i: number) => zeroes.equals(bytes.subarray(i * PAGE, (i + 1) * PAGE))
    for (let from = 0, to = 0; from < count; from = to) {
      const zero = isZero(from)
      do to++
      while (to < count && isZero(to) === zero)
      messages.push(
        zero
          ? { _tag: "Zeros", urgent, first: first + from, count: to - from }
          : { _tag: "Pages", urgent, first: first + from, bytes: bytes.subarray(from * PAGE, to * PAGE) }
      )
    }
    return messages
  })

/** Sends what is missing, over one connection, until that is lost.
 * @param heard - told of every message that is not about pages
 * @param before - before each run of the background
 */
export const send = <E1, R1, E2, R2>(
  out: Outgoing,
  connection: Connection,
  heard: (message: Message) => Effect.Effect<void, E1, R1>,
  before: Effect.Effect<void, E2, R2>
) =>
  Effect.gen(function* () {
    const { layout, sent } = out
    const asked = yield* Queue.unbounded<number>()
    const window = yield* Semaphore.make(WINDOW)

    const hear = (message: Message): Effect.Effect<unknown, E1 | Garbled, R1> => {
      if (message._tag === "Request")
        return message.page < layout.pages
          ? Queue.offer(asked, message.page)
          : Effect.fail(new Garbled({ message: `page ${message.page} is asked for, of ${layout.pages}` }))
      if (message._tag !== "Placed") return heard(message)
      const placed = message.background - out.placed.background
      out.placed = message
      return window.release(placed)
    }
    const listen = Effect.forever(Effect.flatMap(connection.receive, hear))

    const answer = Effect.forever(
      Effect.gen(function* () {
        const page = yield* Queue.take(asked)
        if (sent.has(page)) return // it is under way
        sent.add(page)
        for (const message of yield* messagesOf(layout.at(page).address, page, 1, true)) yield* connection.send(message)
      })
    )

    const stream = Effect.gen(function* () {
      for (let page = 0; page < layout.pages; page++) {
        if (sent.has(page)) continue
        yield* before
        yield* window.take(RUN)
        const { address, room } = layout.at(page)
        let count = 0
        while (count < Math.min(RUN, room) && !sent.has(page + count)) sent.add(page + count++)
        yield* window.release(RUN - count)
        if (count === 0) continue // it was asked for meanwhile
        for (const message of yield* messagesOf(address, page, count, false)) yield* connection.send(message)
      }
    })
    yield* Effect.all([listen, answer, stream], { concurrency: "unbounded", discard: true })
    return yield* Effect.never
  })

/** The destination is back: what it has not got must be sent again. It says so first. */
export const resume = (out: Outgoing, connection: Connection) =>
  Effect.gen(function* () {
    const { background, bits, urgent } = yield* expect(connection, "Received")
    out.sent = new PageSet(out.layout.pages, bits)
    out.placed = { background, urgent }
  })
