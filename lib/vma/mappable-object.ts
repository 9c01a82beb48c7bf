/** An object of a user's at run time: told of mappings, asked for pages, on one machine. Floor 8, internal. */
import { Cause, Context, Effect, Scheduler } from "effect"
import { EIO, ENOMEM, OK } from "../flags/Errno.ts"
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from "../flags/bits.ts"
import { type Access as Accessing, FETCH, READ as READING, WRITE as WRITING } from "../flags/FaultFlags.ts"
import { T_HOOK, T_MAPPED, T_OOM, T_SEGV, T_SIGBUS } from "../mm/area/object.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import {
  ELATE,
  ESEGV,
  H_ADD_MAPPING,
  H_COPY_MAPPING,
  H_FAULT,
  H_MSYNC,
  H_REMOVE_MAPPING,
  H_TRANSLATE_WRITE
} from "../mm/base/stop.ts"
import { leafOf, PAGE_SIZE, PMD_PAGES } from "../mm/base/units.ts"
import type { Kernel } from "../mm/kernel.ts"
import { pageOf } from "../mm/object/memory.ts"
import { mapAhead, mapRun } from "../mm/page/fill.ts"
import { follow } from "../mm/page/walk.ts"
import { ZAP_SKIP_COWS, zapNow } from "../mm/page/zap.ts"
import type { Access } from "./AccessType.ts"
import { Asking } from "./asking.ts"
import { type ErrnoName, type Fail, isFail } from "./Fail.ts"
import type { MappingSpace } from "./mapping-space.ts"
import { Task } from "./process.ts"
import { type AddrRange, format, type Kind, make as rangeFrom, type MappableRange, type PageRange } from "./Range.ts"
import { causeOf, discharged, pageRangeOf } from "./raw.ts"
import { spaceOf } from "./space.ts"
import { checkAnswer, checkOnly, describe, isReason, Made, partsOf, Question } from "./question.ts"
import type { Reason } from "./translation.ts"
import { type Driver, enter, type Guard, Inside, type OpenFile, type Savable, type Span, type World } from "./world.ts"

/** A range of an object that an address space maps. */
export interface Mapping<out R extends AddrRange = PageRange<"addr">> {
  readonly space: MappingSpace
  /** Where. */
  readonly range: R
  /** What is at its start: a byte offset in the object. */
  readonly offset: number
  /** May it ever be written through? Fixed for its life. */
  readonly writable: boolean
}

/** An identity that wants to know of msync. */
export interface Syncing {
  readonly msync: (range: MappableRange) => Effect.Effect<unknown, Fail<ErrnoName>, unknown>
}
const isSyncing = (state: unknown): state is Syncing =>
  typeof state === "object" && state !== null && "msync" in state && typeof state.msync === "function"

/** What an object may answer when it is told of a mapping: nothing, an errno, or either later. */
export type Agreement<Q = unknown> = void | Fail<ErrnoName> | Effect.Effect<void, Fail<ErrnoName>, Q>

/** A definition without its types. What it answers is looked at. */
export interface Definition {
  readonly name: string
  readonly maxPerms?: Access | undefined
  readonly addMapping?: ((mapping: Mapping) => unknown) | undefined
  readonly removeMapping?: ((mapping: Mapping) => unknown) | undefined
  readonly copyMapping?: ((mapping: Mapping<AddrRange>, to: PageRange<"addr">) => unknown) | undefined
  readonly translate: (ask: never) => unknown
  readonly invalidateUnsavable?: Effect.Effect<void, Fail<ErrnoName>, unknown> | undefined
}

/** What whoever makes an object lends to its effects: not his scheduler, section or process, which are of who calls. */
export const servicesOfOwner = (services: Context.Context<never>): Context.Context<never> =>
  Context.omit(Scheduler.Scheduler, Inside, Task)(services)

/** Pages whose numbers are known to be some; a copy's source alone may have none, and says so in its type. */
const pagesFrom = <K extends Kind>(first: number, count: number): PageRange<K> =>
  pageRangeOf({ start: first * PAGE_SIZE, end: (first + count) * PAGE_SIZE })

const READS: Access = "r--"
const WRITES: Access = "rw-"
const EXECUTES: Access = "r-x"
const accessOf = (n: number): Accessing => (n === WRITING ? WRITING : n === FETCH ? FETCH : READING)
const atOf = (access: Accessing): Access => (access === WRITING ? WRITES : access === FETCH ? EXECUTES : READS)

