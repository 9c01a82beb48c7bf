/** One TCP connection of a migration: messages go, messages come, and both end in `Lost`. On this host only. */
import { createConnection, createServer, type Server, type Socket } from "node:net"
import { Cause, Data, Effect, Queue } from "effect"
import { Decoder, encode, Garbled, type Message } from "./wire.ts"

/** The connection is gone. What was under way may have come or not. */
export class Lost extends Data.TaggedError("Lost")<{ readonly message: string }> {}

const HOST = "127.0.0.1"
const gone = new Lost({ message: "the connection is gone" })

export interface Connection {
  /** Sends a message. Waits while the other side takes nothing more. */
  readonly send: (message: Message) => Effect.Effect<void, Lost>
  /** The next message. While nobody asks for one, nothing is read from the network. */
  readonly receive: Effect.Effect<Message, Lost | Garbled>
  /** Cuts the connection: what was not sent yet is lost. */
  readonly cut: Effect.Effect<void>
}

/** The connection over a socket, until the current Scope ends. */
const over = (socket: Socket) =>
  Effect.gen(function* () {
    const inbox = yield* Queue.unbounded<Message, Lost | Garbled>()
    const decoder = new Decoder()
    const end = (why: Lost | Garbled): void => {
      Queue.failCauseUnsafe(inbox, Cause.fail(why))
      socket.destroy()
    }
    socket.on("data", (bytes: Uint8Array) => {
      const wrong = decoder.push(bytes, (message) => Queue.offerUnsafe(inbox, message))
      if (wrong !== undefined) end(wrong)
      else if (Queue.sizeUnsafe(inbox) > 0) socket.pause()
    })
    socket.once("close", () => end(gone))
    if (socket.destroyed) end(gone) // it closed before anybody listened
    socket.setNoDelay(true)
    yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))

    const connection: Connection = {
      send: (message) =>
        Effect.suspend(() => {
          if (socket.destroyed) return Effect.fail(gone)
          const [header, body] = encode(message)
          socket.cork()
          socket.write(header)
          const flows = body.length === 0 || socket.write(body)
          socket.uncork()
          return flows ? Effect.void : drained(socket)
        }),
      receive: Effect.suspend(() => {
        if (Queue.sizeUnsafe(inbox) === 0) socket.resume()
        return Queue.take(inbox)
      }),
      cut: Effect.sync(() => socket.destroy())
    }
    return connection
  })

/** The next message, which must be that one. */
export const expect = <Tag extends Message["_tag"]>(connection: Connection, tag: Tag) =>
  Effect.filterOrFail(
    connection.receive,
    (message): message is Extract<Message, { readonly _tag: Tag }> => message._tag === tag,
    ({ _tag }) => new Garbled({ message: `${_tag} came, not ${tag}` })
  )

/** Waits until a socket takes more. */
const drained = (socket: Socket) =>
  Effect.callback<void, Lost>((resume) => {
    const forget = (): void => void socket.off("drain", flows).off("close", closed)
    const flows = (): void => (forget(), resume(Effect.void))
    const closed = (): void => (forget(), resume(Effect.fail(gone)))
    socket.once("drain", flows).once("close", closed)
    return Effect.sync(forget)
  })

/** Listens at a port that the system chooses, until the current Scope ends. */
export const listen = Effect.gen(function* () {
  const sockets = yield* Queue.unbounded<Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server, Lost>((resume) => {
      const listening = createServer((socket) => {
        socket.on("error", () => {}) // "close" follows
        Queue.offerUnsafe(sockets, socket)
      })
      listening.once("error", (error) => resume(Effect.fail(new Lost({ message: error.message }))))
      listening.listen(0, HOST, () => resume(Effect.succeed(listening)))
    }),
    (listening) => Effect.sync(() => listening.close())
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { port, accept: Effect.flatMap(Queue.take(sockets), over) }
})

/** Connects to a port, until the current Scope ends. */
export const connect = (port: number) =>
  Effect.flatMap(
    Effect.callback<Socket, Lost>((resume) => {
      const socket = createConnection(port, HOST, () => resume(Effect.succeed(socket)))
      socket.on("error", (error) => resume(Effect.fail(new Lost({ message: error.message }))))
      return Effect.sync(() => socket.destroy())
    }),
    over
  )
