/** A program that differs, made as short and as plain as it can be while it differs in the same way. */
import { PAGE_SIZE, registerOf, type Word } from "../../lib/mm/base/units.ts"
import type { Call, Program } from "./program.ts"
import { ARENA } from "./scene.ts"

/** Does a program still show what is looked for? */
export type Shows = (program: Program) => Promise<boolean>

/** Runs that a shrink may take. */
const MOST_RUNS = 600

/** The shortest and plainest program found that still shows it. `program` itself must. */
export async function shrink(program: Program, shows: Shows): Promise<Program> {
  const search = new Search(program, shows)
  for (let before = Infinity; search.cost() < before && !search.isSpent();) {
    before = search.cost()
    await search.removeCalls()
    await search.removeLimits()
    await search.simplify()
  }
  return search.best
}

class Search {
  private runs = 0

  constructor(
    public best: Program,
    private readonly shows: Shows
  ) {}

  isSpent(): boolean {
    return this.runs >= MOST_RUNS
  }

  /** Smaller is better. */
  cost(): number {
    const { calls, rlimits } = this.best
    return calls.reduce((sum, its) => sum + costOf(its), calls.length * 1000 + rlimits.size * 100)
  }

  /** Takes out runs of calls, long ones first. */
  async removeCalls(): Promise<void> {
    for (let size = Math.ceil(this.best.calls.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = this.best.calls.length - size; from >= 0; from -= size) {
        const { calls } = this.best
        await this.tryWith({ calls: [...calls.slice(0, from), ...calls.slice(from + size)] })
      }
    }
  }

  async removeLimits(): Promise<void> {
    for (const name of this.best.rlimits.keys()) {
      await this.tryWith({ rlimits: new Map([...this.best.rlimits].filter(([other]) => other !== name)) })
    }
  }

  /** Puts plainer arguments and processes in. */
  async simplify(): Promise<void> {
    for (let at = this.best.calls.length - 1; at >= 0; at--) {
      const its = this.best.calls[at]!
      if (its.process !== 0) await this.tryCall(at, { ...its, process: 0 })
      for (let arg = 0; arg < its.args.length; arg++) await this.simplifyArg(at, arg)
    }
  }

  private async simplifyArg(at: number, arg: number): Promise<void> {
    for (const plainer of plainerThan(this.best.calls[at]!.args[arg]!)) {
      const its = this.best.calls[at]!
      const changed = { ...its, args: its.args.with(arg, plainer) }
      if (costOf(changed) < costOf(its)) await this.tryCall(at, changed)
    }
  }

  private tryCall(at: number, its: Call): Promise<void> {
    return this.tryWith({ calls: this.best.calls.with(at, its) })
  }

  private async tryWith(change: Partial<Program>): Promise<void> {
    const candidate = { ...this.best, ...change }
    if (this.isSpent() || candidate.calls.length === 0) return
    this.runs++
    if (await this.shows(candidate)) this.best = candidate
  }
}

const costOf = ({ args, process }: Call): number => args.reduce<number>((sum, arg) => sum + bits(arg), process)

/** Bits that are set; the arena's own count for nothing. */
function bits(word: Word): number {
  const register = registerOf(word)
  const its = register >= BigInt(ARENA) && register < BigInt(ARENA) << 1n ? register - BigInt(ARENA) : register
  return its.toString(2).replaceAll("0", "").length + its.toString(2).length / 64
}

/** Nothing, a page, the arena; then without each of its bits. */
function plainerThan(word: Word): readonly Word[] {
  const register = registerOf(word)
  const plain: Word[] = register >= BigInt(ARENA) ? [0, ARENA, ARENA + PAGE_SIZE] : [0, 1, PAGE_SIZE]
  const singly: Word[] = []
  for (let bit = 0n; bit < 64n; bit++) {
    if ((register >> bit) & 1n && 1n << bit !== BigInt(ARENA)) singly.push(Number(register & ~(1n << bit)))
  }
  return singly.length > 16 ? plain : [...plain, ...singly.filter((one) => Number.isSafeInteger(one))]
}
