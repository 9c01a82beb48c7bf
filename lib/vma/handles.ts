/** What stands behind the opaque handles: address spaces and pages. Floor 8, internal. */
import { vmBugOn } from "../mm/base/debug.ts"
import { unitOf } from "./raw.ts"
import type { Pfn } from "./unit.ts"
import type { Guard, World } from "./world.ts"

/** An address space, kept alive by `mm_count`. */
export class MmObject {
  readonly world: World
  readonly row: number
  constructor(world: World, row: number) {
    this.world = world
    this.row = row
  }
}

/** An address space that has users as long as `guard` lives. */
export class MmUser extends MmObject {
  readonly guard: Guard
  /** Is the reference to be dropped by a worker? */
  async = false
  constructor(guard: Guard, row: number) {
    super(guard.world, row)
    this.guard = guard
  }
}

/** The mappings of one object. It does not hold the object: rows are used again, inode numbers are not. */
export class MappingObject {
  readonly world: World
  readonly object: number
  readonly #inode: string | undefined
  constructor(world: World, object: number) {
    this.world = world
    this.object = object
    this.#inode = world.k.files.ids[object]
  }

  /** Is there still such an object? */
  isAlive(): boolean {
    const { files } = this.world.k
    return files.objKind(this.object) !== 0 && files.ids[this.object] === this.#inode
  }
}

/** A page and its one reference. */
export class OwnedPage {
  readonly world: World
  /** Frame number. */
  readonly frame: number
  readonly pfn: Pfn
  /** Where it was put; undefined while it is owned. */
  gone: string | undefined = undefined
  constructor(world: World, frame: number) {
    this.world = world
    this.frame = frame
    this.pfn = unitOf(frame)
  }

  /** Gives the reference back, once.
   * Throws, with both sites, the second time.
   */
  put(site: string): void {
    if (this.gone !== undefined) vmBugOn(`page ${this.frame} is put twice: ${this.gone}, and again ${site}`)
    this.gone = site
    this.world.k.frames.put(this.frame)
  }

  /** The frame, for use in `world`. Throws if the page was put, or is another machine's. */
  use(world: World): number {
    if (this.gone !== undefined) vmBugOn(`page ${this.frame} is used after it was put ${this.gone}`)
    if (this.world !== world) vmBugOn(`page ${this.frame} belongs to another kernel`)
    return this.frame
  }
}

/** The caller's caller's place in the source, for messages. */
export function siteOf(skip: number): string {
  const lines = new Error().stack?.split("\n") ?? []
  const line = lines[skip + 1]?.trim() ?? "an unknown place"
  return `at ${/\((.*)\)$/.exec(line)?.[1] ?? line.replace(/^at (?:async )?/, "")}`
}
