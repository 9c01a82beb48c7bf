/** Post-copy migration over a network that fails again and again: what arrives is what was sent, and nobody waits for ever. */
import { createConnection, createServer, type Server } from "node:net"
import { Deferred, Effect } from "effect"
import fc from "fast-check"
import { Kernel, MapFlags, ProtFlags, Task, Userfaultfd } from "pagewright"
import { expect, it } from "vitest"
import { connect, listen } from "../../examples/postcopy/connection.ts"
import { ofMemory } from "../../examples/postcopy/fingerprint.ts"
import { answerFaults, type Contents, Pages, place } from "../../examples/postcopy/incoming.ts"
import { Layout, PAGE } from "../../examples/postcopy/layout.ts"
import { makeLink } from "../../examples/postcopy/link.ts"
import { Outgoing, resume, send } from "../../examples/postcopy/outgoing.ts"
import type { Message } from "../../examples/postcopy/wire.ts"
import { onKernel, small } from "../vma/support.ts"

const COUNT = 400
const prot = ProtFlags.READ | ProtFlags.WRITE
const layout = new Layout([
  { start: 0x2000_0000, length: 100 * PAGE, prot },
  { start: 0x3000_0000, length: (COUNT - 100) * PAGE, prot }
])
const machine = { ...small, frames: 1024 }
const mapAll = Effect.forEach(layout.areas, ({ length, start }) =>
  Task.mmap({ address: start, length, prot, flags: MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED })
)

/** A network between a port of its own and `port`. Its first connections end after so many bytes to whoever connected. */
const network = (port: number, cuts: readonly number[]) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((done) => {
        let made = 0
        const server = createServer((near) => {
          let left = cuts[made++] ?? Infinity
          const far = createConnection(port, "127.0.0.1")
          const end = () => void (near.destroy(), far.destroy())
          for (const socket of [near, far]) socket.on("error", end).on("close", end)
          near.pipe(far)
          far.on("data", (bytes: Buffer) => {
            if (left < 0) return
            near.write(bytes.subarray(0, left))
            left -= bytes.length
            if (left < 0) near.end(end)
          })
        })
        server.listen(0, "127.0.0.1", () => done(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    }
  )

/** The source: sends until it has heard that everything is there. @returns what the destination says of it */
const source = (server: Effect.Success<typeof listen>) =>
  Effect.gen(function* () {
    const arrived = yield* Deferred.make<Message>()
    const out = new Outgoing(layout)
    const over = (isFirst: boolean) =>
      Effect.gen(function* () {
        const connection = yield* server.accept
        if (!isFirst) yield* resume(out, connection)
        const hear = (message: Message) =>
          Effect.andThen(connection.send({ _tag: "Bye" }), Deferred.succeed(arrived, message))
        return yield* send(out, connection, hear, Effect.void)
      }).pipe(Effect.catchTag("Lost", () => Effect.void))
    yield* Effect.forkChild(Effect.andThen(over(true), Effect.forever(over(false))))
    return yield* Deferred.await(arrived)
  })

/** The destination: a task that touches these pages while its memory comes. @returns what it found there, and what is there in the end */
const destination = (port: number, touched: readonly number[]) =>
  Effect.gen(function* () {
    yield* mapAll
    return yield* Userfaultfd.open(
      (fresh) =>
        Effect.gen(function* () {
          const uffd = yield* fresh.api([])
          const ranges = yield* Effect.forEach(layout.areas, ({ length, start }) =>
            uffd.register(start, length, ["MISSING"])
          )
          const pages = new Pages(layout)
          const link = makeLink(port, yield* connect(port), pages)
          const fill = (contents: Contents) =>
            Effect.gen(function* () {
              yield* place(pages, ranges, contents)
              const { background, fingerprint, urgent } = pages
              if (pages.isWhole)
                yield* link.say({ _tag: "Arrived", fingerprint: fingerprint.toString(), urgent, background })
            })
          const task = Effect.forEach(touched, (page) => Task.load32(layout.at(page).address))
          const found = yield* Effect.raceFirst(
            Effect.map(Effect.all([task, link.serve(fill)], { concurrency: "unbounded" }), ([values]) => values),
            answerFaults(uffd, pages, link.request)
          )
          return { found, end: yield* ofMemory(layout) }
        }),
      { nonBlocking: true, userModeOnly: true }
    )
  })

it(
  "a task's memory arrives whole, each page once, wherever and however often the connection is cut",
  () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.nat({ max: 100 }), fc.nat({ max: 600_000 })), { maxLength: 6 }),
        fc.array(fc.nat({ max: COUNT - 1 }), { maxLength: 30 }),
        (cuts, touched) =>
          onKernel(
            Effect.gen(function* () {
              const server = yield* listen
              const port = yield* network(server.port, cuts)
              const there = Effect.provide(Task.run("destination", destination(port, touched)), Kernel.layer(machine))
              const here = Task.run(
                "source",
                Effect.gen(function* () {
                  yield* mapAll
                  for (let page = 0; page < COUNT; page++)
                    if (page % 5 !== 0) yield* Task.store32(layout.at(page).address, page)
                  return { arrived: yield* source(server), sum: yield* ofMemory(layout) }
                })
              )
              const [{ end, found }, { arrived, sum }] = yield* Effect.all([there, here], { concurrency: "unbounded" })
              expect(found).toEqual(touched.map((page) => (page % 5 === 0 ? 0 : page)))
              expect(arrived).toMatchObject({ _tag: "Arrived", fingerprint: sum })
              expect(end).toBe(sum)
            }),
            machine
          )
      ),
      { numRuns: 25 }
    ),
  120_000
)
