import fc from "fast-check"
import { expect, it } from "vitest"
import type { Call, Event } from "../../../lib/proof/replay/event.ts"
import { StraceReader } from "../../../lib/proof/replay/strace.ts"

interface Read {
  readonly events: readonly Event[]
  readonly malformed: readonly string[]
}

function read(log: string | readonly string[]): Read {
  const events: Event[] = []
  const malformed: string[] = []
  const reader = new StraceReader({
    event: (event) => events.push(event),
    malformed: (line, why) => malformed.push(`${line}: ${why}`)
  })
  const lines = typeof log === "string" ? log.replace(/^\n|\n$/g, "").split("\n") : log
  lines.forEach((line, at) => reader.push(line, at + 1))
  reader.finish()
  return { events, malformed }
}

const callsOf = (log: string): readonly Call[] => {
  const { events, malformed } = read(log)
  expect(malformed).toEqual([])
  return events.filter((event) => event.kind === "call")
}

/** `tid name(args) = result`, for short. */
const short = (event: Event): string => {
  switch (event.kind) {
    case "call": {
      const { result } = event
      const answer = result.kind === "value" ? String(result.value) : result.kind === "errno" ? result.errno : "?"
      return `${event.tid} ${event.name}(${event.args.join(",")}) = ${answer}`
    }
    case "exec":
      return `${event.pid} exec ${event.path}`
    case "clone":
      return `${event.tid} clone ${event.childTid} of ${event.childPid}${event.sharesMemory ? " shared" : ""}`
    case "exit":
      return `${event.tid} exit`
    case "end":
      return `${event.pid} end ${event.status} ${event.signal}`
    case "signal":
      return `${event.tid} ${event.signal} ${event.code} ${event.addr}`
    case "drift":
      return "drift"
  }
}

it("calls, a program, an end", () => {
  const { events, malformed } = read(`
3024  execve("/bin/true", ["/bin/true"], 0x7ffd /* 12 vars */) = 0
3024  brk(NULL)                         = 0x1000
3024  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, -1, 0) = -1 EBADF (Bad file descriptor)
3024  exit_group(0)                     = ?
3024  +++ exited with 0 +++`)
  expect(malformed).toEqual([])
  expect(events.map(short)).toEqual([
    "3024 exec /bin/true",
    "3024 brk(0) = 4096",
    "3024 mmap(0,4096,1,2,-1,0) = EBADF",
    "3024 exit_group() = ?",
    "3024 exit",
    "3024 end 0 0"
  ])
  expect(events[2]).toMatchObject({ line: 3, n: 1, pid: 3024, result: { kind: "errno", errno: "EBADF" } })
})

it("a call that was interrupted has the arguments of both halves, and overlaps what ended in between", () => {
  const [b, a, c] = callsOf(`
1  clone(child_stack=0x7f00, flags=CLONE_VM|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD) = 2
1  madvise(0x1000, 4096 <unfinished ...>
2  munmap(0x2000, 8192)              = 0
1  <... madvise resumed>, MADV_DONTNEED) = 0
2  munmap(0x3000, 4096)              = 0`)
  expect([a, b, c].map((call) => short(call!))).toEqual([
    "1 madvise(4096,4096,4) = 0",
    "2 munmap(8192,8192) = 0",
    "2 munmap(12288,4096) = 0"
  ])
  expect(a!.pid).toBe(b!.pid)
  expect(a!.began).toBeLessThan(b!.began)
  expect(b!.ended).toBeLessThan(a!.ended)
  expect(a!.ended).toBeLessThan(c!.began)
})

it("registers that are shown as what they point to: vectors, ranges, limits, structs", () => {
  const calls = callsOf(`
1  mincore(0x1000, 12288, [1, 0, 1]) = 0
1  process_madvise(3, [{iov_base=0x1000, iov_len=4096}, {iov_base=0x3000, iov_len=8192}], 2, MADV_COLD, 0) = 12288
1  prlimit64(0, RLIMIT_AS, {rlim_cur=1024*1024, rlim_max=RLIM64_INFINITY}, NULL) = 0
1  memfd_create("a b", MFD_CLOEXEC) = 3
1  ioctl(4, UFFDIO_REGISTER, {range={start=0x1000, len=0x2000}, mode=UFFDIO_REGISTER_MODE_MISSING, ioctls=1<<_UFFDIO_WAKE}) = 0
1  syscall_0x1ce(0x1000, 0x1000, 0, 0, 0, 0) = 0`)
  expect(calls[0]).toMatchObject({ args: [0x1000, 12288, undefined], vec: "101" })
  expect(calls[1]).toMatchObject({ args: [3, undefined, 2, 20, 0] })
  expect(calls[1]!.iov).toEqual([
    [0x1000, 4096],
    [0x3000, 8192]
  ])
  expect(calls[2]).toMatchObject({ args: [0, 9, undefined, 0], rlim: [1048576, 2n ** 64n - 1n] })
  expect(calls[3]).toMatchObject({ args: [undefined, 1], text: "a b" })
  expect(calls[4]!.uffd).toEqual([0x1000, 0x2000, 1, 0])
  expect(calls[5]).toMatchObject({ name: "mseal", args: [0x1000, 0x1000, 0, 0, 0, 0] })
})

