/** Random programs: a seed determines them, whatever ran before. */
import { describe, expect, it } from "vitest"
import { newMachines } from "../../../lib/proof/conform/machine.ts"
import { parseRecord } from "../../../lib/proof/conform/parse.ts"
import type { Header } from "../../../lib/proof/conform/record.ts"
import { commandOf } from "../../../tools/differential/calls.ts"
import { generate, SEQUENCE, type Source, themesFor } from "../../../tools/differential/generate.ts"
import { profileOf } from "../../../tools/differential/profile.ts"
import { call, jsonOfCall, jsonOfSetting, programsOf } from "../../../tools/differential/program.ts"
import { seedOfText } from "../../../tools/differential/random.ts"
import { ARENA } from "../../../tools/differential/scene.ts"
import { awayFromStub } from "../../../tools/differential/steps-bad.ts"
import { isTheme } from "../../../tools/differential/themes.ts"

const emptyHeader = JSON.stringify({
  seq: "probe",
  theme: "probe",
  root: true,
  rlimits: {},
  brk: "0x408000",
  st: [196, 0, 20, 132, 4],
  init: [
    "400000-401000 r--p 0 exe|rd mr mw me|/subject",
    "401000-402000 r-xp 1000 exe|rd ex mr mw me|/subject",
    "402000-403000 r--p 2000 exe|rd mr mw me|/subject",
    "403000-408000 rw-p 3000 exe|rd wr mr mw me ac|/subject",
    "7ffff7ff7000-7ffff7ffb000 r--p 0 -|rd mr pf io de dd|[vvar]",
    "7ffff7ffb000-7ffff7ffd000 r--p 0 -|rd mr pf io de dd|[vvar_vclock]",
    "7ffff7ffd000-7ffff7fff000 r-xp 0 -|rd ex mr mw me de|[vdso]",
    "7ffffffde000-7ffffffff000 rw-p 0 -|rd wr mr mw me gd ac|[stack]"
  ]
})

function headerOf(line: string): Header {
  const record = parseRecord(line)
  if (record.kind !== "header") throw new Error("no header")
  return record
}

const source = (seed: number, more: Partial<Source> = {}): Source => ({
  seed,
  theme: undefined,
  facts: { isRoot: true, avoids: new Set() },
  profile: profileOf("6.18.1"),
  header: headerOf(emptyHeader),
  newWorld: newMachines(),
  ...more
})

const text = (its: Source, nth: number): string => {
  const program = generate(its, nth, SEQUENCE)
  return [jsonOfSetting(program), ...program.calls.map(jsonOfCall)].join("\n")
}

describe("a random program", () => {
  it("is determined by its seed and number, whichever were made before", () => {
    const one = source(7)
    const forward = [0, 1, 2, 3].map((nth) => text(one, nth))
    const other = source(7)
    const backward = [3, 2, 1, 0].map((nth) => text(other, nth)).reverse()
    expect(backward).toEqual(forward)
    expect(text(source(8), 0)).not.toBe(forward[0])
  })

  it("is of the theme that is asked for, has so many calls, and the recorder knows each of them", () => {
    for (const theme of themesFor(source(1))) {
      const program = generate(source(5, { theme }), 0, 30)
      expect(program.theme).toBe(theme)
      expect(program.calls).toHaveLength(30)
      expect(program.calls.map(commandOf)).not.toContain(undefined)
    }
  })

  it("comes back from format 1 as it was", () => {
    const program = generate(source(11), 4, SEQUENCE)
    const header = emptyHeader.replace(/^\{.*?"brk"/, `{${jsonOfSetting(program)},"brk"`)
    const lines = program.calls.map((each, i) => `{${jsonOfCall(each, i)},"r":0}`)
    const [back] = programsOf([header, ...lines].join("\n"))
    expect(back!.calls.map(jsonOfCall)).toEqual(program.calls.map(jsonOfCall))
    expect([back!.seq, back!.theme, back!.root, [...back!.rlimits]]).toEqual([
      program.seq,
      program.theme,
      program.root,
      [...program.rlimits]
    ])
  })

  it("asks nothing of a host that would do it in its own time, or may not be asked", () => {
    const avoids = new Set(["pageout", "ksm", "huge", "segments"] as const)
    const its = source(3, { facts: { isRoot: false, avoids } })
    expect(themesFor(its)).not.toContain("segments")
    for (let nth = 0; nth < 40; nth++) {
      const { calls, root } = generate(its, nth, SEQUENCE)
      expect(root).toBe(false)
      for (const { args, name } of calls) {
        const advice = name === "madvise" ? args[2] : name === "process_madvise" ? args[0] : -1
        expect([21, 12, 14, 25]).not.toContain(Number(advice))
        expect(name).not.toMatch(/^shm/)
      }
    }
  })
})

describe("a profile", () => {
  const guard = call("madvise", [ARENA, 4096, 102])

  it("leaves out what an older kernel lacks, and says so", () => {
    const old = profileOf("6.12.3-generic")
    expect([old.knows(guard), old.knows(call("mseal", [0, 0, 0])), old.has("guards")]).toEqual([false, true, false])
    expect(old.notes.join(" ")).toMatch(/6\.12\.3.*6\.18.*guard regions/s)
    expect(generate(source(2, { profile: old }), 0, SEQUENCE).calls.every(old.knows)).toBe(true)
  })

  it("has nothing to say of the version that is simulated, and warns of a newer one", () => {
    expect(profileOf("6.18.44").notes).toEqual([])
    expect(profileOf("6.18.44").knows(guard)).toBe(true)
    expect(profileOf("7.1.0").notes).toHaveLength(1)
  })
})

it("no call of theirs can take the stub's own memory", () => {
  expect(awayFromStub(call("munmap", [0, 0x7fff_ffff_f000])).args).toEqual([ARENA, 4096])
  expect(awayFromStub(call("munmap", [0x401000, 1])).args).toEqual([ARENA, 1])
  expect(awayFromStub(call("munmap", [ARENA, 4096])).args).toEqual([ARENA, 4096])
  const moved = awayFromStub(call("mremap", [ARENA, 4096, 4096, 3, 0x403000])).args
  expect(moved[4]).toBeGreaterThan(ARENA)
})

it("a seed is a number, or any text", () => {
  expect(seedOfText("12345")).toBe(12345)
  expect(seedOfText("release")).toBe(seedOfText("release"))
  expect(seedOfText("release")).not.toBe(seedOfText("other"))
  expect(isTheme("constructor")).toBe(false)
})
