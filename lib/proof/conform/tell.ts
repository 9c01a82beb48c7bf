/** A difference told to a person: the program up to there, both answers, both maps. Floor 9. */
import { type Difference, linesOf } from "./judge.ts"
import { diffOf, pictureOfAreas } from "./picture.ts"
import { lineOfOp } from "./program.ts"
import type { Header, Op } from "./record.ts"
import type { State } from "./state.ts"
import type { Divergence } from "./tally.ts"
import { touchedBy } from "./touched.ts"
import type { World } from "./world.ts"

/** What was going on when the difference was found. */
export interface Scene {
  /** The file, as it was named. */
  readonly file: string
  readonly line: number
  readonly header: Header
  /** The operation; undefined before the first, and at the end. */
  readonly op: Op | undefined
  /** Number of the next operation. */
  readonly next: number
  /** The last operations, and those of them that were skipped. */
  readonly program: readonly Op[]
  readonly skipped: ReadonlySet<Op>
  readonly state: State
  readonly world: World
  /** Were areas recorded? */
  readonly hasAreas: boolean
}

/** Tells what was found. */
export function told(scene: Scene, found: Difference): Divergence {
  const { file, hasAreas, header, line, next, op, program, skipped, state, world } = scene
  const recorded = hasAreas ? state.processes.get(found.process) : undefined
  const linux = recorded?.areas.map((area) => area.text) ?? []
  const ours = recorded === undefined || !world.processes().includes(found.process) ? [] : linesOf(world, found.process)
  const touched = op !== undefined && op.process === found.process ? touchedBy(op) : []
  const firstShown = next - program.length
  return {
    file,
    line,
    seq: header.seq,
    theme: header.theme,
    operation: op === undefined ? undefined : next - 1,
    what: found.what,
    where: [found.where, found.process > 0 ? `in process ${found.process}` : undefined]
      .filter((part) => part !== undefined)
      .join(" "),
    linux: found.linux,
    ours: found.ours,
    left: firstShown,
    program: program.map((each, i) => ({
      operation: firstShown + i,
      call: lineOfOp(each, each.result),
      isSkipped: skipped.has(each)
    })),
    areas: diffOf(linux, ours, touched),
    picture: pictureOfAreas(linux, ours, touched)
  }
}