const opens = (log: string): readonly (number | undefined)[] =>
  callsOf(log)
    .filter((call) => call.name === "mmap")
    .map((call) => call.fd?.open)

const map = (fd: string, pid = 1): string => `${pid}  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, ${fd}, 0) = 0x1000`

it("two opens of a path are two open files, a copied descriptor is the same one, with and without -y", () => {
  for (const y of ["", "</a>"]) {
    const found = opens(`
1  openat(AT_FDCWD, "/a", O_RDONLY) = 3${y}
${map(`3${y}`)}
1  dup(3${y}) = 4${y}
1  close(3${y}) = 0
1  openat(AT_FDCWD, "/a", O_RDWR) = 3${y}
${map(`3${y}`)}
${map(`4${y}`)}
1  fcntl(4${y}, F_DUPFD_CLOEXEC, 10) = 10${y}
1  dup2(10${y}, 3${y}) = 3${y}
${map(`3${y}`)}
1  close_range(4, 9, 0) = 0
1  memfd_create("a", 0) = 4
${map("4")}`)
    expect(found[0]).toBe(found[2])
    expect(found[0]).toBe(found[3])
    expect(new Set(found).size).toBe(3)
  }
})

it("exec closes descriptors that say so; a fork has copies, CLONE_FILES shares", () => {
  const found = opens(`
1  openat(AT_FDCWD, "/a", O_RDONLY|O_CLOEXEC) = 3
1  open("/b", O_RDONLY) = 4
${map("3")}
${map("4")}
1  fork() = 2
2  close(4) = 0
${map("4", 1)}
2  clone(child_stack=NULL, flags=CLONE_FILES|SIGCHLD) = 3
3  open("/c", O_RDONLY) = 4
${map("4", 3)}
${map("4", 2)}
1  execve("/bin/x", [], []) = 0
${map("4", 1)}
${map("3", 1)}`)
  const [a, b, afterFork, c, shared, kept, closed] = found
  expect(afterFork).toBe(b)
  expect(shared).toBe(c)
  expect(kept).toBe(b)
  expect(new Set([a, b, c, closed]).size).toBe(4)
})

it("a descriptor that nobody saw being opened is one open file, until -y shows another path", () => {
  const found = opens([map("3"), map("3"), map("5</a>"), map("5</a>"), map("5</b>")].join("\n"))
  expect(found[0]).toBe(found[1])
  expect(found[2]).toBe(found[3])
  expect(new Set(found).size).toBe(3)
})

it("what is known of a file: its path, as -y shows it or as it was opened, and its flags", () => {
  const [a, b, c] = callsOf(`
1  openat(AT_FDCWD</w>, "lib.so", O_RDONLY|O_CLOEXEC) = 3</w/lib.so>
${map("3</w/lib.so>")}
1  openat(AT_FDCWD, "lib.so", O_RDWR) = 4
${map("4")}
${map("9</dev/zero>")}`)
    .filter((call) => call.name === "mmap")
    .map((call) => call.fd)
  expect(a).toMatchObject({ path: "/w/lib.so", flags: 0 })
  expect(b).toMatchObject({ path: "lib.so", flags: 2 })
  expect(c).toMatchObject({ path: "/dev/zero" })
  expect(c).not.toHaveProperty("flags")
})

it("a child that shows itself before its parent's fork returned", () => {
  const { events, malformed } = read(`
1  vfork( <unfinished ...>
2  execve("/bin/true", ["true"], 0x7ffd /* 39 vars */ <unfinished ...>
1  <... vfork resumed>) = 2
2  <... execve resumed>) = 0
2  brk(NULL) = 0x1000
2  +++ exited with 1 +++`)
  expect(malformed).toEqual([])
  expect(events.map(short)).toEqual([
    "1 clone 2 of 2 shared",
    "2 exec /bin/true",
    "2 brk(0) = 4096",
    "2 exit",
    "2 end 1 0"
  ])
})

