import { expect, it } from "vitest"
import { interruptionOf, lineOf } from "../../../lib/proof/replay/strace-line.ts"

const body = "brk(NULL) = 0x55555555e000"
const brk = { kind: "call", name: "brk", args: "NULL) = 0x55555555e000" }

it.each([
  ["", undefined],
  ["1234  ", 1234],
  ["4194303 ", 4194303],
  ["[pid 13303] ", 13303],
  ["[pid  1234] ", 1234],
  ["13386<true> ", 13386],
  ["[pid 1234<a b>] ", 1234],
  ["03:29:34 ", undefined],
  ["13323 03:29:34 ", 13323],
  ["13330 03:29:34.466621 ", 13330],
  ["1795231774.471064 ", undefined],
  ["13337 1795231774.471064 ", 13337],
  ["1795231774 ", undefined],
  ["     0.000063 ", undefined],
  ["13344      0.000063 ", 13344],
  ["[pid  77]      0.000063 ", 77],
  ["13351 03:29:34 (+     0.000058) ", 13351],
  ["13446 1795231774.547311 (+     0.000013) ", 13446],
  ["13365 [00007fa79ef13ca3] ", 13365],
  ["13372 [   9] ", 13372],
  ["[pid 5] 10:00:00.1 [  12] [????????????????] ", 5]
])("a line that begins with %j is of thread %s", (head, pid) => {
  expect(lineOf(`${head}${body}`)).toEqual({ pid, line: brk })
})

it.each([
  ["munmap(0x7f00, 4096 <unfinished ...>", { kind: "unfinished", name: "munmap", args: "0x7f00, 4096" }],
  ["wait4(-1,  <unfinished ...>", { kind: "unfinished", name: "wait4", args: "-1, " }],
  ["vfork( <unfinished ...>", { kind: "unfinished", name: "vfork", args: "" }],
  ["read(0, <detached ...>", { kind: "unfinished", name: "read", args: "0," }],
  ["<... mmap resumed>) = 0x7f00", { kind: "resumed", name: "mmap", args: ") = 0x7f00" }],
  ["<... mmap resumed> ) = 0x7f00", { kind: "resumed", name: "mmap", args: " ) = 0x7f00" }],
  ["exit_group(0) = ?", { kind: "call", name: "exit_group", args: "0) = ?" }],
  ["exit_group(0 <unfinished ...>) = ?", { kind: "call", name: "exit_group", args: "0 <unfinished ...>) = ?" }],
  ["???( <unfinished ...>", { kind: "unfinished", name: "???", args: "" }],
  ["syscall_0x1ce(0x1, 0x2) = 0", { kind: "call", name: "syscall_0x1ce", args: "0x1, 0x2) = 0" }],
  ["+++ exited with 3 +++", { kind: "gone", status: 3, signal: "" }],
  ["+++ killed by SIGSEGV +++", { kind: "gone", status: -1, signal: "SIGSEGV" }],
  ["+++ killed by SIGABRT (core dumped) +++", { kind: "gone", status: -1, signal: "SIGABRT" }],
  ["+++ superseded by execve in pid 16890 +++", { kind: "superseded", by: 16890 }],
  [
    "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---",
    { kind: "signal", signal: "SIGSEGV", detail: "si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL" }
  ],
  ["--- stopped by SIGSTOP ---", { kind: "nothing" }],
  ["strace: Process 13304 attached", { kind: "attached", pid: 13304, threads: 1 }],
  ["strace: Process 16947 attached with 3 threads", { kind: "attached", pid: 16947, threads: 3 }],
  ["strace: Process 16949 detached", { kind: "detached", pid: 16949 }],
  ["strace: Could not attach", { kind: "nothing" }],
  [" > /usr/lib/libc.so.6(mmap+0x27) [0x1fc47]", { kind: "nothing" }],
  ["[ Process PID=7 runs in 64 bit mode. ]", { kind: "nothing" }],
  ["", { kind: "nothing" }]
])("%s is a line of its kind", (text, line) => {
  expect(lineOf(text).line).toEqual(line)
})

it.each([
  ["hi", "no line of strace"],
  ["hello (world", "no line of strace"],
  ["<mmap resumed>) = 0", "no line of strace"],
  ["+++ exit +++", "no end of a process"],
  ["--- SIG", "no signal"],
  ["[ Process PID=7 runs in 32 bit mode. ]", "not a 64-bit program"],
  ["{}", "no line of strace"]
])("%s is malformed", (text, why) => {
  expect(lineOf(`12  ${text}`)).toEqual({ pid: 12, line: { kind: "malformed", why } })
})

it("a message of strace breaks off the line that it stands on, and only where there is one", () => {
  expect(interruptionOf("[pid 3] munmap(0x7f00, 69632strace: Process 13306 attached")).toEqual({
    before: "[pid 3] munmap(0x7f00, 69632",
    message: { kind: "attached", pid: 13306, threads: 1 }
  })
  expect(interruptionOf("strace: Process 13306 attached")).toBeUndefined()
  expect(interruptionOf('write(2, "strace: Process 1 attached", 26) = 26')).toBeUndefined()
  expect(interruptionOf("noisestrace: Process 13306 attached")).toBeUndefined()
})
