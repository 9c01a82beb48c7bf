/**
 * A task is saved to a file and goes on, on another machine, before its memory is there.
 * `npx pagewright run examples/lazy-restore/main.ts`
 */
import { createHash } from "node:crypto"
import { mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Console, Effect } from "effect"
import { Kernel, Task } from "pagewright"
import { openImage, PAGE } from "./image.ts"
import { restoreFirst } from "./eager.ts"
import { execute } from "./processor.ts"
import { type Progress, restore } from "./restore.ts"
import { building, load, memory, turning } from "./ring.ts"
import { save } from "./save.ts"

const PAGES = 512
const machine = { frames: 1024 }
const FIRST = 10_000
/** The task is saved after so many instructions: it has been round once, nearly. */
const SAVED_AT = building(PAGES) + turning(PAGES) - FIRST / 2

const check = (holds: boolean, message: string) => (holds ? Effect.void : Effect.fail(Kernel.checkFailed(message)))
const promise = <A>(make: () => Promise<A>) => Effect.promise(make)
const ms = (time: number): string => `${time.toFixed(1)} ms`.padStart(9)

/** Hash of all memory of the task, what nobody touched included. */
const hash = Effect.gen(function* () {
  const sum = createHash("sha256")
  for (const { length, start } of memory(PAGES)) sum.update(yield* Task.loadBytes(start, length))
  return sum.digest("hex").slice(0, 16)
})
/** Runs the task to its end. */
const finish = Effect.andThen(execute(Infinity), hash)

/** Runs `body` on a new machine, and nothing is left on it. */
const onNewMachine = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const answer = yield* body
    yield* check((yield* Kernel.leaks).length === 0, "the new machine has something left")
    return answer
  })

/** The whole machine is read, and made again; then its task goes on. */
const wholeMachine = (path: string) =>
  Effect.gen(function* () {
    const begin = performance.now()
    const bytes = yield* promise(() => readFile(path))
    const body = Effect.gen(function* () {
      const [process] = yield* Kernel.processes
      return yield* Task.resume(
        process?.pid ?? 0,
        Effect.gen(function* () {
          yield* execute(1)
          const first = performance.now() - begin
          return { first, end: yield* finish }
        })
      )
    })
    return yield* Effect.provide(onNewMachine(body), Kernel.restore(bytes))
  })

/** All pages of the task are read; then it goes on. */
const allPages = (path: string) =>
  Effect.gen(function* () {
    const begin = performance.now()
    yield* restoreFirst(yield* openImage(path))
    yield* execute(1)
    const first = performance.now() - begin
    return { first, end: yield* finish }
  }).pipe(
    (program) => onNewMachine(Task.run("restored", Effect.scoped(program))),
    Effect.provide(Kernel.layer(machine))
  )

/** The task goes on at once. */
const atOnce = (path: string) =>
  Effect.gen(function* () {
    const begin = performance.now()
    const image = yield* openImage(path)
    let [first, demanded, early, end] = [0, 0, 0, ""]
    const task = (progress: Progress) =>
      Effect.gen(function* () {
        yield* execute(1)
        first = performance.now() - begin
        yield* execute(FIRST - 1)
        demanded = progress.onDemand
        early = image.pagesRead()
        yield* execute(Infinity)
        yield* progress.complete
        end = yield* hash
      })
    const endsInSignal = Effect.catch((signal: Task.Signal) =>
      Effect.sync(() => {
        end = signal._tag
      })
    )
    const progress = yield* restore(image, (progress) => endsInSignal(task(progress)))
    return { demanded, early, end, first, progress }
  }).pipe(
    (program) => onNewMachine(Task.run("restored", Effect.scoped(program))),
    Effect.provide(Kernel.layer(machine))
  )

/** Changes a byte of the file. */
const damage = (path: string, position: number) =>
  promise(async () => {
    const file = await open(path, "r+")
    const { buffer } = await file.read(new Uint8Array(1), 0, 1, position)
    await file.write(
      buffer.map((byte) => byte ^ 1),
      0,
      1,
      position
    )
    await file.close()
  })

/** Why there is no task in the file. */
const refusal = (path: string) =>
  Effect.orDie(Effect.flip(Effect.scoped(openImage(path)))).pipe(Effect.map(({ message }) => message))

const story = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    promise(() => mkdtemp(join(tmpdir(), "pagewright-"))),
    (path) => promise(() => rm(path, { recursive: true }))
  )
  const [whole, task] = [join(folder, "machine"), join(folder, "task")]

  const control = yield* Task.run("control", Effect.andThen(load(PAGES), finish))
  yield* Console.log(`never saved: the task ends with memory          ${control}`)
  const [stored, bytes] = yield* Task.run(
    "subject",
    Effect.gen(function* () {
      yield* load(PAGES)
      yield* execute(SAVED_AT)
      return [yield* save(task), yield* Kernel.save] as const
    })
  )
  yield* promise(() => writeFile(whole, bytes))
  yield* Console.log(`saved after ${SAVED_AT} instructions: ${stored} pages of the task, and the whole machine\n`)

  const machineFirst = yield* wholeMachine(whole)
  const pagesFirst = yield* allPages(task)
  const taskFirst = yield* atOnce(task)
  const { demanded, early, progress } = taskFirst
  yield* Console.log("                        first instruction after   memory at the end")
  yield* Console.log(`the machine first       ${ms(machineFirst.first)}                 ${machineFirst.end}`)
  yield* Console.log(`all pages first         ${ms(pagesFirst.first)}                 ${pagesFirst.end}`)
  yield* Console.log(`the task first          ${ms(taskFirst.first)}                 ${taskFirst.end}\n`)
  yield* Console.log(
    `${early} of ${stored} pages had been read when the first ${FIRST} instructions were done, ${demanded} for them;`
  )
  yield* Console.log(
    `in the end ${progress.onDemand} for ${progress.faults} faults that waited, ${progress.inBackground} when nobody asked, ${progress.zero} of zeroes\n`
  )
  for (const { end } of [machineFirst, pagesFirst, taskFirst])
    yield* check(end === control, "the restored task ended otherwise than the one that was never saved")
  yield* check(demanded < stored / 2, "most pages were read before the task had begun")
  yield* check(progress.onDemand + progress.inBackground === stored, "some pages were read twice, or never")

  yield* damage(task, PAGE * 100)
  const damaged = yield* atOnce(task)
  yield* Console.log(`a byte of a page is changed   the task ends in ${damaged.end}: ${damaged.progress.damaged[0]}`)
  yield* check(damaged.end === "SIGBUS", "the task has seen a page that is damaged")
  yield* damage(task, 20)
  yield* Console.log(`a byte of the counts          ${yield* refusal(task)}`)
  yield* damage(task, 20)
  yield* promise(() => truncate(task, 1_000_000))
  yield* Console.log(`the file is cut short         ${yield* refusal(task)}`)
})

export default Kernel.scenario(
  { name: "lazy-restore", ...machine },
  Effect.catchIf(story, (e) => e._tag !== "CheckFailed", Effect.die)
)
