/** What is thrown when the core itself is wrong, and what is said once. Floor 1. */

/** A broken promise inside the library or by a driver: the simulated kernel's BUG(). Never a user program's fault. */
export class KernelBug extends Error {
  override readonly name = "KernelBug"
}

/** Stops everything: our bug, or a driver that lied about a lock.
 * @param what - state first, then the bound, lower case
 */
export function vmBugOn(what: string): never {
  throw new KernelBug(`BUG: ${what}`)
}

/** Things said once a world, and once only. */
export class WarnOnce {
  private readonly said = new Set<string>()
  readonly lines: string[] = []
  /** Where warnings go; nowhere by default. */
  sink: (line: string) => void = () => {}

  /** Says `line` the first time that `site` asks. */
  once(site: string, line: string): void {
    if (this.said.has(site)) return
    this.said.add(site)
    this.lines.push(`WARNING: ${line}`)
    this.sink(`WARNING: ${line}`)
  }
}

/** Allocation failures on demand: the n-th allocation from now fails, for tests that walk every undo path. */
export class FailNth {
  /** Allocations until the one that fails; 0 is off. */
  nth = 0
  /** Allocations seen since `arm`. */
  seen = 0
  /** Did it fail one? */
  fired = false

  /** Lets the `n`-th allocation from now fail; 0 counts only. */
  arm(n: number): void {
    this.nth = n
    this.seen = 0
    this.fired = false
  }

  /** Asked by every allocation. */
  hit(): boolean {
    this.seen++
    if (this.seen !== this.nth) return false
    this.fired = true
    return true
  }
}
