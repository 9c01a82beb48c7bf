/** Random scripts: a seed and a number determine them.
 *
 * Twelve pages, a0 to a11, are mapped, registered with two userfaultfds or more, and then everything happens to them: threads
 * load and store, the kernel stores for them, areas are moved, unmapped, advised, locked, forked, and the file below loses
 * pages; messages are read and answered, or not.
 */
import * as ADVICE from "../../../lib/flags/AdviceFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { PAGE_SIZE } from "../../../lib/mm/base/units.ts"
import { Random, seedOf } from "../random.ts"
import { type Script, type Step, step } from "./script.ts"

/** Where random scripts come from. */
export interface ThreadSource {
  readonly seed: number
  /** Does the host have swap? Advice that sends pages there is then not given. */
  readonly hasSwap: boolean
}

/** Random steps of a script, after those that prepare it. */
const LEAST_STEPS = 40
const MOST_STEPS = 70

/** Pages that are mapped and registered. */
const PAGES = 12
/** Pages in which areas may come to lie. */
const TARGETS = 20
/** Forks of a script: each may be waited for, and each child keeps the descriptors. */
const MOST_FORKS = 2

const { MISSING, WP, MINOR } = {
  MISSING: UFFD.REGISTER_MODE_MISSING,
  WP: UFFD.REGISTER_MODE_WP,
  MINOR: UFFD.REGISTER_MODE_MINOR
}

/** Advice beside DONTNEED, which is given most often. */
const OTHER_ADVICE = [
  ADVICE.FREE,
  ADVICE.REMOVE,
  ADVICE.POPULATE_READ,
  ADVICE.POPULATE_WRITE,
  ADVICE.DONTNEED_LOCKED,
  ADVICE.COLD,
  ADVICE.PAGEOUT,
  ADVICE.DONTFORK,
  ADVICE.DOFORK,
  ADVICE.GUARD_INSTALL,
  ADVICE.GUARD_REMOVE
]

/** Script number `nth`. */
export function generateScript(source: ThreadSource, nth: number): Script {
  const maker = new Maker(new Random(seedOf(source.seed, nth)), source.hasSwap)
  return { name: `${source.seed}.${nth}`, steps: maker.steps() }
}

class Maker {
  private forks = 0
  private readonly asked: Array<{ readonly uffd: number; readonly start: number; readonly pages: number }> = []
  private readonly kinds: ReadonlyArray<readonly [one: () => Step, weight: number]>

  constructor(
    private readonly random: Random,
    private readonly hasSwap: boolean
  ) {
    this.kinds = [
      [() => step(random.chance(0.5) ? "store" : "load", this.page(), random.of([0, 0, 5])), 24],
      [() => step("kstore", this.page(), random.of([0, 9])), 3],
      [() => step("read", this.uffd()), 20],
      [() => this.register(this.uffd()), 5],
      [() => this.fill("unregister", [0]), 2],
      [() => this.fill("wake", [0]), 3],
      [() => this.fill("copy", [0, 0, 0, UFFD.COPY_MODE_DONTWAKE, UFFD.COPY_MODE_WP]), 5],
      [() => this.fill("zero", [0, 0, UFFD.ZEROPAGE_MODE_DONTWAKE]), 4],
      [() => this.fill("protect", [1, 1, 1, 0, UFFD.WRITEPROTECT_MODE_DONTWAKE]), 7],
      [() => this.fill("continue", [0, UFFD.CONTINUE_MODE_DONTWAKE, UFFD.CONTINUE_MODE_WP]), 3],
      [() => this.fill("poison", [0, UFFD.POISON_MODE_DONTWAKE]), 2],
      [() => this.move(), 3],
      [() => step("munmap", ...this.range()), 2],
      [() => step("mapfile", random.of([0, 0, 1]), ...this.range(), random.below(9)), 1],
      [() => step("map", random.of([0, 0, 1, 2]), ...this.range()), 2],
      [() => step("mprotect", ...this.range(), random.of([0, 1, 3, 3])), 2],
      [() => step("madvise", ...this.range(), this.advice()), 6],
      [() => step("mlock", ...this.range(), random.below(2)), 1],
      [() => step("munlock", ...this.range()), 1],
      [() => this.mremap(), 5],
      [() => step("truncate", random.of([0, 2, 5, 8, 12]) * PAGE_SIZE + random.of([0, 0, 100])), 1],
      [() => step("punch", random.below(9), 1 + random.below(3)), 1],
      [() => this.fork(), 3],
      [() => step("exit"), 1],
      [() => step("close", this.uffd()), 0.5],
      [() => this.userfaultfd(), 0.5]
    ]
  }

