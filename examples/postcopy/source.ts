/** The source of the migration: runs the task, stops it, lets it go, and compares what became of it with what is here. */
import { Deferred, Effect, Match } from "effect"
import { Kernel } from "pagewright"
import { execute } from "../lazy-restore/processor.ts"
import { areas } from "../lazy-restore/save.ts"
import { type Connection, expect, type listen } from "./connection.ts"
import { ofMemory } from "./fingerprint.ts"
import { Layout } from "./layout.ts"
import { Outgoing, resume, send } from "./outgoing.ts"
import { placed, tell, tellProgress } from "./progress.ts"
import { load, visiting } from "./scatter.ts"
import { Garbled, type Message } from "./wire.ts"

type Server = Effect.Success<typeof listen>
type Said<Tag extends Message["_tag"]> = Extract<Message, { readonly _tag: Tag }>

/** What the destination says once. */
const makeHeard = Effect.all({
  running: Deferred.make<Said<"Running">>(),
  arrived: Deferred.make<Said<"Arrived">>(),
  halted: Deferred.make<Said<"Halted">>()
})
type Heard = Effect.Success<typeof makeHeard>

const short = (fingerprint: string) => fingerprint.slice(0, 16)
const since = (moment: number) => `${(performance.now() - moment).toFixed(1)} ms`

/** Both fingerprints in a line; a failed check where they differ. */
const compare = (what: string, there: string, here: string) =>
  there === here
    ? tell(`${what}: ${short(there)} there, ${short(here)} here`)
    : Effect.fail(Kernel.checkFailed(`${what}: ${there} there, ${here} here`))

/** Has the pages sent, over one connection after the other. The first is cut in the middle. */
const deliver = (out: Outgoing, first: Connection, server: Server, heard: Heard) =>
  Effect.gen(function* () {
    let isCut = false
    const cutOnce = (connection: Connection) =>
      Effect.suspend(() => {
        if (isCut || out.sent.size < out.layout.pages / 2) return Effect.void
        isCut = true
        return Effect.andThen(connection.cut, tell(`the connection is cut; ${out.sent.size} pages were sent`))
      })
    const hear = (connection: Connection) =>
      Match.type<Message>().pipe(
        Match.tag("Running", (message) => Deferred.succeed(heard.running, message)),
        Match.tag("Arrived", (message) => Deferred.succeed(heard.arrived, message)),
        Match.tag("Halted", (message) =>
          Effect.andThen(connection.send({ _tag: "Bye" }), Deferred.succeed(heard.halted, message))
        ),
        Match.orElse(({ _tag }) => Effect.fail(new Garbled({ message: `${_tag} came, out of place` })))
      )
    // What it takes to run the next instruction comes first, and comes alone.
    const running = Deferred.await(heard.running)
    /** Until the connection is lost; answers when that was. */
    const over = (connection: Connection) =>
      send(out, connection, hear(connection), Effect.andThen(running, cutOnce(connection))).pipe(
        Effect.catchTag("Lost", () => Effect.sync(() => performance.now()))
      )
    const overAnother = (lost: number) =>
      Effect.gen(function* () {
        const connection = yield* server.accept
        yield* resume(out, connection)
        yield* tell(`the destination is back after ${since(lost)}; it has ${out.sent.size} pages`)
        return yield* over(connection)
      }).pipe(Effect.catchTag("Lost", () => Effect.succeed(lost)))
    let lost = yield* over(first)
    for (;;) lost = yield* overAnother(lost)
  })

/** Runs a task with so many pages of data, and has it migrate in the middle of its work. */
export const migrate = (pages: number, server: Server) =>
  Effect.gen(function* () {
    yield* load(pages, 4 * pages)
    const layout = new Layout(yield* areas)
    const connection = yield* server.accept
    yield* connection.send({ _tag: "Advise", areas: layout.areas })
    const [ran] = yield* Effect.all([execute(visiting(2 * pages)), expect(connection, "Listening")], {
      concurrency: "unbounded"
    })

    const stop = performance.now()
    yield* connection.send({ _tag: "Run" })
    yield* tell(`the task has stopped after ${ran} instructions; it has ${layout.pages} pages`)
    const out = new Outgoing(layout)
    const heard = yield* makeHeard

    const story = Effect.gen(function* () {
      yield* Deferred.await(heard.running)
      yield* tell(`the destination has performed the next instruction ${since(stop)} after the stop`)
      const arrived = yield* Effect.raceFirst(Deferred.await(heard.arrived), tellProgress(out, stop))
      out.placed = arrived
      yield* tell(`every page is there after ${since(stop)}: ${placed(out, stop)}`)
      yield* compare("memory at the stop", arrived.fingerprint, yield* ofMemory(layout))
      const instructions = yield* execute(Infinity)
      const end = yield* ofMemory(layout)
      const halted = yield* Deferred.await(heard.halted)
      yield* tell(`the task has ended there after ${halted.instructions} instructions, here after ${instructions}`)
      yield* compare("memory at the end", halted.fingerprint, end)
      if (halted.instructions !== instructions)
        return yield* Effect.fail(Kernel.checkFailed("the task did not do the same there as here"))
    })
    yield* Effect.raceFirst(story, deliver(out, connection, server, heard))
  })
