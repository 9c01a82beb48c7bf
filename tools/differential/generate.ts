/** Random programs. A seed, a theme and a host determine one. */
import { FIXED, LOCKED, POPULATE } from "../../lib/flags/MapFlags.ts"
import { PAGE_SIZE, registerOf, type Word } from "../../lib/mm/base/units.ts"
import type { Header, LimitName } from "../../lib/proof/conform/record.ts"
import type { World } from "../../lib/proof/conform/world.ts"
import type { HostFacts } from "./host.ts"
import type { Profile } from "./profile.ts"
import type { Call, Program } from "./program.ts"
import { Random, seedOf } from "./random.ts"
import { ARENA, Scene } from "./scene.ts"
import { awayFromStub } from "./steps-bad.ts"
import { firstStep, isTheme, stepsOf, type Theme, themeNames } from "./themes.ts"

/** Operations of one process tree. */
export const SEQUENCE = 40
const KIB = 1024

/** What the programs of a run have in common. */
export interface Source {
  readonly seed: number
  /** Undefined: all that this version and this host have. */
  readonly theme: Theme | undefined
  readonly facts: Pick<HostFacts, "isRoot" | "avoids">
  readonly profile: Profile
  /** Of a process in which nothing has happened yet. */
  readonly header: Header
  readonly newWorld: (header: Header) => World
}

/** The `nth` program, of `size` operations. */
export function generate(source: Source, nth: number, size: number): Program {
  const { facts, header, newWorld, theme } = source
  const random = new Random(seedOf(source.seed, nth))
  const its = theme ?? random.of(themesFor(source))
  const setting = settingOf(random, its, facts.isRoot)
  const seq = `${source.seed}-${nth}`
  const begin: Header = { ...header, ...setting, seq, theme: its }
  const world = newWorld(begin)
  const scene = new Scene(random, world, begin, facts.avoids, random.of([3, 3, 3, 1, 7]))
  const steps = stepsOf(its)
  const first = random.of([2, 4, 6, 9])
  for (let i = 0; i < size && !scene.isOver(); i++) {
    const begins = i < first ? firstStep(its, scene) : undefined
    scene.perform(nextCall(source, scene, begins ?? random.weighted(steps), begins !== undefined))
  }
  closeQuietly(world)
  return { seq, theme: its, ...setting, calls: scene.made() }
}

/** Themes that this version of the simulation and this host can do. */
export function themesFor({ facts, header, newWorld, profile }: Source): readonly Theme[] {
  const world = newWorld(header)
  const canFault = world.has("userfaultfd")
  closeQuietly(world)
  return themeNames.filter((name) => {
    if (name === "uffd") return canFault && facts.isRoot
    if (name === "segments") return !facts.avoids.has("segments")
    return name !== "guard" || profile.has("guards")
  })
}

/** A theme by its name, or undefined. */
export const themeOf = (name: string): Theme | undefined => (isTheme(name) ? name : undefined)

function settingOf(random: Random, theme: Theme, mayBeRoot: boolean): Pick<Program, "root" | "rlimits"> {
  const isLimited = theme === "limits" || random.chance(theme === "lock" ? 0.5 : 0.1)
  const rlimits = new Map<LimitName, number>()
  if (isLimited) {
    rlimits.set("MEMLOCK", random.of([0, 8 * PAGE_SIZE, 64 * PAGE_SIZE]))
    if (random.chance(0.5)) rlimits.set(random.of(["AS", "DATA"] as const), random.of([900, 1024, 2048]) * KIB)
    if (random.chance(0.1)) rlimits.set("STACK", random.of([256, 1024]) * KIB)
  }
  const root = mayBeRoot && (theme === "uffd" || !isLimited)
  return { root, rlimits }
}

