import { Cause, Console, Effect, Exit } from "effect"
import { Device, Kernel, Locked, MapFlags, Mm, Page, ProtFlags, Task, Units } from "pagewright"

/** The failure of something that must fail. */
const refusal = <A, E, R>(attempt: Effect.Effect<A, E, R>) => Effect.orDie(Effect.flip(attempt))

const device = Device.make({
  open: Page.allocPage("GFP_KERNEL|__GFP_ZERO"),
  mmap: (page, vma) =>
    Effect.gen(function* () {
      const mixed = yield* vma.setMixedmap()
      yield* mixed.vmInsertPage(mixed.start, page)
      const busy = yield* refusal(mixed.vmInsertPage(mixed.start, page))
      yield* Console.log(`an entry in use:         ${busy._tag}`)
    })
})

/** What an attempt died of. */
const death = <A, E, R>(attempt: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.exit(attempt), (exit) => {
    const cause = Exit.isFailure(exit) ? Cause.squash(exit.cause) : "nothing"
    return cause instanceof Error ? cause.message : cause
  })

const program = Effect.gen(function* () {
  const fd = yield* Task.open("/dev/unseen", "rw")
  const at = yield* Task.mmap({ length: 4096, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })

  const sleeper = Locked.rcuRead(() => Effect.sleep("1 millis"))
  yield* Console.log(`a wait of Effect's own:  ${yield* death(sleeper)}`)

  const mm = yield* Mm.current
  let kept: unknown
  yield* Locked.withUser(mm, (user) => Effect.sync(() => void (kept = user)))
  const late = Locked.mmapRead(kept as Mm.MmWithUser<Locked.AfterUnlock>, () => Effect.void)
  yield* Console.log(`a cast around a section: ${yield* death(late as Effect.Effect<void>)}`)

  yield* Locked.withUser(mm, (user) =>
    Locked.mmapRead(user, (mmap) =>
      Effect.gen(function* () {
        const vma = yield* mmap.vmaLookup(at)
        yield* vma.zapPageRangeSingle(vma.end, Units.pages(1))
      })
    )
  )
  yield* Console.log(`a range outside:         ${yield* Kernel.warnings}`)
})

const story = Effect.gen(function* () {
  yield* Device.register("/dev/unseen", device)
  yield* Task.run("program", Effect.scoped(program))
})

export default Kernel.scenario(
  { name: "unseen", frames: 64 },
  Effect.mapError(story, () => Kernel.checkFailed("the story stopped"))
)
