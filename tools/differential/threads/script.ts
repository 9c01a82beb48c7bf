/** Scripts of steps for many threads, and the text in which they and what came of them are kept:
 *
 *     script 7.0
 *     > store 3 5                                    a step: a word and numbers
 *     t4 | waiting 1 | u0=IN,1/1 | .A.. | [a0+4 rw-p um]      what could be seen after it
 *     end                                            or: lost, and why
 */

/** A call, or an access to memory. `threads.c` and `ours.ts` say what the numbers mean. */
export interface Step {
  readonly name: string
  readonly numbers: readonly number[]
}

/** Steps that are done one after another; a step that may wait has a thread of its own. */
export interface Script {
  readonly name: string
  readonly steps: readonly Step[]
}

/** What came of a script: a line a step. */
export interface Transcript {
  readonly lines: readonly string[]
  /** Why there are no more lines; absent where it came to its end. */
  readonly lost?: string
}

/** A script, and what a host made of it. */
export interface Recorded {
  readonly script: Script
  readonly transcript: Transcript
}

export const step = (name: string, ...numbers: readonly number[]): Step => ({ name, numbers })

export const textOfStep = ({ name, numbers }: Step): string => [name, ...numbers].join(" ")

function stepOf(text: string): Step {
  const [name = "", ...numbers] = text.split(" ")
  return { name, numbers: numbers.map(Number) }
}

/** As `recordedOf` reads it. */
export function textOfRecorded({ script, transcript }: Recorded): string {
  const body = script.steps.flatMap((one, i) => {
    const line = transcript.lines[i]
    return line === undefined ? [`> ${textOfStep(one)}`] : [`> ${textOfStep(one)}`, line]
  })
  const end = transcript.lost === undefined ? "end" : `lost ${transcript.lost}`
  return [`script ${script.name}`, ...body, end, ""].join("\n")
}

/** All scripts of a text. Throws SyntaxError. */
export function recordedOf(text: string): Recorded[] {
  const all: Recorded[] = []
  let current: { readonly name: string; readonly steps: Step[]; readonly lines: string[] } | undefined
  for (const [at, line] of text.split("\n").entries()) {
    if (line === "") continue
    if (line.startsWith("script ")) {
      current = { name: line.slice("script ".length), steps: [], lines: [] }
    } else if (current === undefined) {
      throw new SyntaxError(`line ${at + 1}: a script begins with "script NAME"`)
    } else if (line.startsWith("> ")) {
      current.steps.push(stepOf(line.slice(2)))
    } else if (line === "end" || line.startsWith("lost")) {
      const { lines, name, steps } = current
      const lost = line === "end" ? {} : { lost: line.slice("lost ".length) }
      all.push({ script: { name, steps }, transcript: { lines, ...lost } })
      current = undefined
    } else {
      current.lines.push(line)
    }
  }
  if (current !== undefined) throw new SyntaxError(`script ${current.name} has no end`)
  return all
}
