/** Scripts of many threads: what a seed makes, and our machine against transcripts of Linux 6.18.44 (fixtures/threads.txt.gz, made
 * by `npm run differential -- --threads --ops 2800 --jobs 1 --seed 5 --keep FILE --keep-all`).
 */
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { describe, expect, it } from "vitest"
import { compareScript, differenceOf, type Host, judgeScript } from "../../../tools/differential/threads/compare.ts"
import { generateScript } from "../../../tools/differential/threads/generate.ts"
import { runOurs } from "../../../tools/differential/threads/ours.ts"
import { runThreads } from "../../../tools/differential/threads/run.ts"
import {
  type Recorded,
  recordedOf,
  type Script,
  step,
  textOfRecorded,
  textOfStep
} from "../../../tools/differential/threads/script.ts"
import { shrinkScript } from "../../../tools/differential/threads/shrink.ts"

const fixture = gunzipSync(readFileSync(new URL("fixtures/threads.txt.gz", import.meta.url))).toString("utf8")
const recorded = recordedOf(fixture)

const text = ({ steps }: Script): string => steps.map(textOfStep).join("\n")

describe("a random script of many threads", () => {
  it("is determined by its seed and number, whichever were made before", () => {
    const source = { seed: 7, hasSwap: false }
    const forward = [0, 1, 2, 3].map((nth) => text(generateScript(source, nth)))
    const backward = [3, 2, 1, 0].map((nth) => text(generateScript(source, nth))).reverse()
    expect(backward).toEqual(forward)
    expect(new Set(forward).size).toBe(4)
    expect(text(generateScript({ ...source, seed: 8 }, 0))).not.toBe(forward[0])
  })

  it("sends no page to swap where there is some", () => {
    const pagesOut = (hasSwap: boolean): boolean =>
      Array.from({ length: 30 }, (_, nth) => generateScript({ seed: 1, hasSwap }, nth)).some(({ steps }) =>
        steps.some(({ name, numbers }) => name === "madvise" && numbers[2] === 21)
      )
    expect([pagesOut(false), pagesOut(true)]).toEqual([true, false])
  })

  it("comes back from the text of its transcript as it was", () => {
    expect(recorded.map(textOfRecorded).join("")).toBe(fixture)
    expect(() => recordedOf("script 1\n> fork\n")).toThrow("script 1 has no end")
    expect(() => recordedOf("> fork\n")).toThrow("line 1")
  })
})

/** In these Linux's scheduler let somebody go on before those who had been woken earlier. */
const reordered: ReadonlySet<string> = new Set(["5.6", "5.32"])

describe("what Linux made of scripts", () => {
  it.each(recorded.map((each) => [each.script.name, each] as const))("%s is what we make of it", (_, each) => {
    const verdict = compareScript(each.script, each.transcript)
    expect("difference" in verdict ? verdict.difference : undefined).toBeUndefined()
    expect(verdict.kind).toBe(reordered.has(each.script.name) ? "reordered" : "agrees")
  })

  it("shows threads that wait, are woken together, and get signals; messages of every kind; children", () => {
    const seen = (what: RegExp): boolean =>
      recorded.some(({ transcript }) => transcript.lines.some((l) => what.test(l)))
    const wanted = [/waiting [5-9]/, /t\d+=\S+ t\d+=/, /=SEGV/, /=SIGBUS/, /^fault/, /wp write/, /^remap/, /^remove/]
    const more = [/^unmap/, /fork u\d/, /\bEAGAIN done EAGAIN/, /u\d=IN,[1-9]\/[1-9]/, / uw/, / lo/, /!/, /^none/]
    expect([...wanted, ...more].filter((what) => !seen(what))).toEqual([])
  })

  it("would be told apart in any one of its characters", () => {
    const { script, transcript } = recorded[0]!
    const ours = runOurs(script)
    const at = 30
    const changed = transcript.lines.with(at, transcript.lines[at]!.replace("waiting ", "waiting 1"))
    expect(differenceOf({ lines: changed }, ours)?.step).toBe(at)
    expect(differenceOf({ lines: transcript.lines.slice(0, at) }, ours)?.linux).toBe("<end>")
    expect(differenceOf({ lines: transcript.lines, lost: "signal 11" }, ours)?.linux).toBe("<signal 11>")
    expect(differenceOf({ lines: transcript.lines.slice(0, at), lost: "a call spins" }, ours)).toBeUndefined()
  })
})

describe("a verdict", () => {
  const script: Script = {
    name: "two",
    steps: [
      step("map", 0, 0, 6),
      step("userfaultfd", 0, 0),
      step("register", 0, 0, 6, 1),
      step("load", 1, 0),
      step("load", 2, 0),
      step("read", 0),
      step("wake", 0, 0, 6),
      step("read", 0)
    ]
  }
  const linux = runOurs(script)
  const host =
    (...answers: readonly (readonly string[])[]): Host =>
    () =>
      Promise.resolve({ lines: answers[Math.min(asked++, answers.length - 1)]! })
  let asked = 0
  const kindOf = async (...answers: readonly (readonly string[])[]): Promise<string> => {
    asked = 0
    return (await judgeScript(host(...answers), script)).kind
  }

  it("holds a difference only against a host that answers three times the same", async () => {
    const other = linux.lines.with(4, "t1 | waiting 1")
    expect(await kindOf(linux.lines)).toBe("agrees")
    expect([await kindOf(other), asked]).toEqual(["differs", 3])
    expect([await kindOf(other, other, linux.lines), asked]).toEqual(["unsteady", 3])
  })

  it("lets threads that are woken together go on in any order, and nothing else", async () => {
    const last = linux.lines.at(-1)!
    expect(last).toContain("fault a2 read, fault a1 read") // who came last is woken first
    const swapped = linux.lines.with(
      linux.lines.length - 1,
      last.replace("fault a2 read, fault a1 read", "fault a1 read, fault a2 read")
    )
    expect(await kindOf(swapped)).toBe("reordered")
    const once = linux.lines.with(
      5,
      linux.lines[5]!.replace("fault a1 read, fault a2 read", "fault a2 read, fault a1 read")
    )
    expect(once).not.toEqual(linux.lines)
    expect(await kindOf(once)).toBe("differs")
  })

  it("is counted, and a script that differs is shrunk to the steps that it takes", async () => {
    const long = recorded.map((each) => each.script).find(({ steps }) => steps.some(({ name }) => name === "munmap"))!
    const strange: Host = (its) => {
      const { lines } = runOurs(its)
      const at = its.steps.findIndex(({ name }) => name === "munmap")
      return Promise.resolve({ lines: at < 0 ? lines : lines.with(at, "strange") })
    }
    const programs: Recorded["script"][] = [script, long]
    const { shrunk, tally } = await runThreads({ scripts: programs.values(), hosts: [strange], onScript: () => {} })
    expect(tally).toMatchObject({ scripts: 2, differences: 1, unsteady: 0 })
    expect(shrunk.map((each) => each.script.steps.map(({ name }) => name))).toEqual([["munmap"]])
    const again = await shrinkScript(strange, shrunk[0]!)
    expect(again.difference.linux).toBe("strange")
  })
})
