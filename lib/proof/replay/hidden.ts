/** What a log does not show and maps depend on: which memory was written to, which descriptors are one open file. Floor 9.
 *
 * Areas merge only if the histories of their private pages allow it, and writes are no system calls. So memory counts as
 * never written to until the map shows otherwise. Where Linux's map is not ours, guesses are tried on the areas around the
 * place, fewest first; the first under which the simulation does what Linux did is kept.
 * @source mm/vma.c is_mergeable_anon_vma; mm/rmap.c anon_vma_fork (v6.18)
 */
import { VM_MAYWRITE, VM_SHARED, VM_SPECIAL, VM_WRITE } from "../../flags/bits.ts"
import { anonVmaPrepare } from "../../mm/area/rmap.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import { pageOf, type Word } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { forEachPage } from "../../mm/proc/mem-size-stats.ts"
import { F_ANON } from "../../mm/store/frames.ts"
import { VMA_DETACHED, type Vma } from "../../mm/store/vmas.ts"
import type { Call } from "./event.ts"
import type { Pages } from "./ranges.ts"
import type { Space, World } from "./world.ts"

/** Something that may have happened before a call, unseen. */
export interface Guess {
  /** For the summary: `writes`, `files opened again`. */
  readonly what: string
  /** Makes it so. */
  readonly apply: () => void
}

/** What may have happened to one area. */
type Change = (k: Kernel, v: Vma) => void

/** Areas of which every combination is tried. */
const MOST_AREAS = 5
/** Combinations that are tried at all. */
const MOST_GUESSES = 160

/** It was written to. */
const written: Change = (k, v) => void anonVmaPrepare(k, v)

/** It was written to when it was not yet next to what it is next to now. */
const writtenApart: Change = (k, v) => {
  k.anon.unlinkAll(v)
  k.anon.prepare(v, 0)
}

/** It was written to before the fork that it came through. */
const inherited: Change = (k, v) => {
  k.anon.unlinkAll(v)
  const parent = k.vmas.alloc(k.vmas.mmOf(v), k.vmas.startOf(v), k.vmas.endOf(v))
  if (parent === 0 || !k.anon.prepare(parent, 0) || !k.anon.fork(v, parent)) vmBugOn("no room for a guess")
  k.anon.unlinkAll(parent)
  k.vmas.setState(parent, VMA_DETACHED)
  k.vmas.free(parent)
}

/** It was not written to after all: then, wherever it was moved, it is as if it had been made there. */
const untouched: Change = (k, v) => {
  k.anon.unlinkAll(v)
  const start: number = k.vmas.startOf(v) // anonymous memory counts its pages from address 0
  if (isAnonymous(k, v)) k.vmas.setPgoff(v, start)
}

const isAnonymous = (k: Kernel, v: Vma): boolean => k.vmas.file(v) === 0 && k.vmas.ops(v) === 0

/** mremap was called for memory at `addr`: who moves memory has written to it, until the map shows otherwise. */
export function writtenBeforeMove(k: Kernel, mm: number, addr: Word): void {
  const v = k.maple.lookup(mm, pageOf(addr))
  if (v !== 0 && k.vmas.anon(v) === 0 && isPrivate(k, v) && (k.vmas.flags(v) & VM_WRITE) !== 0) anonVmaPrepare(k, v)
}

const isPrivate = (k: Kernel, v: Vma): boolean => {
  const lo = k.vmas.flags(v)
  return (lo & (VM_MAYWRITE | VM_SHARED)) === VM_MAYWRITE && (lo & VM_SPECIAL) === 0
}

/** Guesses that may explain why the map around `places` is not ours, the likeliest first.
 * Each is to be applied to the state before `call`.
 */
export function* guesses(
  world: World,
  space: Space,
  call: Call | undefined,
  places: readonly Pages[]
): Iterable<Guess> {
  const { k } = world
  if (call?.fd !== undefined) {
    const { fd } = call
    yield { what: "files opened again", apply: () => world.files.reopenNext(fd) }
  }
  const starts = areasAround(k, space, places).map((v) => k.vmas.startOf(v))
  const most = starts.length <= MOST_AREAS ? starts.length : 2
  let count = 0
  for (const changes of combinations(starts.length, changesOf(space), most)) {
    if (++count > MOST_GUESSES) return
    yield {
      what: "writes",
      apply: () => {
        for (const [at, change] of changes) {
          const v = k.maple.lookup(space.mm, starts[at]!)
          if (v !== 0 && !hasPages(k, v)) change(k, v)
        }
      }
    }
  }
}

/** Does it hold pages of its own that a call brought in? Then it is known what happened to it. */
function hasPages(k: Kernel, v: Vma): boolean {
  if (k.vmas.anon(v) === 0) return false
  let found = false
  forEachPage(k, v, (pfn) => {
    found ||= k.frames.has(pfn, F_ANON)
  })
  return found
}

const changesOf = (space: Space): readonly Change[] =>
  space.isForked ? [written, inherited, writtenApart, untouched] : [written, writtenApart, untouched]

/** Private areas that touch one of `places`. */
function areasAround(k: Kernel, space: Space, places: readonly Pages[]): readonly Vma[] {
  const found: Vma[] = []
  for (const [start, end] of places) {
    for (let v = k.maple.find(space.mm, Math.max(0, start - 1)); v !== 0; v = k.maple.next(space.mm, v)) {
      if (k.vmas.startOf(v) > end) break
      if (isPrivate(k, v) && !found.includes(v)) found.push(v)
    }
  }
  return found
}

type Changes = readonly (readonly [at: number, change: Change])[]

/** Ways to change up to `most` of `count` areas: one change for all of them first, then one area, two, and so on. */
function* combinations(count: number, changes: readonly Change[], most: number): Iterable<Changes> {
  if (count === 0) return
  for (const change of changes) yield Array.from({ length: count }, (_, at) => [at, change] as const)
  for (let size = 1; size <= most; size++) yield* choose(0, size, [])

  function* choose(from: number, size: number, chosen: Changes): Iterable<Changes> {
    if (size === 0) {
      yield chosen
      return
    }
    for (let at = from; at <= count - size; at++)
      for (const change of changes) yield* choose(at + 1, size - 1, [...chosen, [at, change]])
  }
}
