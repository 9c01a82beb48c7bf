/** Shrinking, with an oracle that is made up; verdicts on hosts that change their mind. */
import { describe, expect, it } from "vitest"
import type { World } from "../../../lib/proof/conform/world.ts"
import { Comparer, judge } from "../../../tools/differential/compare.ts"
import { call, type Call, jsonOfCall, type Program } from "../../../tools/differential/program.ts"
import { Random } from "../../../tools/differential/random.ts"
import { ARENA } from "../../../tools/differential/scene.ts"
import { shrink } from "../../../tools/differential/shrink.ts"

const program = (calls: readonly Call[]): Program => ({
  seq: "1",
  theme: "made up",
  root: true,
  rlimits: new Map([["AS", 4096]]),
  calls
})

describe("shrink", () => {
  const isMap = ({ args, name }: Call): boolean => name === "mmap" && (Number(args[3]) & 0x100) !== 0
  const isProtect = ({ args, name }: Call): boolean => name === "mprotect" && Number(args[1]) > 0
  /** Differs where some mprotect comes after an mmap that grows down. */
  const shows = async ({ calls }: Program): Promise<boolean> => {
    const first = calls.findIndex(isMap)
    return first >= 0 && calls.slice(first).some(isProtect)
  }

  it("leaves the calls that matter, with the least arguments that do", async () => {
    const random = new Random(1)
    const noise = (): Call => call(random.of(["munmap", "madvise", "wr"]), [ARENA + 0x5000, 0x3000, 4], { process: 1 })
    const calls = Array.from({ length: 38 }, noise)
    calls.splice(9, 0, call("mmap", [ARENA + 0x7000, 0x9000, 7, 0x8132, 10, 0x3000], { process: 2 }))
    calls.splice(30, 0, call("mprotect", [ARENA + 0x9000, 0x5000, 3], { process: 1 }))
    const least = await shrink(program(calls), shows)
    expect(least.calls.map((its, i) => jsonOfCall(its, i))).toEqual([
      '"i":0,"op":"mmap","a":[0,0,0,"0x100",0,0]',
      '"i":1,"op":"mprotect","a":[0,1,0]'
    ])
    expect([...least.rlimits]).toEqual([])
    expect(await shows(least)).toBe(true)
  })

  it("answers the program itself where nothing can go", async () => {
    const its = program([call("mmap", [0, 0, 0, 0x100, 0, 0]), call("mprotect", [0, 1, 0])])
    const least = await shrink({ ...its, rlimits: new Map() }, shows)
    expect(least.calls).toEqual(its.calls)
  })
})

describe("judge", () => {
  const header = '{"seq":"1","theme":"made up","root":true,"rlimits":{},"brk":"0x1000","st":[0,0,0,0,0],"init":[]}'
  /** Answers 0 to everything, and has no areas. */
  const newWorld = (): World => ({
    has: () => true,
    perform: () => ({ kind: "value", value: 0 }),
    processes: () => [0],
    firstArea: () => 0,
    nextArea: () => 0,
    look: () => {},
    stats: (_, sizes) => void sizes.fill(0),
    peek: () => 0,
    check: () => [],
    close: () => []
  })
  const its = program([call("munmap", [0, 4096])])
  const answers = (...results: readonly string[]): Comparer => {
    let run = 0
    const host = async (): Promise<readonly string[]> => {
      const result = results[Math.min(run++, results.length - 1)]!
      if (result === "lost") return [header, '{"dead":"it is gone"}']
      return [header, `{"i":0,"op":"munmap","a":[0,4096],"r":${result}}`, '{"end":{"0":{}}}']
    }
    return new Comparer(host, newWorld)
  }
  const verdict = async (...results: readonly string[]): Promise<string> => (await judge(answers(...results), its)).kind

  it("tells agreement, a difference each time, and a host that does not always answer the same", async () => {
    expect(await verdict("0")).toBe("agrees")
    expect(await verdict("7")).toBe("differs")
    expect(await verdict("7", "7", "0")).toBe("unsteady")
  })

  it("runs a program again whose process was lost; lost each time, it does not agree", async () => {
    expect(await verdict("lost", "0")).toBe("agrees")
    expect(await verdict("lost")).toBe("lost")
  })
})