/** An object on its machine. It answers for its areas as a driver does for a device's. */
export class MappableObject implements Driver, Savable {
  readonly name: string
  readonly hooks: number
  readonly max: Access
  readonly world: World
  readonly definition: Definition
  /** Row of the object. */
  readonly row: number
  /** Row of its operations. */
  ops = 0
  #live = true
  readonly #services: Context.Context<never>
  /** It answers with effects: the fast path need not ask. */
  #later = false
  /** The first such effect, what it is an answer to, and the invalidations there had been: asked for once, run once. */
  #first: { readonly question: Question; readonly effect: unknown; readonly forgettings: number } | undefined

  constructor(world: World, definition: Definition, services: Context.Context<never>, row: number) {
    this.world = world
    this.row = row
    this.definition = definition
    this.name = definition.name
    this.max = definition.maxPerms ?? "rwx"
    this.#services = servicesOfOwner(services)
    this.hooks =
      (1 << H_ADD_MAPPING) |
      (1 << H_REMOVE_MAPPING) |
      (1 << H_COPY_MAPPING) |
      (1 << H_FAULT) |
      (1 << H_TRANSLATE_WRITE) |
      (1 << H_MSYNC)
  }

  /** The vm_operations' `translate`: at once, or never (T_HOOK). */
  readonly translate = (k: Kernel, v: number, pgoff: number, access: Accessing): number => {
    if (!this.#live) return T_SIGBUS
    if (this.#later) return T_HOOK
    const vpn = k.vmas.startOf(v) + (pgoff - k.vmas.pgoff(v))
    const { forgettings } = this.world
    const question = this.#question(k, v, pgoff, access)
    const answer = this.#ask(question)
    if (answer === BROKEN) return T_SIGBUS
    // It made somebody forget while it was asked. The slow way knows who and what.
    if (this.world.forgettings !== forgettings) return T_HOOK
    if (answer instanceof Made && answer.question === question)
      return this.#installOnly(k, v, vpn, question, access, answer)
    if (answer instanceof Made || !Effect.isEffect(answer)) return this.#install(k, v, vpn, question, access, answer)
    this.#later = true
    this.#first = { question, effect: answer, forgettings }
    return T_HOOK
  }

  call(
    hook: number,
    _open: OpenFile,
    guard: Guard,
    v: number,
    vpn: number,
    range: Span
  ): Effect.Effect<unknown, unknown> {
    switch (hook) {
      case H_FAULT:
        return this.#translateLater(guard, v, vpn, accessOf(range[0]))
      case H_TRANSLATE_WRITE:
        return this.#translateAgain(guard, v, vpn)
      default:
        return this.#tell(hook, v, vpn, range)
    }
  }

  /** Forgets translations that would not survive a save. */
  get unsavable(): Effect.Effect<unknown, unknown> {
    const { invalidateUnsavable } = this.definition
    return invalidateUnsavable === undefined ? Effect.void : this.run(invalidateUnsavable)
  }

  /** Its Scope has ended: it answers no more. */
  end(): void {
    this.#live = false
  }

  ioctl(): undefined {
    return undefined
  }

  release(): Effect.Effect<void> {
    return Effect.void
  }

  sync(open: OpenFile, first: number, end: number): Effect.Effect<unknown, unknown> | undefined {
    return isSyncing(open.state) ? this.run(open.state.msync(rangeFrom(first * PAGE_SIZE, end * PAGE_SIZE))) : undefined
  }

  /** An effect of the object's, with the services it was made with. */
  run(effect: Effect.Effect<unknown, unknown, unknown>): Effect.Effect<unknown, unknown> {
    return Effect.provideContext(discharged(effect), this.#services)
  }

  /** Is told of a mapping that was there before it. */
  meet(v: number): Effect.Effect<unknown, unknown> {
    const { vmas } = this.world.k
    return this.#tell(H_ADD_MAPPING, v, vmas.startOf(v), [vmas.endOf(v), vmas.pgoff(v), 0, 0])
  }

  #tell(hook: number, v: number, vpn: number, range: Span): Effect.Effect<unknown, unknown> {
    const { k } = this.world
    const space = spaceOf(this.world, k.vmas.mmOf(v))
    const [end, pgoff, to, toEnd] = range
    const mapping: Mapping = {
      space,
      range: pagesFrom(vpn, end - vpn),
      offset: pgoff * PAGE_SIZE,
      writable: (k.vmas.flags(v) & (VM_SHARED | VM_MAYWRITE)) === (VM_SHARED | VM_MAYWRITE)
    }
    const { addMapping, copyMapping, removeMapping } = this.definition
    switch (hook) {
      case H_ADD_MAPPING:
        return this.#agreed(
          () => addMapping?.(mapping),
          () => space.add(end - vpn)
        )
      case H_COPY_MAPPING:
        return this.#agreed(
          () => copyMapping?.(mapping, pagesFrom(to, toEnd - to)),
          () => space.add(toEnd - to)
        )
      case H_REMOVE_MAPPING:
        return this.#agreed(
          () => removeMapping?.(mapping),
          () => space.add(vpn - end)
        )
      default:
        return vmBugOn(`${this.name} has no hook ${hook}`)
    }
  }

  #agreed(tell: () => unknown, then: () => void): Effect.Effect<unknown, unknown> {
    return Effect.suspend((): Effect.Effect<unknown, unknown> => {
      const answer = tell()
      if (Effect.isEffect(answer)) return Effect.map(this.run(answer), then)
      if (isFail(answer)) return Effect.fail(answer)
      then()
      return Effect.void
    })
  }

  #question(k: Kernel, v: number, pgoff: number, access: Accessing): Question {
    const vpn = k.vmas.startOf(v) + (pgoff - k.vmas.pgoff(v))
    const leaf = leafOf(vpn) * PMD_PAGES
    const start = Math.max(k.vmas.startOf(v), leaf)
    const end = Math.min(k.vmas.endOf(v), leaf + PMD_PAGES)
    const first = pgoff - (vpn - start)
    return new Question(pagesFrom(pgoff, 1), pagesFrom(first, end - start), atOf(access), this.max)
  }

  /** Asks. */
  #ask(question: Question): unknown {
    try {
      // INVARIANT: Mappable.make gave the definition a question of its own ceiling.
      return this.definition.translate(question as never)
    } catch (cause) {
      this.#breach(`it threw ${String(cause)}`)
      return BROKEN
    }
  }

  /** Maps what an answer found. @returns frame | T_* | LATE */
  #install(k: Kernel, v: number, vpn: number, q: Question, access: Accessing, answer: unknown): number {
    if (answer instanceof Made && answer.question === q && q.meanwhile === undefined)
      return this.#installOnly(k, v, vpn, q, access, answer)
    const { error, found } = partsOf(answer)
    const clause = checkAnswer(q.required, q.optional, q.at, found, error, q)
    if (clause !== undefined) return this.#breach(clause)
    const made = found.filter((t) => t instanceof Made)
    for (const t of made) {
      const gone = q.meanwhile?.forgottenOf(t)
      if (gone?.own === false) return LATE
      if (gone !== undefined)
        return this.#breach(`it told its mappings to forget ${format(gone.range)}, and then answered with it`)
    }
    if (q.meanwhile !== undefined) q.meanwhile.answer = made
    let mine: number = error === undefined ? T_SIGBUS : codeOf(error)
    for (const t of made) {
      const r = this.#mapOne(k, v, vpn, q, access, t)
      if (t.source.start <= q.required.start && q.required.start < t.source.end) mine = r
      else if (r === T_SIGBUS || r === T_OOM) return r
    }
    return mine
  }

  /** The same for an answer that is one translation, and came at once. */
  #installOnly(k: Kernel, v: number, vpn: number, q: Question, access: Accessing, t: Made): number {
    const broken = checkOnly(q.required, q.optional, q.at, t)
    return broken === undefined ? this.#mapOne(k, v, vpn, q, access, t) : this.#breach(broken)
  }

  /** Maps the pages of one translation. @returns the frame asked for | T_MAPPED it is mapped, or not among them | T_* */
  #mapOne(k: Kernel, v: number, vpn: number, q: Question, access: Accessing, t: Made): number {
    const { end, start } = t.source
    const lo = k.vmas.flags(v)
    const file = t.file.rowOn(this.world)
    const index = t.offset / PAGE_SIZE
    const delta = (start - q.required.start) / PAGE_SIZE
    const pages = (end - start) / PAGE_SIZE
    const writable = (lo & (VM_WRITE | VM_SHARED)) === (VM_WRITE | VM_SHARED) && (t.perms & 2) !== 0
    // the page that was asked for is mapped by the fault itself, unless a later write to it need not ask again
    const isMine = delta <= 0 && -delta < pages
    const but = isMine && (!writable || access === WRITING)
    const r =
      file === 0
        ? T_SIGBUS
        : but && pages === 1
          ? pageOf(k, file, index)
          : mapRun(k, v, vpn + delta, pages, file, index, writable, but ? vpn : -1)
    return r === T_SIGBUS || r === 0 ? this.#nobodyHolds(k, v, vpn, q, t) : r
  }

  /** An answer named a page that is not there: what it did map is forgotten again. */
  #nobodyHolds(k: Kernel, v: number, vpn: number, q: Question, t: Made): number {
    const first = vpn - (q.required.start - q.optional.start) / PAGE_SIZE
    zapNow(k, v, first, first + (q.optional.end - q.optional.start) / PAGE_SIZE, ZAP_SKIP_COWS)
    return this.#breach(`a page of ${format(t.source)} is said to be in a page of a file that nobody holds`)
  }

  #translateLater(guard: Guard, v: number, vpn: number, access: Accessing): Effect.Effect<unknown, unknown> {
    const { k } = this.world
    return Effect.map(this.#answer(k, v, vpn, access, guard), ({ given, question }) => {
      const p = given === BROKEN ? T_SIGBUS : this.#install(k, v, vpn, question, access, given)
      if (p < 0) return errnoOf(p)
      k.frames.get(p) // who holds the page may let go of it before the verb goes on
      this.world.pinned[guard.run] = p
      return p
    })
  }

  /** The page of a present, read-only entry is to be written. */
  #translateAgain(guard: Guard, v: number, vpn: number): Effect.Effect<unknown, unknown> {
    const { k } = this.world
    const was = follow(k, k.vmas.mmOf(v), vpn)
    return Effect.map(this.#answer(k, v, vpn, WRITING, guard), ({ given, question }) => {
      const p = given === BROKEN ? T_SIGBUS : this.#install(k, v, vpn, question, WRITING, given)
      if (p < 0) return errnoOf(p)
      if (p === was) return OK
      // it lies elsewhere now: the verb looks at the entry again, and finds this one
      zapNow(k, v, vpn, vpn + 1, ZAP_SKIP_COWS)
      mapAhead(k, v, vpn, p, true)
      return OK
    })
  }

  /** Asks, and waits for the answer. */
  #answer(
    k: Kernel,
    v: number,
    vpn: number,
    access: Accessing,
    guard: Guard
  ): Effect.Effect<{ given: unknown; question: Question }> {
    const first = this.#first
    this.#first = undefined
    const anew = this.#question(k, v, k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v)), access)
    const known =
      first !== undefined && first.forgettings === this.world.forgettings && first.question.isLike(anew)
        ? first
        : undefined
    const question = known === undefined ? anew : known.question
    if (!this.#live) return Effect.succeed({ given: BROKEN, question })
    const asking = new Asking(guard, question, v, vpn)
    this.world.pending[guard.run] = asking
    asking.isRunning = true
    const answer = known === undefined ? this.#ask(question) : known.effect
    asking.isRunning = false
    if (!Effect.isEffect(answer)) return Effect.succeed({ given: answer, question })
    return Effect.map(
      Effect.catchCause(this.run(answer), (cause) => this.#excuse(cause)),
      (given) => {
        enter(guard)
        return { given: this.#live ? given : BROKEN, question }
      }
    )
  }

  /** What an effect that failed answers with. */
  #excuse(cause: Cause.Cause<unknown>): Effect.Effect<unknown> {
    if (Cause.hasInterrupts(cause)) return Effect.failCause(causeOf<never>(cause))
    const [reason] = cause.reasons
    if (reason !== undefined && Cause.isFailReason(reason)) {
      if (isReason(reason.error)) return Effect.succeed({ translations: [], error: reason.error })
      this.#breach(`it failed with ${describe(reason.error)}, which is no errno and no BusError`)
    } else this.#breach(`it died of ${describe(Cause.squash(cause))}`)
    return Effect.succeed(BROKEN)
  }

  #breach(clause: string): number {
    const line = `mappable ${this.name} broke its contract: ${clause}`
    this.world.k.warn.once(line, line)
    return T_SIGBUS
  }
}

/** Instead of an answer: what was said is a breach of contract, and has been named. Or nobody is left to say anything. */
const BROKEN = {}

/** Answer of `#install`: what was found has been forgotten by others since. */
const LATE = -8

/** What a hook that finds pages answers. */
const errnoOf = (code: number): number =>
  code === T_MAPPED ? OK : code === LATE ? ELATE : code === T_SEGV ? ESEGV : code === T_OOM ? ENOMEM : EIO

const codeOf = (error: Reason): number =>
  error._tag === "BusError" ? T_SIGBUS : error._tag === "ENOMEM" ? T_OOM : T_SEGV
