/** What Linux 6.18 said in /proc, byte for byte: the recorded worlds, lived again. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { stepsOf, Transcript } from "../../support/transcript.ts"

const folder = join(import.meta.dirname, "..", "..", "golden", "proc")

const kib = (line = ""): number => Number(/(\d+) kB$/.exec(line)?.[1])
/** Pages that a processor keeps back, of each of Linux's counters, before it adds them to the whole: used or given back. */
const BATCH = 32

/** The recorded lines, with our peak of resident pages in place of theirs where theirs is no further off than counters
 * that are added up in batches make it: three of them, of one processor.
 */
function withPeak(recorded: readonly string[], ours: readonly string[]): readonly string[] {
  return recorded.map((line, i) => {
    if (!line.startsWith("VmHWM:")) return line
    const keptBack = Math.abs(kib(ours[i]) - kib(line))
    return keptBack < 3 * BATCH * 4 ? ours[i]! : line
  })
}

describe("files of /proc, as the kernel wrote them", () => {
  for (const name of readdirSync(folder).sort()) {
    it(`say the same of a simulated machine: ${name}`, () => {
      const world = new Transcript()
      for (const { line, answer } of stepsOf(readFileSync(join(folder, name), "utf8"))) {
        const got = world.do(line, answer)
        expect(`> ${line}\n${got.join("\n")}`).toBe(`> ${line}\n${withPeak(answer, got).join("\n")}`)
      }
    })
  }
})
