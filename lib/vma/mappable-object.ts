/** An object of a user's at run time: told of mappings, asked for pages, on one machine. Floor 8, internal. */
import { Context, Effect, Scheduler, Scope } from "effect"
import { EIO, ENOMEM, OK } from "../flags/Errno.ts"
import { VM_MAYWRITE, VM_SHARED, VM_WRITE } from "../flags/bits.ts"
import { type Access as Accessing, FETCH, READ as READING, WRITE as WRITING } from "../flags/FaultFlags.ts"
import { T_HOOK, T_MAPPED, T_OOM, T_SEGV, T_SIGBUS } from "../mm/area/object.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import {
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
import { type ErrnoName, type Fail, isFail } from "./Fail.ts"
import type { MappingSpace } from "./mapping-space.ts"
import { Task } from "./process.ts"
import { type AddrRange, format, make as rangeFrom, type MappableRange, type PageRange } from "./Range.ts"
import { discharged, pageRangeOf } from "./raw.ts"
import { spaceOf } from "./space.ts"
import { type BusError, checkAnswer, checkOnly, Made, Question } from "./translation.ts"
import { type Driver, enter, type Guard, Inside, type OpenFile, type Savable, type Span, type World } from "./world.ts"

/** A range of an object that an address space maps. */
export interface Mapping {
  readonly space: MappingSpace
  /** Where. */
  readonly range: AddrRange
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

/** A definition without its types. */
export interface Definition {
  readonly name: string
  readonly maxPerms?: Access | undefined
  readonly addMapping?: ((mapping: Mapping) => Agreement) | undefined
  readonly removeMapping?: ((mapping: Mapping) => void | Effect.Effect<void, never, unknown>) | undefined
  readonly copyMapping?: ((mapping: Mapping, to: AddrRange) => Agreement) | undefined
  readonly translate: (ask: never) => unknown
  readonly invalidateUnsavable?: Effect.Effect<void, Fail<ErrnoName>, unknown> | undefined
}

/** Pages whose numbers are known to be some. */
const pagesFrom = (first: number, count: number): PageRange<"mappable"> =>
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
  /** The first such effect, and what it is an answer to: asked for once, run once. */
  #first: { readonly v: number; readonly vpn: number; readonly effect: unknown } | undefined

  constructor(world: World, definition: Definition, services: Context.Context<never>, row: number) {
    this.world = world
    this.row = row
    this.definition = definition
    this.name = definition.name
    this.max = definition.maxPerms ?? "rwx"
    this.#services = Context.omit(Scheduler.Scheduler, Inside, Task, Scope.Scope)(services)
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
    const question = this.#question(k, v, pgoff, access)
    const answer = this.#ask(question)
    if (answer instanceof Made) return this.#install(k, v, vpn, question, access, answer)
    if (answer === undefined) return T_SIGBUS
    if (!Effect.isEffect(answer)) return this.#install(k, v, vpn, question, access, answer)
    this.#later = true
    this.#first = { v, vpn, effect: answer }
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
      range: rangeFrom(vpn * PAGE_SIZE, end * PAGE_SIZE),
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
          () => copyMapping?.(mapping, rangeFrom(to * PAGE_SIZE, toEnd * PAGE_SIZE)),
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

  /** Asks; undefined where the answer is a breach of contract. */
  #ask(question: Question): unknown {
    try {
      // INVARIANT: Mappable.make gave the definition a question of its own ceiling.
      return this.definition.translate(question as never)
    } catch (cause) {
      this.#breach(`it threw ${String(cause)}`)
      return undefined
    }
  }

  /** Maps what an answer found. @returns frame | T_* */
  #install(k: Kernel, v: number, vpn: number, q: Question, access: Accessing, answer: unknown): number {
    if (answer instanceof Made) {
      const broken = checkOnly(q.required, q.optional, q.at, answer)
      return broken === undefined ? this.#mapOne(k, v, vpn, q, access, answer) : this.#breach(broken)
    }
    const error = errorOf(answer)
    const found: readonly unknown[] = Array.isArray(answer) ? answer : translationsOf(answer)
    const clause = checkAnswer(q.required, q.optional, q.at, found, error)
    if (clause !== undefined) return this.#breach(clause)
    let mine: number = error === undefined ? T_SIGBUS : codeOf(error)
    for (const t of found) {
      if (!(t instanceof Made)) return this.#breach("an answer that is no translation")
      const r = this.#mapOne(k, v, vpn, q, access, t)
      if (t.source.start <= q.required.start && q.required.start < t.source.end) mine = r
      else if (r === T_SIGBUS) return r
    }
    return mine
  }

  /** Maps the pages of one translation. @returns the frame asked for | T_MAPPED it is mapped, or not among them | T_SIGBUS */
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
    if (file === 0 || !mapRun(k, v, vpn + delta, pages, file, index, writable, but ? vpn : -1))
      return this.#breach(`a page of ${format(t.source)} is said to be in a page of a file that nobody holds`)
    return but ? pageOf(k, file, index - delta) : T_MAPPED
  }

  #translateLater(guard: Guard, v: number, vpn: number, access: Accessing): Effect.Effect<unknown, unknown> {
    const { k } = this.world
    return Effect.map(this.#answer(k, v, vpn, access, guard), ({ given, question }) => {
      const p = given === undefined ? T_SIGBUS : this.#install(k, v, vpn, question, access, given)
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
      const p = given === undefined ? T_SIGBUS : this.#install(k, v, vpn, question, WRITING, given)
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
  ): Effect.Effect<{ given: unknown; question: Question }, unknown> {
    const pgoff = k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))
    const question = this.#question(k, v, pgoff, access)
    const first = this.#first
    this.#first = undefined
    const answer = first !== undefined && first.v === v && first.vpn === vpn ? first.effect : this.#ask(question)
    const later = Effect.isEffect(answer) ? this.run(answer) : Effect.succeed(answer)
    const refused = Effect.catchIf(later, isReason, (error) => Effect.succeed({ translations: [], error }))
    return Effect.map(refused, (given) => {
      enter(guard)
      return { given, question }
    })
  }

  #breach(clause: string): number {
    const line = `mappable ${this.name} broke its contract: ${clause}`
    this.world.k.warn.once(line, line)
    return T_SIGBUS
  }
}

const isReason = (error: unknown): error is BusError | Fail<ErrnoName> =>
  isFail(error) || (typeof error === "object" && error !== null && "_tag" in error && error._tag === "BusError")

const errorOf = (answer: unknown): BusError | Fail<ErrnoName> | undefined =>
  typeof answer === "object" && answer !== null && "error" in answer && isReason(answer.error)
    ? answer.error
    : undefined

const translationsOf = (answer: unknown): readonly unknown[] =>
  typeof answer === "object" && answer !== null && "translations" in answer && Array.isArray(answer.translations)
    ? answer.translations
    : []

/** What a fault's hook answers. */
const errnoOf = (code: number): number =>
  code === T_MAPPED ? OK : code === T_SEGV ? ESEGV : code === T_OOM ? ENOMEM : EIO

const codeOf = (error: BusError | Fail<ErrnoName>): number =>
  error._tag === "BusError" ? T_SIGBUS : error._tag === "ENOMEM" ? T_OOM : T_SEGV
