/** Questions to objects that are not over, and invalidations that come meanwhile. Floor 8, internal.
 *
 * An answer that takes its time may be out of date when it comes: what it says was forgotten after it was found. Such an
 * answer is late, nothing of it is mapped, and the object is asked again, as `mmu_invalidate_seq` has it. Where the object
 * itself told its mappings to forget what it then answers with, asking again would not help.
 * @source gvisor pkg/sentry/mm/pma.go: activeMu, which holds invalidations up until an answer is in place
 */
import { PAGE_SIZE } from "../mm/base/units.ts"
import { make as range, type PageRange } from "./Range.ts"
import { Meanwhile, type Question } from "./question.ts"
import { insideNow } from "./section.ts"
import type { Guard, Pending, World } from "./world.ts"

/** One question, from the hook that asks it until its answer is mapped. */
export class Asking implements Pending {
  readonly question: Question
  /** Is the object's plain function running? Then whatever happens is its doing. */
  isRunning = false
  readonly #meanwhile = new Meanwhile()
  readonly #guard: Guard
  readonly #object: number
  readonly #mm: number
  /** User address of the object's first byte, were all of it mapped. */
  readonly #base: number

  constructor(guard: Guard, question: Question, v: number, vpn: number) {
    const { vmas } = guard.world.k
    this.question = question
    question.meanwhile = this.#meanwhile
    this.#guard = guard
    this.#object = vmas.obj(v)
    this.#mm = vmas.mmOf(v)
    this.#base = vpn * PAGE_SIZE - question.required.start
  }

  objectForgets(object: number, start: number, end: number): void {
    if (object === this.#object) this.#forget(start, end)
  }

  spaceForgets(mm: number, start: number, end: number): void {
    if (mm === this.#mm) this.#forget(start - this.#base, end - this.#base)
  }

  isLate(): boolean {
    return this.#meanwhile.isLate()
  }

  #forget(start: number, end: number): void {
    this.#meanwhile.forgotten.push({ range: range(start, end), own: this.#isMine() })
  }

  #isMine(): boolean {
    if (this.isRunning) return true
    for (let g = insideNow(); g !== undefined; g = g.outer) if (g === this.#guard) return true
    return false
  }
}

/** Object `row` forgets `offsets`: answers that are under way are told. */
export function tellObjectForgets(w: World, row: number, offsets: PageRange<"mappable">): void {
  w.forgettings++
  for (const one of w.pending) one?.objectForgets(row, offsets.start, offsets.end)
}

/** Address space `mm` forgets `addresses`: answers that are under way are told. */
export function tellSpaceForgets(w: World, mm: number, addresses: PageRange<"addr">): void {
  w.forgettings++
  for (const one of w.pending) one?.spaceForgets(mm, addresses.start, addresses.end)
}
