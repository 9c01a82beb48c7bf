/** Where a program that is being made stands: the areas its processes have by now, and addresses that are worth a try. */
import { PAGE_SIZE, type Word } from "../../lib/mm/base/units.ts"
import type { Header } from "../../lib/proof/conform/record.ts"
import { newSeen, type World } from "../../lib/proof/conform/world.ts"
import type { Avoided } from "./host.ts"
import { type Call, operation } from "./program.ts"
import type { Random } from "./random.ts"

/** One area of a process, in bytes. */
export interface AreaSeen {
  readonly start: number
  readonly end: number
  readonly perms: string
  readonly flags: string
  readonly file: string
  /** In bytes. */
  readonly offset: number
}

/** Where most programs live: nothing is there, and no huge page fits between its first pages and the next 2 MiB. */
export const ARENA = 0x2000_0000_0000
/** The end of user addresses. */
export const TOP = 0x7fff_ffff_f000
/** Pages of the arena that programs begin with. */
const ARENA_PAGES = 48
/** Of a large area only the first pages are aimed at: those that the last sweep reads. */
const AIMED_PAGES = 64
const MOST_PROCESSES = 4

const stubNames: ReadonlySet<string> = new Set(["/subject", "[stack]", "[vdso]", "[vvar]", "[vvar_vclock]"])

/** A random program's surroundings. The simulation runs along, so that later calls meet what earlier ones made. */
export class Scene {
  private readonly seen = newSeen()
  private readonly calls: Call[] = []
  private isBroken = false

  constructor(
    readonly random: Random,
    private readonly world: World,
    readonly header: Pick<Header, "brk" | "root">,
    readonly avoids: ReadonlySet<Avoided>,
    /** Most mappings of a program have the same protection, so that neighbours merge. */
    readonly usualProt: number
  ) {}

  /** Can the simulation perform it? */
  has(name: string): boolean {
    return this.world.has(name)
  }

  /** The next call of the program. */
  perform(call: Call): void {
    this.calls.push(call)
    try {
      this.world.perform(operation(call, this.calls.length - 1))
    } catch {
      this.isBroken = true // the judge will say what broke
    }
  }

  /** The program so far. */
  made(): readonly Call[] {
    return this.calls
  }

  /** Can nothing more be added? */
  isOver(): boolean {
    return this.isBroken || this.processes().length === 0
  }

  processes(): readonly number[] {
    return this.world.processes()
  }

  /** The first number that no process has. */
  freeProcess(): number | undefined {
    const taken = this.processes()
    for (let p = 1; p < MOST_PROCESSES; p++) if (!taken.includes(p)) return p
    return undefined
  }

  /** The areas of a process, without the stub's own. */
  areas(process: number): readonly AreaSeen[] {
    const { seen, world } = this
    const areas: AreaSeen[] = []
    for (let at = world.firstArea(process); at !== 0; at = world.nextArea(process, at)) {
      world.look(process, at, seen, false)
      if (stubNames.has(seen.name)) continue
      const { file, flags, perms } = seen
      const [start, end, offset] = [seen.start, seen.end, seen.offset].map((pages) => pages * PAGE_SIZE)
      areas.push({ start: start!, end: end!, offset: offset!, perms, flags, file })
    }
    return areas
  }

  /** A page of the arena. */
  page(): number {
    return ARENA + this.random.below(ARENA_PAGES) * PAGE_SIZE
  }

  pages(from: number, to: number): number {
    return this.random.between(from, to) * PAGE_SIZE
  }

  /** An area, if there is one; sometimes none though there is. */
  area(process: number, often = 0.8): AreaSeen | undefined {
    const areas = this.areas(process)
    return areas.length > 0 && this.random.chance(often) ? this.random.of(areas) : undefined
  }

  /** A range of whole pages that has to do with an area's bounds: all of it, a part, beyond its end, from before it. */
  range(process: number, often = 0.85): readonly [addr: number, len: number] {
    const { random } = this
    const area = this.area(process, often)
    if (area === undefined) return [this.page(), this.pages(1, 8)]
    const { start } = area
    const n = aimedPages(area)
    const k = random.chance(0.25) ? 0 : random.between(1, 6)
    const skipped = random.below(n)
    const from = start + skipped * PAGE_SIZE
    if (k === 0) return [start, n * PAGE_SIZE]
    if (k === 1) return [start, this.pages(1, n)]
    if (k === 2) return [from, (n - skipped) * PAGE_SIZE]
    if (k === 3 || k === 4) return [from, this.pages(1, n - skipped)]
    if (k === 5) return [from, (n - skipped) * PAGE_SIZE + this.pages(1, 6)]
    const before = start - this.pages(1, 4)
    return [start >= ARENA ? Math.max(before, ARENA) : start, this.pages(1, n + 6)]
  }

  /** A byte of an area, mostly. */
  byte(process: number): number {
    const { random } = this
    const area = this.area(process, 0.93)
    const within = random.of([0, 0, 7, 4095])
    if (area === undefined) return this.page() + within
    const n = aimedPages(area)
    const page = random.of([0, n - 1, random.below(n), random.below(n)])
    return area.start + page * PAGE_SIZE + within
  }

  /** A protection. */
  prot(): number {
    return this.random.chance(0.5) ? this.usualProt : this.random.of([0, 1, 1, 2, 3, 3, 4, 5, 7])
  }
}

const aimedPages = ({ end, start }: AreaSeen): number => Math.min((end - start) / PAGE_SIZE, AIMED_PAGES)

/** A call's name, arguments and process, before it is known whether it may be used. */
export type Step = (scene: Scene, process: number) => Call

/** All ones. */
export const ALL_ONES: Word = 0xffff_ffff_ffff_ffffn
