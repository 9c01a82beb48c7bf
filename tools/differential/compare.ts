/** One program: run here and there, and compared. */
import { newMachines } from "../../lib/proof/conform/machine.ts"
import { newReader } from "../../lib/proof/conform/reader.ts"
import type { Header } from "../../lib/proof/conform/record.ts"
import { Session } from "../../lib/proof/conform/session.ts"
import type { Tally } from "../../lib/proof/conform/tally.ts"
import type { World } from "../../lib/proof/conform/world.ts"
import type { Program } from "./program.ts"

/** What runs programs on the host: the lines of format 1 that come of it. */
export type Record = (program: Program) => Promise<readonly string[]>

/** A program, what the host made of it, and how that compares. */
export interface Compared {
  readonly program: Program
  readonly lines: readonly string[]
  readonly tally: Tally
}

/** Runs programs on the host, and judges each by itself. */
export class Comparer {
  private readonly encoder = new TextEncoder()

  constructor(
    private readonly host: Record,
    private readonly newWorld: (header: Header) => World = newMachines(),
    /** Ask for broken promises after each operation? */
    private readonly check = false
  ) {}

  async compare(program: Program): Promise<Compared> {
    const lines = await this.host(program)
    return { program, lines, tally: this.judge(lines) }
  }

  private judge(lines: readonly string[]): Tally {
    const session = new Session(this.newWorld, { shown: 1, coverage: true, check: this.check })
    session.file = "live"
    const reader = newReader({ take: session.take, note: session.note })
    reader.push(this.encoder.encode(`${lines.join("\n")}\n`))
    reader.finish()
    session.finish(reader.count)
    return session.tally
  }
}

/** How often a program that differs is run again. */
const AGAIN = 5

/** What became of a program. */
export type Verdict =
  | { readonly kind: "agrees"; readonly last: Compared }
  /** It differs every time. */
  | { readonly kind: "differs"; readonly last: Compared }
  /** Linux itself did not always answer the same: once it differed from us, another time it did not. */
  | { readonly kind: "unsteady"; readonly last: Compared; readonly differing: Compared }
  /** The process was lost, every time. */
  | { readonly kind: "lost"; readonly last: Compared }

/** Compares a program, again where it differs: what Linux does only sometimes is told apart from what it does. */
export async function judge(comparer: Comparer, program: Program): Promise<Verdict> {
  const first = await comparer.compare(program)
  if (isAgreed(first)) return { kind: "agrees", last: first }
  for (let i = 0; i < AGAIN; i++) {
    const again = await comparer.compare(program)
    if (!isAgreed(again)) continue
    return isLost(first) ? { kind: "agrees", last: again } : { kind: "unsteady", last: again, differing: first }
  }
  return { kind: isLost(first) ? "lost" : "differs", last: first }
}

const isLost = ({ tally }: Compared): boolean => tally.dropped > 0

const isAgreed = (its: Compared): boolean => !isLost(its) && its.tally.total.divergences === 0
