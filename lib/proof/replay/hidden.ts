/** What a log does not show and maps depend on: which memory was written to, which descriptors are one open file. Floor 9.
 *
 * Areas merge only if the histories of their private pages allow it, and writes are no system calls. So memory counts as
 * never written to until the map shows otherwise. Where Linux's map is not ours, guesses are tried on the areas around the
 * place, fewest first; the first under which the simulation does what Linux did is kept.
 * @source mm/vma.c is_mergeable_anon_vma; mm/rmap.c anon_vma_fork (v6.18)
 */
import { VM_ACCOUNT, VM_MAYWRITE, VM_NORESERVE, VM_SHARED, VM_SPECIAL, VM_WRITE } from "../../flags/bits.ts"
import { anonVmaPrepare } from "../../mm/area/rmap.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import { MAP_32BIT } from "../../flags/MapFlags.ts"
import { lowBits, pageOf, pagesUp } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { forEachPage } from "../../mm/proc/mem-size-stats.ts"
import { F_ANON } from "../../mm/store/frames.ts"
import { VMA_DETACHED, type Vma } from "../../mm/store/vmas.ts"
import type { Call } from "./event.ts"
import type { Pages } from "./ranges.ts"
import type { Difference } from "./player.ts"
import type { Move, Process, Space, World } from "./world.ts"

/** Something that may have happened before a call, unseen. */
export interface Guess {
  /** For the summary: `writes`, `files opened again`; empty if it is nothing unusual. */
  readonly what: string
  /** Makes it so. */
  readonly apply: () => void
  /** The call as it then was, if not as recorded. */
  readonly call?: Call
}

/** What may have happened to one area. */
type Change = (k: Kernel, v: Vma) => void

/** Where MAP_32BIT may begin its search, and where it ends. */
const FIRST_32BIT = 0x40000
const LATEST_32BIT = 0x42000
const END_32BIT = 0x80000

/** Areas of which every combination is tried. */
const MOST_AREAS = 5

/** It was written to. */
const written: Change = (k, v) => {
  keepCharge(k, v) // first: it decides whose history it may share
  anonVmaPrepare(k, v)
}

/** It was written to while it could share the history of the area below. */
const writtenWithBelow: Change = (k, v) => {
  const below = k.maple.prev(k.vmas.mmOf(v), v)
  keepCharge(k, v)
  k.anon.unlinkAll(v)
  k.anon.prepare(v, below !== 0 && k.anon.singular(below) ? k.vmas.anon(below) : 0)
}

/** It was written to when it was not yet next to what it is next to now. */
const writtenApart: Change = (k, v) => {
  keepCharge(k, v)
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
  keepCharge(k, v)
}

/** It was written to before it was moved: its pages keep the offsets they had. */
const movedWritten =
  (moves: readonly Move[]): Change =>
  (k, v) => {
    const start = k.vmas.startOf(v)
    const move = moves.findLast((one) => one.start < k.vmas.endOf(v) && start < one.end)
    if (move === undefined || !isAnonymous(k, v)) return
    k.anon.unlinkAll(v)
    k.vmas.setPgoff(v, move.pgoff + (start - move.start))
    if (k.anon.prepare(v, 0)) keepCharge(k, v)
  }

/** It was not written to after all: then, wherever it was moved, it is as if it had been made there. */
const untouched: Change = (k, v) => {
  k.anon.unlinkAll(v)
  if (!isAnonymous(k, v)) return
  const start: number = k.vmas.startOf(v) // anonymous memory counts its pages from address 0
  k.vmas.setPgoff(v, start)
  const lo = k.vmas.flags(v)
  if ((lo & (VM_WRITE | VM_ACCOUNT)) === VM_ACCOUNT) setCharge(k, v, lo & ~VM_ACCOUNT, -1)
}

/** Who wrote to memory that cannot be written to now, did so while it could be; it has kept its charge since.
 * @source mm/mprotect.c mprotect_fixup (v6.18)
 */
function keepCharge(k: Kernel, v: Vma): void {
  const lo = k.vmas.flags(v)
  if (isAnonymous(k, v) && (lo & (VM_WRITE | VM_ACCOUNT | VM_NORESERVE)) === 0) setCharge(k, v, lo | VM_ACCOUNT, 1)
}

function setCharge(k: Kernel, v: Vma, lo: number, sign: 1 | -1): void {
  k.vmas.setFlags(v, lo, k.vmas.flagsHi(v))
  k.committed += sign * k.vmas.pages(v)
}

const isAnonymous = (k: Kernel, v: Vma): boolean => k.vmas.file(v) === 0 && k.vmas.ops(v) === 0

/** What is taken for granted before `call`, until the map shows otherwise: who moves memory has written to it. */
export function habit({ k }: World, space: Space, call: Call): Guess | undefined {
  if (call.name !== "mremap") return undefined
  const pages = sourceOf(k, space, call)
    .filter((v) => k.vmas.anon(v) === 0 && (k.vmas.flags(v) & VM_WRITE) !== 0)
    .map((v) => k.vmas.startOf(v))
  if (pages.length === 0) return undefined
  return {
    what: "",
    apply: () => {
      for (const page of pages) anonVmaPrepare(k, k.maple.lookup(space.mm, page))
    }
  }
}

