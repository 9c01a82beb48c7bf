/** Going back: a checkpoint now and then, and what was done since, to be done again. Floor 9. */
import type { Kernel } from "../../mm/kernel.ts"
import { Checkpoint } from "./checkpoint.ts"
import type { Mark } from "./player.ts"

/** Steps between two checkpoints: at least so many, and more where a checkpoint is large. */
const LEAST_STEPS = 32
/** About what may be copied in the time of one step. */
const BYTES_A_STEP = 1 << 14

/** The steps since the last checkpoint. */
export class Journal {
  private readonly checkpoint: Checkpoint
  private restoreOthers: () => void = () => {}
  private steps: (() => void)[] = []
  /** Number of the first step that is kept. */
  private first = 0
  private most = 0

  /** @param saveOthers - copies what is not in the machine, and answers how to put it back */
  constructor(
    k: Kernel,
    private readonly saveOthers: () => () => void
  ) {
    this.checkpoint = new Checkpoint(k)
    this.take()
  }

  /** Here we are. */
  mark(): Mark {
    return this.first + this.steps.length
  }

  /** `step` was done; doing it again does the same. */
  add(step: () => void): void {
    this.steps.push(step)
  }

  /** Undoes everything since `mark`. */
  back(mark: Mark): void {
    this.checkpoint.restore()
    this.restoreOthers()
    this.steps.length = mark - this.first
    for (const step of this.steps) step()
  }

  /** Everything since `mark` was undone by other means: it will not be done again. */
  cut(mark: Mark): void {
    this.steps.length = mark - this.first
  }

  /** Steps that are kept. */
  get length(): number {
    return this.steps.length
  }

  /** Nobody goes back behind this point: a new checkpoint, if it is time. */
  settle(): void {
    if (this.steps.length >= this.most) this.take()
  }

  /** The same, at once: what comes next cannot be undone. */
  take(): void {
    const bytes = this.checkpoint.take()
    this.most = Math.max(LEAST_STEPS, bytes / BYTES_A_STEP)
    this.restoreOthers = this.saveOthers()
    this.first += this.steps.length
    this.steps = []
  }
}
