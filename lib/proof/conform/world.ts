/** What the judge asks of whoever plays Linux: do this, and let me see. Floor 9. */
import { MOST_PAGES } from "./pages.ts"
import type { Op, Result } from "./record.ts"

/** One area as the player has it; filled in anew for each, so that nothing is allocated. Places count pages. */
export interface Seen {
  start: number
  end: number
  perms: string
  offset: number
  file: string
  flags: string
  name: string
  /** One code a page, as in pages.ts; valid for areas of at most MOST_PAGES. */
  readonly pages: Uint8Array
  /** The eight smaps numbers, kB. */
  readonly numbers: Float64Array
}

/** A `Seen` to be filled. */
export const newSeen = (): Seen => ({
  start: 0,
  end: 0,
  perms: "",
  offset: 0,
  file: "",
  flags: "",
  name: "",
  pages: new Uint8Array(MOST_PAGES),
  numbers: new Float64Array(8)
})

/** A machine that can be told to do what was recorded. An area is a number to go on from; 0 is none. */
export interface World {
  /** Is there such a call? */
  readonly has: (name: string) => boolean
  /** Performs an operation; undefined where there is no such call, or not this form of it. */
  readonly perform: (op: Op) => Result | undefined
  /** Processes that live, in rising order. */
  readonly processes: () => readonly number[]
  readonly firstArea: (process: number) => number
  readonly nextArea: (process: number, area: number) => number
  /** Fills `seen`; page states and numbers only if `isWhole`. */
  readonly look: (process: number, area: number, seen: Seen, isWhole: boolean) => void
  /** Puts VmSize, VmLck, VmData, VmStk, VmExe, in kB, into `sizes`. */
  readonly stats: (process: number, sizes: Float64Array) => void
  /** One byte of a process, as the recorder's last sweep read it: the byte, or minus the letter of its failure. */
  readonly peek: (process: number, addr: number) => number
  /** Sentences about promises that the machine broke; empty as a rule. */
  readonly check: () => readonly string[]
  /** Ends every process; the world is not used again. Sentences about what they left behind. */
  readonly close: () => readonly string[]
}