/** Private areas that mremap is asked to move. */
function sourceOf(k: Kernel, space: Space, { args }: Call): readonly Vma[] {
  const from = pageOf(args[0] ?? 0)
  return areasAround(k, space, [[from + 1, Math.max(from + 1, from + pagesUp(args[1] ?? 0) - 1)]])
}

/** Moves that are remembered for each address space. */
const MOST_MOVES = 64

/** What `call` is about to move, should the map ask for it later. */
export function movesOf({ k }: World, space: Space, call: Call): readonly Move[] {
  const { args, name, result } = call
  if (name !== "mremap" || result.kind !== "value") return []
  const by = pageOf(result.value) - pageOf(args[0] ?? 0)
  if (by === 0) return []
  return sourceOf(k, space, call)
    .filter((v) => isAnonymous(k, v))
    .map((v) => ({ start: k.vmas.startOf(v) + by, end: k.vmas.endOf(v) + by, pgoff: k.vmas.pgoff(v) }))
}

/** Remembers moves that were made. */
export function remember(space: Space, moves: readonly Move[]): void {
  if (moves.length > 0) space.moves = [...space.moves, ...moves].slice(-MOST_MOVES)
}

const isPrivate = (k: Kernel, v: Vma): boolean => {
  const lo = k.vmas.flags(v)
  return (lo & (VM_MAYWRITE | VM_SHARED)) === VM_MAYWRITE && (lo & VM_SPECIAL) === 0
}

/** Guesses that may explain `difference`, the likeliest first. Each is to be applied to the state before `call`.
 * @param inBoundsOnly - are the maps the same but for bounds? Writes make no other difference
 */
export function* guesses(
  world: World,
  process: Process,
  call: Call,
  difference: Difference,
  places: readonly Pages[],
  inBoundsOnly: boolean
): Iterable<Guess> {
  if (call.name === "mremap") yield { what: "", apply: () => {} }
  if (difference.what === "result") {
    yield* rights(world, process, call)
    yield* randomPlace(world, process, call)
  }
  if (difference.what === "map" ? inBoundsOnly : call.name === "mremap") yield* writes(world, process.space, places)
  if (difference.what === "map" && inBoundsOnly && call.fd !== undefined) {
    const { fd } = call
    yield { what: "files opened again", apply: () => world.files.reopenNext(fd) }
  }
}

/** What a process may have lost, and what a file system may not allow. */
function* rights({ files, k }: World, { task }: Process, { fd, name, result }: Call): Iterable<Guess> {
  if (result.kind !== "errno") return
  const { errno } = result
  if (errno === "EPERM" && name === "mmap" && fd?.dev !== undefined && !files.isNoexec(fd.dev)) {
    const { dev } = fd
    yield { what: "file systems mounted noexec", apply: () => files.setNoexec(dev) }
  }
  if (["EPERM", "EACCES", "EAGAIN", "ENOMEM"].includes(errno) && k.tasks.caps(task) !== 0)
    yield { what: "processes that gave up root's rights", apply: () => k.tasks.setCaps(task, 0) }
}

/** MAP_32BIT begins its search anywhere in 32 MiB above 1 GiB, where addresses are random.
 * @source arch/x86/kernel/sys_x86_64.c find_start_end (v6.18)
 */
function* randomPlace({ k }: World, { space }: Process, call: Call): Iterable<Guess> {
  const { args, name, result } = call
  const flags = lowBits(args[3] ?? 0)
  if (name !== "mmap" || result.kind !== "value" || !space.isRandom || (flags & MAP_32BIT) === 0) return
  const at = pageOf(result.value)
  const isFirst =
    at < LATEST_32BIT || at === k.maple.gapUp(space.mm, pagesUp(args[1] ?? 0), LATEST_32BIT - 1, END_32BIT)
  if (at < FIRST_32BIT || !isFirst) return
  yield { what: "random places below 2 GiB", apply: () => {}, call: { ...call, args: args.with(0, result.value) } }
}

/** Writes to the areas around `places`. */
function* writes({ k }: World, space: Space, places: readonly Pages[]): Iterable<Guess> {
  const starts = areasAround(k, space, places).map((v) => k.vmas.startOf(v))
  const most = starts.length <= MOST_AREAS ? starts.length : 2
  for (const changes of combinations(starts.length, changesOf(space), most)) {
    yield {
      what: "writes to memory",
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

const changesOf = ({ isForked, moves }: Space): readonly Change[] => [
  written,
  ...(isForked ? [inherited] : []),
  ...(moves.length > 0 ? [movedWritten(moves)] : []),
  writtenApart,
  untouched,
  writtenWithBelow
]

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

/** Ways to change up to `most` of `count` areas: first one change for neighbours that share a history, the longest runs first,
 * then any one area, any two, and so on.
 */
function* combinations(count: number, changes: readonly Change[], most: number): Iterable<Changes> {
  for (let length = count; length >= 2; length--) {
    for (let from = 0; from + length <= count; from++)
      for (const change of changes) yield Array.from({ length }, (_, at) => [from + at, change] as const)
  }
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
