/** A world that does what it is told: its areas are lines, its answers a script. */
import { areaOf } from "../../lib/proof/conform/parse.ts"
import type { Area, Op, Result, Stats } from "../../lib/proof/conform/record.ts"
import type { World } from "../../lib/proof/conform/world.ts"

/** What a puppet is like after an operation. */
export interface Pose {
  /** Its answer; undefined: not built. */
  readonly result?: Result
  /** All areas of each process. */
  readonly areas?: Readonly<Record<number, readonly string[]>>
  readonly stats?: Stats
}

const stub = ["400000-401000 r--p 0 exe|rd mr mw me|/subject"]

/** Takes its poses one after another, one an operation. */
export class Puppet implements World {
  private areas = new Map<number, readonly Area[]>([[0, stub.map(areaOf)]])
  private current: Stats = [4, 0, 0, 0, 4]
  memory: (process: number, addr: number) => number = () => 0
  broken: readonly string[] = []

  constructor(private readonly script: Readonly<Record<string, () => Pose>> = {}) {}

  has(name: string): boolean {
    return Object.hasOwn(this.script, name)
  }
  perform(op: Op): Result | undefined {
    const pose = this.script[op.name]?.()
    if (pose === undefined) return undefined
    if (pose.areas !== undefined) {
      this.areas = new Map(Object.entries(pose.areas).map(([p, lines]) => [Number(p), lines.map(areaOf)]))
    }
    if (pose.stats !== undefined) this.current = pose.stats
    return pose.result
  }
  processes(): readonly number[] {
    return [...this.areas.keys()].sort((a, b) => a - b)
  }
  firstArea(process: number): number {
    return (this.areas.get(process)?.length ?? 0) > 0 ? 1 : 0
  }
  nextArea(process: number, area: number): number {
    return area < (this.areas.get(process)?.length ?? 0) ? area + 1 : 0
  }
  look(...[process, at, seen]: Parameters<World["look"]>): void {
    const area = this.areas.get(process)![at - 1]!
    const { end, file, flags, name, offset, perms, start } = area
    Object.assign(seen, { start, end, perms, offset, file, flags, name })
    seen.pages.set(area.pages ?? [])
    seen.numbers.set(area.numbers)
  }
  stats(_process: number, sizes: Float64Array): void {
    sizes.set(this.current)
  }
  peek(process: number, addr: number): number {
    return this.memory(process, addr)
  }
  close(): readonly string[] {
    return []
  }
  check(): readonly string[] {
    return this.broken
  }
}

/** A header for puppets. */
export const header = {
  seq: 7,
  theme: "puppets",
  root: true,
  rlimits: {},
  brk: "0x408000",
  st: [4, 0, 0, 0, 4],
  init: [...stub, "ffffffffff600000-ffffffffff601000 --xp 0 -|ex|[vsyscall]"]
}
/** The stub's line of that header. */
export const stubLine = stub[0]!
