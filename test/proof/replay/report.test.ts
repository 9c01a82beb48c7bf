import { expect, it } from "vitest"
import { jsonOfReplay, textOfReplay } from "../../../lib/proof/replay/report.ts"
import { sizeOf } from "../../../lib/proof/replay/table.ts"
import { area, call, changed, exec, mmap, PID, replay, TOP } from "./log.ts"

const at = TOP - 0x3000
const end = { t: "end", pid: PID, status: 0, sig: 0 }
const protect = (perms: string) =>
  call("mprotect", [at, 0x1000, 1], 0, changed([area(at, 3)], [area(at, 1, perms), area(at + 0x1000, 2)]))

it("tells the last maps, the map after a call with what it changed, and a summary", () => {
  const tally = replay([exec(), mmap(at, 3), protect("r--p"), call("arch_prctl", [0x1002, 0], 0), end], { at: 1 })
  expect(textOfReplay(tally, "log.jsonl")).toMatchInlineSnapshot(`
    "process 100  /bin/program: 3 calls, exited with 0; 7 areas, 192 K mapped
      560000000000-560000004000      16 K  r-xp  /bin/program
      560000004000-560000006000       8 K  rw-p  /bin/program +0x4000
                              ·    41.0 T  free
      7f000000d000-7f000000e000       4 K  r--p  anonymous
      7f000000e000-7f0000010000       8 K  rw-p  anonymous
      7f0000010000-7f0000014000      16 K  r--p  [vvar]
      7f0000014000-7f0000016000       8 K  r-xp  [vdso]
                              ·    1016 G  free
      7ffe00000000-7ffe00021000     132 K  rw-p  [stack]

    process 100  /bin/program, after call 1 (line 3): mprotect(0x7f000000d000, 0x1000, PROT_READ) = 0
      7 areas, 192 K mapped; - was there before the call, + is there since
      560000000000-560000004000      16 K  r-xp  /bin/program
      560000004000-560000006000       8 K  rw-p  /bin/program +0x4000
                              ·    41.0 T  free
    - 7f000000d000-7f0000010000      12 K  rw-p  anonymous
    + 7f000000d000-7f000000e000       4 K  r--p  anonymous
    + 7f000000e000-7f0000010000       8 K  rw-p  anonymous
      7f0000010000-7f0000014000      16 K  r--p  [vvar]
      7f0000014000-7f0000016000       8 K  r-xp  [vdso]
                              ·    1016 G  free
      7ffe00000000-7ffe00021000     132 K  rw-p  [stack]

    log.jsonl: format 2, 5 lines, 1 process, 3 calls

    call      times  agreed
    mmap          1       1
    mprotect      1       1

    Not judged, for they leave maps alone: arch_prctl 1.

    All 2 predictions agree with Linux.
    "
  `)
})

it("tells where we are not as Linux was, with the areas around", () => {
  const tally = replay([exec(), mmap(at, 3), protect("rwxp"), "{", end])
  const text = textOfReplay(tally, "log.jsonl")
  expect(text.slice(text.indexOf("line 3"))).toMatchInlineSnapshot(`
    "line 3, process 100: map differs
        mprotect(0x7f000000d000, 0x1000, PROT_READ) = 0
      Linux: 7f000000d000-7f000000e000 rwxp 00000000 00:00 0
      ours:  7f000000d000-7f000000e000 r--p 00000000 00:00 0
      areas (- Linux, + ours):
          560000004000-560000006000 rw-p 00004000 fe:00 7 /bin/program
        - 7f000000d000-7f000000e000 rwxp 00000000 00:00 0
        + 7f000000d000-7f000000e000 r--p 00000000 00:00 0
          7f000000e000-7f0000010000 rw-p 00000000 00:00 0

    log.jsonl: format 2, 5 lines, 1 process, 2 calls

    call      times  agreed  differ
    mmap          1       1
    mprotect      1       0       1

    Skipped, because it is malformed: 1 line.
      line 4: not JSON: cut off?

    1 of 2 predictions is not what Linux did.
    "
  `)
})

it("says the same for machines", () => {
  const tally = replay([exec(), mmap(at, 3), protect("r--p"), end], { at: 0 })
  const json = JSON.parse(JSON.stringify(jsonOfReplay(tally, "log.jsonl"))) as object
  expect(json).toMatchObject({
    file: "log.jsonl",
    format: "format 2",
    agrees: true,
    lines: 4,
    malformed: { count: 0, first: [] },
    calls: { total: { total: 2, agreed: 2, differs: 0 }, byName: { mmap: { total: 1 }, mprotect: { total: 1 } } },
    disagreements: [],
    processes: [
      {
        pid: PID,
        programs: ["/bin/program"],
        calls: 2,
        end: "exited with 0",
        areas: expect.arrayContaining([expect.objectContaining({ name: "[stack]", use: "stack" })]) as unknown
      }
    ],
    at: {
      n: 0,
      line: 2,
      pid: PID,
      after: expect.arrayContaining([
        {
          start: `0x${at.toString(16)}`,
          end: `0x${TOP.toString(16)}`,
          perms: "rw-p",
          offset: "0x0",
          name: "",
          use: "anonymous"
        }
      ]) as unknown
    }
  })
})

it.each([
  [1, "4 K"],
  [3, "12 K"],
  [256, "1 M"],
  [300, "1.2 M"],
  [0x7ffffffff, "128 T"]
])("%d pages are %s", (pages, text) => expect(sizeOf(pages)).toBe(text))
