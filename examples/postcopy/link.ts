/** The destination's end of a migration that is under way: a connection that is made again when it is lost. */
import { Effect, Schedule } from "effect"
import { type Connection, connect } from "./connection.ts"
import type { Contents, Pages } from "./incoming.ts"
import { Garbled, type Message } from "./wire.ts"

/** How long a lost connection is tried again: ten seconds. */
const again = { schedule: Schedule.spaced("20 millis"), times: 500 }

export const makeLink = (port: number, first: Connection, pages: Pages) => {
  let current = first
  /** What the source must know, whenever it comes back. */
  const said: Message[] = []

  /** Sends over the connection that there is; what is lost with it, `reconnect` makes up for. */
  const send = (message: Message) => Effect.ignore(Effect.suspend(() => current.send(message)))

  /** Tells a new connection what is here, what is still missed, and all that the source may not have heard. */
  const reconnect = Effect.gen(function* () {
    const connection = yield* connect(port)
    const { background, received, urgent } = pages
    yield* connection.send({ _tag: "Received", bits: received.bits, urgent, background })
    for (const page of pages.asked) yield* connection.send({ _tag: "Request", page })
    for (const message of said) yield* connection.send(message)
    current = connection
  }).pipe(Effect.retry(again))

  /** The next message, from whichever connection. */
  const receive: Effect.Effect<
    Message,
    Effect.Error<typeof reconnect> | Garbled,
    Effect.Services<typeof reconnect>
  > = Effect.suspend(() => current.receive).pipe(Effect.catchTag("Lost", () => Effect.andThen(reconnect, receive)))

  return {
    /** Says something that the source must hear, now or later. */
    say: (message: Message) =>
      Effect.suspend(() => {
        said.push(message)
        return send(message)
      }),
    /** Asks for a page that is in `pages.asked`. */
    request: (page: number) => send({ _tag: "Request", page }),
    /** Hands what comes to `got`, message after message, until the source says goodbye. */
    serve: <E, R>(got: (contents: Contents) => Effect.Effect<void, E, R>) =>
      Effect.gen(function* () {
        for (;;) {
          const message = yield* receive
          if (message._tag === "Bye") return
          if (message._tag !== "Pages" && message._tag !== "Zeros")
            return yield* new Garbled({ message: `the source says ${message._tag}, out of place` })
          yield* got(message)
          yield* send({ _tag: "Placed", urgent: pages.urgent, background: pages.background })
        }
      })
  }
}