it("of two forks in flight the log tells later whose child it was: its lines wait", () => {
  const { events, malformed } = read(`
1  fork() = 2
1  clone(child_stack=NULL, flags=SIGCHLD <unfinished ...>
2  vfork( <unfinished ...>
9  brk(NULL) = 0x1000
9  brk(0x2000) = 0x2000
2  <... vfork resumed>) = 9
1  <... clone resumed>, child_tidptr=0x7f00) = 8`)
  expect(malformed).toEqual([])
  expect(events.map(short)).toEqual([
    "1 clone 2 of 2",
    "2 clone 9 of 9 shared",
    "9 brk(0) = 4096",
    "9 brk(8192) = 8192",
    "1 clone 8 of 8"
  ])
})

it("a thread of either of two forks in flight is known at once where both make threads of one process", () => {
  const flags = "flags=CLONE_VM|CLONE_FILES|CLONE_THREAD"
  const { events, malformed } = read(`
1  clone3({${flags}} => {parent_tid=[2]}, 88) = 2
1  clone3({${flags}} <unfinished ...>
2  clone3({${flags}} <unfinished ...>
3  brk(NULL) = 0x1000
2  <... clone3 resumed> => {parent_tid=[3]}, 88) = 3
1  <... clone3 resumed> => {parent_tid=[4]}, 88) = 4`)
  expect(malformed).toEqual([])
  const [, third, , fourth] = events.map(short)
  expect(third).toMatch(/clone 3 of 1 shared/)
  expect(fourth).toBe("1 clone 4 of 1 shared")
})

it("a log to a terminal: numbers only while there are several, messages in the middle of lines", () => {
  const { events, malformed } = read(`
execve("./mt", ["./mt"], 0x7ffe /* 39 vars */) = 0
brk(NULL) = 0x1000
clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLDstrace: Process 13774 attached
, child_tidptr=0x7f47a6abba10) = 13774
[pid 13769] brk(NULL <unfinished ...>
[pid 13774] munmap(0x1000, 4096strace: Process 13775 attached
 <unfinished ...>
[pid 13769] <... brk resumed>) = 0x1000
[pid 13774] <... munmap resumed>) = 0
[pid 13774] --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---
[pid 13774] +++ killed by SIGSEGV +++
brk(0x3000) = 0x3000
+++ exited with 0 +++`)
  expect(malformed).toEqual([])
  expect(events.map(short)).toEqual([
    "0 exec ./mt",
    "0 brk(0) = 4096",
    "0 clone 13774 of 13774",
    "13769 brk(0) = 4096",
    "13774 munmap(4096,4096) = 0",
    "13774 SIGSEGV SEGV_MAPERR 16",
    "13774 exit",
    "13774 end -1 11",
    "13769 brk(12288) = 12288",
    "13769 exit",
    "0 end 0 0"
  ])
})

it("strace -p: threads of the process that it attached to, and calls whose beginning nobody saw", () => {
  const { events, malformed } = read(`
strace: Process 10 attached with 2 threads
[pid 11] restart_syscall(<... resuming interrupted read ...> <unfinished ...>
[pid 10] brk(NULL) = 0x1000
[pid 11] <... restart_syscall resumed>) = 0
[pid 11] brk(NULL) = 0x1000
[pid 12] <... futex resumed>) = 0`)
  expect(malformed).toEqual(["6: futex goes on, and the log does not show that it began"])
  expect(events.filter((event) => event.kind === "call" && event.name === "brk")).toMatchObject([
    { tid: 10 },
    { tid: 11 }
  ])
})

it("a thread that executes a program takes over the number of its process", () => {
  const { events, malformed } = read(`
7  clone(child_stack=0x7f00, flags=CLONE_VM|CLONE_THREAD) = 8
8  execve("/bin/true", ["true"], [] <unfinished ...>
7  <... clock_nanosleep resumed> <unfinished ...>) = ?
7  +++ superseded by execve in pid 8 +++
7  <... execve resumed>) = 0
7  brk(NULL) = 0x1000
7  +++ exited with 0 +++`)
  expect(malformed).toEqual(["3: clock_nanosleep goes on, and the log does not show that it began"])
  expect(events.map(short)).toEqual([
    "7 clone 8 of 7 shared",
    "7 exec /bin/true",
    "7 brk(0) = 4096",
    "7 exit",
    "7 end 0 0"
  ])
})

