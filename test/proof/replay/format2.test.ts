import { expect, it } from "vitest"
import type { Event } from "../../../lib/proof/replay/event.ts"
import { newFormat2Reader } from "../../../lib/proof/replay/format2.ts"
import { mapLineOf } from "../../../lib/proof/replay/map-line.ts"

function read(...lines: readonly (string | object)[]): { events: Event[]; malformed: string[] } {
  const events: Event[] = []
  const malformed: string[] = []
  const reader = newFormat2Reader({
    event: (event) => events.push(event),
    malformed: (line, why) => malformed.push(`${line}: ${why}`)
  })
  lines.forEach((line, at) => reader.push(typeof line === "string" ? line : JSON.stringify(line), at + 1))
  reader.finish()
  return { events, malformed }
}

const call = { t: "sys", n: 3, pid: 7, tid: 8, sc: "mmap", a: ["0x0", "0xffffffffffffffff"], ret: "0x7ffff7fc0000" }
const file = { path: "/lib/libc.so", dev: "fe:00", ino: 9, size: 100, mode: "100755", flags: "02100000" }

it("reads a call with everything that a recorder knows of it", () => {
  const maps = { "-": ["1000-2000 rw-p 00000000 00:00 0"], "+": ["1000-3000 rw-p 00000000 00:00 0"] }
  const { events, malformed } = read({
    ...call,
    fd: file,
    maps,
    vec: "101",
    iov: ["0x1000", "0x2000"],
    rlim: ["0x1", "0xffffffffffffffff"]
  })
  expect(malformed).toEqual([])
  expect(events).toMatchObject([
    {
      kind: "call",
      line: 1,
      pid: 7,
      tid: 8,
      n: 3,
      name: "mmap",
      args: [0, 2n ** 64n - 1n],
      result: { kind: "value", value: 0x7ffff7fc0000 },
      fd: { path: "/lib/libc.so", dev: "fe:00", ino: 9, size: 100, mode: 0o100755, flags: 0o2100000 },
      maps: { gone: [{ start: 1, end: 2 }], here: [{ start: 1, end: 3 }] },
      vec: "101",
      iov: [[0x1000, 0x2000]],
      rlim: [1, 2n ** 64n - 1n]
    }
  ])
})

it("reads what else there is", () => {
  const { events, malformed } = read(
    {
      t: "exec",
      pid: 7,
      path: "/bin/sh",
      start_stack: "0x7ffe00000000",
      start_brk: "0x5000",
      maps: ["1000-2000 r-xp 00000000 fe:00 1 /bin/sh"]
    },
    { t: "clone", pid: 7, tid: 7, child: 9, cpid: 7, flags: "0x3d0f00", vm: 1 },
    { t: "drift", pid: 7, tid: 9, maps: { "+": ["0-1000 rw-p 00000000 00:00 0"] } },
    { t: "sig", pid: 7, tid: 9, sig: 7, code: 2, addr: "0x1000" },
    { t: "sig", pid: 7, tid: 9, sig: 11, code: 99, addr: "0x1000" },
    { t: "exit", pid: 7, tid: 9 },
    { t: "end", pid: 7, status: -1, sig: 9 },
    { ...call, ret: -1, err: "ENOMEM" }
  )
  expect(malformed).toEqual([])
  expect(events).toMatchObject([
    {
      kind: "exec",
      path: "/bin/sh",
      startBrk: 0x5000,
      maps: [{ perms: "r-xp", dev: "fe:00", ino: 1, name: "/bin/sh" }]
    },
    { kind: "clone", childTid: 9, childPid: 7, sharesMemory: true },
    { kind: "drift", maps: { gone: [], here: [{ start: 0 }] } },
    { kind: "signal", signal: "SIGBUS", code: "BUS_ADRERR", addr: 0x1000 },
    { kind: "signal", signal: "SIGSEGV", code: "99" },
    { kind: "exit", tid: 9 },
    { kind: "end", status: -1, signal: 9 },
    { kind: "call", result: { kind: "errno", errno: "ENOMEM" } }
  ])
})

it.each([
  ["hello", "not JSON"],
  ['{"t":"sys","n":', "not JSON: cut off?"],
  ["[]", "record is no object"],
  [{ pid: 1 }, "t is missing"],
  [{ t: "walk", pid: 1 }, "t is walk, which is no record of format 2"],
  [{ t: "end", status: 0, sig: 0 }, "pid is missing"],
  [{ t: "end", pid: -1, status: 0, sig: 0 }, "pid is negative"],
  [{ t: "end", pid: 1.5, status: 0, sig: 0 }, "pid is no integer"],
  [{ ...call, a: ["0xzz"] }, "a is no word of 64 bits: 0xzz"],
  [{ ...call, a: ["0x10000000000000000"] }, "a is no word of 64 bits: 0x10000000000000000"],
  [{ ...call, a: 5 }, "a is no list of words"],
  [{ ...call, ret: undefined }, "a call without ret"],
  [{ ...call, sc: 5 }, "sc is no string"],
  [{ ...call, vec: "012" }, "vec holds something other than 0 and 1"],
  [{ ...call, rlim: ["0x1"] }, "rlim is not two words"],
  [{ ...call, fd: { ...file, mode: "9" } }, "mode is not octal: 9"],
  [{ ...call, maps: [] }, "maps is no object"],
  [{ ...call, maps: { "+": "1000-2000" } }, "maps is no list of lines"],
  [
    { ...call, maps: { "+": ["1000-1000 rw-p 00000000 00:00 0"] } },
    "no line of a map: 1000-1000 rw-p 00000000 00:00 0"
  ],
  [
    { ...call, maps: { "+": ["3000-4000 rw-p 0 00:00 0", "1000-2000 rw-p 0 00:00 0"] } },
    "areas overlap or are out of order: 1000-2000 rw-p 0 00:00 0"
  ],
  [
    { t: "exec", pid: 1, path: "/x", maps: [], start_brk: "0xffffffffffffffff" },
    "start_brk is no address of user space: 0xffffffffffffffff"
  ]
])("reports and skips %j", (line, why) => {
  const { events, malformed } = read(line, { t: "end", pid: 1, status: 0, sig: 0 })
  expect(malformed).toEqual([`1: ${why}`])
  expect(events).toMatchObject([{ kind: "end", line: 2 }])
})

it.each([
  [
    "7ffff7fb5000-7ffff7fc0000 r--p 00001000 fe:00 603 /etc/ld.so.cache",
    { start: 0x7ffff7fb5, end: 0x7ffff7fc0, offset: 1, dev: "fe:00", ino: 603, name: "/etc/ld.so.cache" }
  ],
  ["00400000-00401000 r--p 00000000 00:00 0", { start: 0x400, end: 0x401, name: "", ino: 0 }],
  [
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]",
    { start: 0xffffffffff600, name: "[vsyscall]" }
  ],
  [
    "1000-2000 rw-s fffffffffffff000 00:01 5 /a b (deleted)",
    { offset: 2 ** 52 - 1, perms: "rw-s", name: "/a b (deleted)" }
  ],
  ["1000-2001 rw-p 00000000 00:00 0", undefined],
  ["2000-1000 rw-p 00000000 00:00 0", undefined],
  ["1000-2000 rwp 00000000 00:00 0", undefined],
  ["1000-2000 rw-p 00000000 00:00 x", undefined],
  ["", undefined]
])("a line of a map: %s", (text, expected) => {
  const line = mapLineOf(text)
  if (expected === undefined) expect(line).toBeUndefined()
  else expect(line).toMatchObject({ text, ...expected })
})