/** The first of a few tries that this host can be asked. */
function nextCall(
  { facts, profile }: Source,
  scene: Scene,
  step: (scene: Scene, process: number) => Call,
  isFirst: boolean
): Call {
  for (let tries = 0; tries < 20; tries++) {
    const process = scene.processes().includes(0) ? 0 : scene.processes()[0]!
    const made = tamed(step(scene, process))
    const its = isFirst && made.name === "mmap" && scene.random.chance(0.7) ? withProt(made, scene.usualProt) : made
    if (profile.knows(its) && !isAvoided(its, facts.avoids) && !fillsTooMuch(scene, its)) return its
  }
  return { name: "munmap", args: [ARENA, PAGE_SIZE], process: scene.processes()[0]!, data: "" }
}

const withProt = ({ args, ...its }: Call, prot: Word): Call => ({
  ...its,
  args: [args[0]!, args[1]!, prot, ...args.slice(3)]
})

const FILLS = LOCKED | POPULATE
const ADVICE_OF_HUGE_PAGES = [14, 25]

/** Leaves the stub alone, fills no great areas, and asks for no huge page where there could be one: whether there is
 * memory for it is nobody's promise.
 */
function tamed(its: Call): Call {
  const { args, name } = its
  const flags = Number(args[3] ?? 0)
  if (name === "mmap") {
    const isLarge = registerOf(args[1]!) > 1n << 24n
    const small = (flags & FILLS) !== 0 && isLarge ? { ...its, args: args.with(1, 4 * PAGE_SIZE) } : its
    return (flags & FIXED) === 0 ? small : awayFromStub(small)
  }
  if (name === "madvise" && ADVICE_OF_HUGE_PAGES.includes(Number(args[2])) && isPastArena(args[0]!)) {
    return { ...its, args: args.with(2, 15) }
  }
  if (name === "process_madvise" && ADVICE_OF_HUGE_PAGES.includes(Number(args[0]))) {
    return args.some((arg, i) => i % 2 === 1 && isPastArena(arg)) ? { ...its, args: args.with(0, 15) } : its
  }
  return ["munmap", "mremap", "mprotect", "madvise", "mseal", "mlock"].includes(name) ? awayFromStub(its) : its
}

/** More bytes than that are not filled with pages: it takes too long. */
const MOST_FILLED = 2n ** 26n
const POPULATES: ReadonlySet<Word> = new Set([22, 23])

/** Would it lock or fill a great area, or make one where everything is locked? */
function fillsTooMuch(scene: Scene, { args, name, process }: Call): boolean {
  const isGreat = (len: Word | undefined): boolean =>
    registerOf(len ?? 0) > MOST_FILLED && registerOf(len ?? 0) < 1n << 47n
  if ((name === "mmap" && isGreat(args[1])) || (name === "mremap" && isGreat(args[2]))) {
    return scene.made().some((made) => made.name.startsWith("mlock") || (made.name === "mmap" && isFilled(made)))
  }
  const fills =
    name.startsWith("mlock") || (name === "madvise" && POPULATES.has(args[2]!)) || name === "process_madvise"
  return fills && scene.areas(process).some(({ end, start }) => isGreat(end - start))
}

const isFilled = ({ args }: Call): boolean => (Number(args[3]) & LOCKED) !== 0

const isPastArena = (addr: Word): boolean => registerOf(addr) > BigInt(ARENA + 512 * PAGE_SIZE)

const PAGEOUT = 21
const MERGEABLE = 12
const HUGEPAGE = 14
const COLLAPSE = 25

function isAvoided({ args, name }: Call, avoids: HostFacts["avoids"]): boolean {
  const advice = name === "madvise" ? Number(args[2]) : name === "process_madvise" ? Number(args[0]) : undefined
  if (advice === PAGEOUT && avoids.has("pageout")) return true
  if (advice === MERGEABLE && avoids.has("ksm")) return true
  if ((advice === HUGEPAGE || advice === COLLAPSE) && avoids.has("huge")) return true
  if (name.startsWith("shm") && avoids.has("segments")) return true
  return false
}

function closeQuietly(world: World): void {
  try {
    world.close()
  } catch {
    // It broke while the program was made; the judge will meet that again, and say so.
  }
}