it("exit and exit_group end threads and processes, whether or not strace says so again", () => {
  const log = (more: string): string => `
1  clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 2
1  clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = 3
2  exit(0)                           = ?${more === "" ? "" : "\n2  +++ exited with 0 +++"}
3  futex(0x1000, FUTEX_WAIT, 1, NULL <unfinished ...>
1  exit_group(7 <unfinished ...>
3  <... futex resumed>)              = ?
1  <... exit_group resumed>)         = ?${more}`
  const ends = ["2 exit", "1 exit", "3 exit", "1 end 7 0"]
  for (const more of ["", "\n3  +++ exited with 7 +++\n1  +++ exited with 7 +++"]) {
    const { events, malformed } = read(log(more))
    expect(malformed).toEqual([])
    expect(events.filter(({ kind }) => kind === "exit" || kind === "end").map(short)).toEqual(ends)
  }
})

it("a number that comes again after its thread is gone is somebody new", () => {
  const { events } = read(`
1  fork()                            = 2
2  exit_group(0)                     = ?
1  fork()                            = 2
2  brk(NULL)                         = 0x1000
2  +++ exited with 0 +++`)
  expect(events.map(short)).toEqual([
    "1 clone 2 of 2",
    "2 exit_group() = ?",
    "2 exit",
    "2 end 0 0",
    "1 clone 2 of 2",
    "2 brk(0) = 4096",
    "2 exit",
    "2 end 0 0"
  ])
})

it("lines that are none of strace's are reported with their number, and the rest is read", () => {
  const { events, malformed } = read(`
1  brk(NULL) = 0x1000
hello world
1  brk(NULL
1  brk(NULL) 0x1000
1  mmap(NULL, 4096, PROT_READ, MAP_NOBODY_KNOWS, -1, 0) = 0x2000
1  munmap(0x2000 <unfinished ...>
1  brk(NULL) = 0x1000
1  madvise(0x1000, 4096, MADV_DONTNEED <unfinished ...>`)
  expect(malformed).toEqual([
    "2: no line of strace",
    "3: the arguments of brk do not end",
    "4: brk has no result",
    "5: mmap: nobody knows MAP_NOBODY_KNOWS",
    "7: a call begins, and munmap has not ended"
  ])
  expect(events.map(short)).toEqual([
    "1 brk(0) = 4096",
    "1 mmap(0,4096,1,,-1,0) = 8192",
    "1 brk(0) = 4096",
    "1 madvise(4096,4096,4) = ?"
  ])
})

it("calls of several threads, however strace was told to print them, are read as they were", () => {
  const head = fc.constantFrom<readonly [string, (tid: number) => string]>(
    ["-o", (tid) => `${String(tid).padEnd(5)} `],
    ["-o -tt", (tid) => `${tid} 03:29:34.466435 `],
    ["-o -r", (tid) => `${tid}      0.000017 `],
    ["-Y -n -i", (tid) => `${tid}<a.out> [   9] [00007fa79ef13ca3] `],
    ["terminal", (tid) => `[pid ${String(tid).padStart(5)}] `],
    ["terminal -ttt -r", (tid) => `[pid ${tid}] 1795231774.547311 (+     0.000013) `]
  )
  const step = fc.record({
    thread: fc.nat(3),
    addr: fc.nat(2 ** 35).map((page) => page * 4096),
    len: fc.integer({ min: 1, max: 2 ** 31 }),
    apart: fc.boolean(),
    fails: fc.boolean()
  })
  fc.assert(
    fc.property(
      head,
      fc.constantFrom("", " <0.000012>"),
      fc.array(step, { maxLength: 40 }),
      ([, print], tail, steps) => {
        const lines = [2, 3, 4].map((tid) => `${print(1)}clone(child_stack=0x1, flags=CLONE_VM|CLONE_THREAD) = ${tid}`)
        const expected: string[] = []
        const open = new Map<number, () => void>()
        for (const { addr, apart, fails, len, thread } of steps) {
          const tid = thread + 1
          open.get(tid)?.()
          const answer = `${fails ? "-1 EINVAL (Invalid argument)" : "0"}${tail}`
          const seen = `${tid} munmap(${addr},${len}) = ${fails ? "EINVAL" : 0}`
          if (!apart) {
            lines.push(`${print(tid)}munmap(0x${addr.toString(16)}, ${len}) = ${answer}`)
            expected.push(seen)
            continue
          }
          lines.push(`${print(tid)}munmap(0x${addr.toString(16)}, ${len} <unfinished ...>`)
          open.set(tid, () => {
            lines.push(`${print(tid)}<... munmap resumed>)          = ${answer}`)
            expected.push(seen)
            open.delete(tid)
          })
        }
        for (const end of open.values()) end()
        const { events, malformed } = read(lines)
        expect(malformed).toEqual([])
        expect(events.filter((event) => event.kind === "call").map(short)).toEqual(expected)
      }
    )
  )
})
