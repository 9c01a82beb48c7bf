/** Steps of a simulation that can be undone: quickly, one by one, where a step says how; else by the journal. Floor 9. */
import type { Kernel } from "../../../mm/kernel.ts"
import { Journal } from "../journal.ts"
import type { Mark } from "../player.ts"

/** How to go back behind one step. */
export interface Undo {
  readonly undo: () => void
  /** Nobody will. */
  readonly drop: () => void
}

/** Does a step, and answers how to undo it; undefined: only the journal can. */
export type Step = () => Undo | undefined

/** What was done, and may be undone. */
export class Steps {
  private readonly journal: Journal
  /** Of each step of the journal. */
  private undos: (Undo | undefined)[] = []
  private settled: Mark = 0

  /** @param saveOthers - copies what is not in the machine, and answers how to put it back */
  constructor(k: Kernel, saveOthers: () => () => void) {
    this.journal = new Journal(k, saveOthers)
  }

  mark(): Mark {
    return this.journal.mark()
  }

  /** Has something been done that may be undone? Then more will be, in all likelihood, and it pays to prepare for it. */
  get isOpen(): boolean {
    return this.mark() > this.settled
  }

  /** Does a step. */
  do(step: Step): void {
    this.add(step(), step)
  }

  /** A step was done, and `undo` undoes it; `again` does the same again. */
  add(undo: Undo | undefined, again: Step): void {
    this.undos.push(undo)
    this.journal.add(() => void this.undos.push(again()))
  }

  /** Everything since `mark` did not happen. */
  back(mark: Mark): void {
    const count = this.mark() - mark
    if (count === 0) return
    const since = this.undos.slice(-count)
    if (since.includes(undefined)) {
      // the journal makes a machine of which these know nothing, and the steps that are done again bring their own
      this.undos = []
      this.journal.back(mark)
      return
    }
    for (const undo of since.reverse()) undo?.undo()
    this.undos.length -= count
    this.journal.cut(mark)
  }

  /** What a step that is none yet has done did not happen. */
  clear(): void {
    this.undos = []
    this.journal.back(this.mark())
  }

  /** Nobody goes back behind this point. */
  settle(): void {
    for (const undo of this.undos) undo?.drop()
    this.journal.settle()
    this.undos = Array.from({ length: this.journal.length }, () => undefined)
    this.settled = this.mark()
  }
}