  steps(): Step[] {
    const { random } = this
    const first = [step("map", 0, 0, 6), step("map", 2, 0, 6), step("mapfile", 0, 0, 6, 0), step("mapfile", 1, 0, 6, 3)]
    const prepared = [
      random.of(first),
      step("map", random.of([0, 0, 2, 1]), 6, 6),
      this.userfaultfd(),
      this.userfaultfd(),
      step("mapfile", 0, TARGETS, 4, 2),
      this.register(0),
      this.register(1)
    ]
    const more = Array.from({ length: random.between(LEAST_STEPS, MOST_STEPS) }, () => random.weighted(this.kinds)())
    return [...prepared, ...more]
  }

  /** First page, and how many. */
  private range(): readonly [number, number] {
    const start = this.random.below(PAGES - 2)
    return [start, this.random.between(1, Math.min(4, PAGES - start))]
  }

  /** Most often one of the first two; the others are children's, or made later, or are not there. */
  private uffd(): number {
    return this.random.of([0, 0, 0, 1, 1, 2, 3])
  }

  private register(uffd: number): Step {
    const { random } = this
    const start = random.below(PAGES - 2)
    const pages = random.between(1, Math.min(7, PAGES - start))
    this.asked.push({ uffd, start, pages })
    const modes = [MISSING, MISSING, MISSING | WP, MISSING | WP, WP, MISSING | WP | MINOR, MINOR, WP | MINOR]
    return step("register", uffd, start, pages, random.of(modes))
  }

  /** Most often within pages for whose registration was asked, whatever became of it. */
  private fill(name: string, modes: readonly number[]): Step {
    const { random } = this
    if (this.asked.length === 0 || random.chance(0.2)) {
      return step(name, this.uffd(), ...this.range(), random.of(modes))
    }
    const { pages, start, uffd } = random.of(this.asked.slice(-4))
    const first = random.below(pages)
    return step(name, uffd, start + first, random.between(1, Math.min(3, pages - first)), random.of(modes))
  }

  /** Most often one of those for whose registration was asked. */
  private page(): number {
    const { random } = this
    if (this.asked.length === 0 || random.chance(0.4)) return random.below(PAGES)
    const { pages, start } = random.of(this.asked.slice(-4))
    return start + random.below(pages)
  }

  private move(): Step {
    const to = this.fill("move", [0, 0, UFFD.MOVE_MODE_DONTWAKE, UFFD.MOVE_MODE_ALLOW_SRC_HOLES])
    return step(to.name, ...to.numbers, this.random.below(PAGES))
  }

  /** MREMAP_DONTUNMAP, 4, wants both lengths to be the same. */
  private mremap(): Step {
    const { random } = this
    const flags = random.of([0, 1, 3, 3, 7])
    const pages = random.between(1, 3)
    const after = (flags & 4) !== 0 ? pages : random.between(1, 4)
    return step("mremap", random.below(PAGES), pages, after, flags, (flags & 2) !== 0 ? random.below(TARGETS) : 0)
  }

  private advice(): number {
    const { DONTNEED } = ADVICE
    const advice = this.random.chance(0.3) ? DONTNEED : this.random.of(OTHER_ADVICE)
    return advice === ADVICE.PAGEOUT && this.hasSwap ? DONTNEED : advice
  }

  private fork(): Step {
    return this.forks++ < MOST_FORKS ? step("fork") : step("exit")
  }

  private userfaultfd(): Step {
    const { random } = this
    const features: ReadonlyArray<readonly [bit: number, probability: number]> = [
      [UFFD.FEATURE_EVENT_FORK, 0.25],
      [UFFD.FEATURE_EVENT_REMAP, 0.6],
      [UFFD.FEATURE_EVENT_REMOVE, 0.3],
      [UFFD.FEATURE_EVENT_UNMAP, 0.3],
      [UFFD.FEATURE_WP_UNPOPULATED, 0.4],
      [UFFD.FEATURE_EXACT_ADDRESS, 0.25],
      [UFFD.FEATURE_SIGBUS, 0.08],
      [UFFD.FEATURE_WP_ASYNC, 0.1]
    ]
    const wanted = features.reduce((all, [bit, probability]) => (random.chance(probability) ? all | bit : all), 0)
    return step("userfaultfd", wanted, random.chance(0.1) ? UFFD.USER_MODE_ONLY : 0)
  }
}
