/** The threads of one machine: verbs in flight, and who goes on first when several are woken together. */
import { EINTR } from "../../../lib/flags/Errno.ts"
import { kindOf, type StopName, stopNames, type Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../../../lib/mm/store/runs.ts"
import { settle } from "../../../lib/proof/testing/calls.ts"

/** Which of several threads that could go on does: a number in `[0, candidates)`.
 * Linux leaves that to its scheduler, so every order is right. Mostly they go on in the order in which they were woken, and
 * that is the kernel's: 0 is the best guess.
 */
export type Order = (step: number, candidates: number) => number

export const inOrder: Order = () => 0

/** A verb in flight. */
export interface Flight {
  readonly row: number
  readonly verb: Verb<StopName>
  /** Why it does not go on. */
  stop: number
  /** What it answered. */
  result: number | undefined
}

/** All verbs in flight of a machine. */
export class Flights {
  readonly all: Flight[] = []
  /** Steps in which several threads could go on, in ascending order. */
  readonly choices: number[] = []
  private readonly woken: number[] = []
  private readonly byRow = new Map<number, Flight>()
  private at = 0

  constructor(
    private readonly k: Kernel,
    private readonly order: Order
  ) {
    k.runs.flush = () => this.collect()
  }

  /** Begins a verb of `task`, as far as it goes. */
  begin(task: number, make: () => Verb<StopName>): Flight {
    const { runs } = this.k
    const row = runs.alloc(0)
    runs.task[row] = task
    runs.current = row
    const flight: Flight = { row, verb: make(), stop: 0, result: undefined }
    this.all.push(flight)
    this.byRow.set(row, flight)
    this.turn(flight, () => flight.verb.next(0))
    return flight
  }

  /** Lets everybody go on who can, until nobody can. */
  settle(step: number): void {
    this.at = step
    for (this.collect(); this.woken.length > 0; this.collect()) {
      if (this.woken.length > 1 && this.choices.at(-1) !== step) this.choices.push(step)
      const chosen = this.woken.length > 1 ? this.order(this.at, this.woken.length) : 0
      const [row = 0] = this.woken.splice(chosen, 1)
      const flight = this.byRow.get(row)
      if (flight !== undefined) this.resume(flight)
    }
  }

  /** Ends a verb that waits, as a fatal signal does. */
  kill(flight: Flight): void {
    this.k.runs.withdraw(flight.row, flight.stop)
    this.turn(flight, () => flight.verb.return(EINTR))
  }

  private resume(flight: Flight): void {
    const { runs } = this.k
    while (flight.result === undefined && runs.state[flight.row] === RUN_WOKEN) {
      const reply = runs.reply[flight.row]!
      runs.state[flight.row] = RUN_RUNNING
      this.turn(flight, () => flight.verb.next(reply))
    }
  }

  private turn(flight: Flight, go: () => IteratorResult<number, number>): void {
    const { k } = this
    k.runs.current = flight.row
    const turn = go()
    k.runs.current = 0
    if (turn.done === true) {
      flight.result = turn.value
      this.byRow.delete(flight.row)
      k.runs.release(flight.row)
      settle(k)
    } else {
      flight.stop = turn.value
      const name = stopNames[kindOf(turn.value)]!
      if (name !== "WAIT_UFFD" && name !== "NEED_LOCK") throw new Error(`a thread stops at ${name}`)
    }
    this.collect()
  }

  private collect(): void {
    const { runs } = this.k
    for (let i = 0; i < runs.wokenN; i++) {
      const row = runs.woken[i]!
      if (!this.woken.includes(row)) this.woken.push(row)
    }
    runs.wokenN = 0
  }
}
