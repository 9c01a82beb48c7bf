import { describe, expect, it } from "vitest"
import type { Tally } from "../../../lib/proof/replay/tally.ts"
import { area, call, changed, exec, HEAP, mmap, PID, program, replay, replayText, stackEnd, told, TOP } from "./log.ts"

const agrees = { agrees: true }
const end = { t: "end", pid: PID, status: 0, sig: 0 }

/** The last map of each process, by its number: only what the program's first map does not have. */
const lastOf = (tally: Tally): object =>
  Object.fromEntries(
    tally.processes.map(({ areas, pid }) => [
      pid,
      areas
        ?.filter(({ name }) => name === "" || name === "[heap]")
        .map(({ end, name, perms, start }) =>
          `${(start * 4096).toString(16)} ${end - start} ${perms} ${name}`.trimEnd()
        )
    ])
  )

describe("a recorded first map", () => {
  it("says where memory goes: the highest mapping below the stack ends at the base of the mmap area", () => {
    const at = TOP - 0x3000
    expect(told(replay([exec(), mmap(at, 3), end]))).toEqual(agrees)
    expect(told(replay([exec(), mmap(at - 0x1000, 3), end]))).toMatchObject({
      agrees: false,
      disagreements: [`2 result: 0x${(at - 0x1000).toString(16)} | 0x${at.toString(16)}`]
    })
  })

  it("says that the area goes up, where the vdso lies above the interpreter", () => {
    const low = 0x2aaaaaaab000
    const maps = [
      area(0x400000, 4, "r-xp", "00000000 fe:00 7 /bin/program"),
      area(low, 16, "r-xp", "00000000 fe:00 8 /lib/ld.so"),
      area(low + 0x10000, 4, "r--p", "00000000 00:00 0 [vvar]"),
      area(low + 0x14000, 2, "r-xp", "00000000 00:00 0 [vdso]"),
      program.at(-1)!
    ]
    expect(told(replay([exec(PID, maps), mmap(low + 0x16000, 3), end]))).toEqual(agrees)
  })

  it("is the process's whole map: where the heap begins comes from exec", () => {
    const tally = replay([
      exec(),
      call("brk", [0], HEAP),
      call("brk", [HEAP + 0x21000], HEAP + 0x21000, changed([], [area(HEAP, 33, "rw-p", "00000000 00:00 0 [heap]")])),
      end
    ])
    expect(told(tally)).toEqual(agrees)
    expect(lastOf(tally)).toEqual({ [PID]: [`${HEAP.toString(16)} 33 rw-p [heap]`] })
  })
})

describe("what logs do not show", () => {
  const high = TOP - 0x2000
  const low = TOP - 0x6000
  const three = [exec(), mmap(high, 2), mmap(TOP - 0x4000, 2, 0), mmap(low, 2)]
  const middle = (answer: object) =>
    call("mprotect", [TOP - 0x4000, 0x2000, 3], 0, answer as { [field: string]: unknown })

  it("memory counts as not written to: equal neighbours become one", () => {
    const gone = [area(low, 2), area(TOP - 0x4000, 2, "---p"), area(high, 2)]
    expect(told(replay([...three, middle(changed(gone, [area(low, 6)])), end]))).toEqual(agrees)
  })

  it("written memory that does not merge is assumed to have been written to, and counted", () => {
    const gone = [area(low, 2), area(TOP - 0x4000, 2, "---p")]
    const tally = replay([...three, middle(changed(gone, [area(low, 4)])), end])
    expect(told(tally)).toEqual({ agrees: true, assumed: { "writes to memory": 1 } })
  })

  it("what was assumed stays: the same memory does not merge later", () => {
    const gone = [area(low, 2), area(TOP - 0x4000, 2, "---p")]
    const log = [
      ...three,
      middle(changed(gone, [area(low, 4)])),
      call("mprotect", [low, 0x4000, 1], 0, changed([area(low, 4)], [area(low, 4, "r--p")])),
      call("mprotect", [low, 0x4000, 3], 0, changed([area(low, 4, "r--p")], [area(low, 4)]))
    ]
    expect(told(replay([...log, end]))).toEqual({ agrees: true, assumed: { "writes to memory": 1 } })
    const changes = changed([area(low, 4, "r--p"), area(high, 2)], [area(low, 6)])
    const merged = [...log.slice(0, -1), call("mprotect", [low, 0x4000, 3], 0, changes)]
    expect(told(replay([...merged, end])).agrees).toBe(true) // then they were not written to, as far as one can tell
  })

  it("no write explains another permission, and the map is taken over", () => {
    const gone = [area(low, 2), area(TOP - 0x4000, 2, "---p")]
    const tally = replay([...three, middle(changed(gone, [area(low, 2), area(TOP - 0x4000, 2, "rwxp")])), end])
    expect(told(tally)).toMatchObject({ agrees: false, disagreements: [expect.stringContaining("5 map: ") as unknown] })
    expect(tally.differences).toBe(1)
    expect(lastOf(tally)).toMatchObject({
      [PID]: expect.arrayContaining([expect.stringContaining("2 rwxp")]) as unknown
    })
  })

  it("a heap that was written to before a fork is not continued by the child", () => {
    const grown = area(HEAP, 33, "rw-p", "00000000 00:00 0 [heap]")
    const more = area(HEAP + 0x21000, 1, "rw-p", "00000000 00:00 0 [heap]")
    const tally = replay([
      exec(),
      call("brk", [HEAP + 0x21000], HEAP + 0x21000, changed([], [grown])),
      { t: "clone", pid: PID, tid: PID, child: 101, cpid: 101, flags: "0x1200011", vm: 0 },
      call("brk", [HEAP + 0x22000], HEAP + 0x22000, { ...changed([], [more]), pid: 101, tid: 101 }),
      { t: "end", pid: 101, status: 0, sig: 0 },
      end
    ])
    expect(told(tally)).toEqual({ agrees: true, assumed: { "writes to memory": 1 } })
    expect(lastOf(tally)).toEqual({
      [PID]: [`${HEAP.toString(16)} 33 rw-p [heap]`],
      101: [`${HEAP.toString(16)} 33 rw-p [heap]`, `${(HEAP + 0x21000).toString(16)} 1 rw-p [heap]`]
    })
  })

  it("an error that only an unprivileged process gets says that its rights are gone", () => {
    const limit = { rlim: ["0x1000", "0x1000"] }
    const log = [
      exec(),
      mmap(high, 2),
      call("setrlimit", [8, 0x1000], 0, limit),
      call("mlock", [high, 0x2000], "ENOMEM"),
      call("mlock", [high, 0x2000], "ENOMEM"),
      end
    ]
    expect(told(replay(log))).toEqual({ agrees: true, assumed: { "processes that gave up root's rights": 1 } })
  })

  it("MAP_32BIT goes anywhere in 32 MiB where addresses are random, and not behind them", () => {
    const at = (page: number) => [
      exec(),
      call("mmap", [0, 4096, 3, 0x62, 0xffffffff, 0], page, changed([], [area(page, 1)])),
      end
    ]
    expect(told(replay(at(0x40123000)))).toEqual({ agrees: true, assumed: { "random places below 2 GiB": 1 } })
    expect(told(replay(at(0x43000000))).agrees).toBe(false)
    const still = [...program.slice(0, -1), area(0x7ffffffde000, 33, "rw-p", "00000000 00:00 0 [stack]")]
    expect(told(replay([exec(PID, still), ...at(0x40123000).slice(1)])).agrees).toBe(false)
  })
})

describe("between two calls", () => {
  const stack = program.at(-1)!
  const grown = area(stackEnd - 40 * 4096, 40, "rw-p", "00000000 00:00 0 [stack]")

  it("a stack grows by a fault", () => {
    const log = [exec(), { t: "drift", pid: PID, tid: PID, ...changed([stack], [grown]) }, end]
    expect(told(replay(log))).toEqual({ agrees: true, assumed: { "stacks grown by a fault": 1 } })
  })

  it("a stack does not grow beyond its limit, and nothing else grows", () => {
    const huge = area(stackEnd - 3000 * 4096, 3000, "rw-p", "00000000 00:00 0 [stack]")
    expect(told(replay([exec(), { t: "drift", pid: PID, tid: PID, ...changed([stack], [huge]) }, end])).agrees).toBe(
      false
    )
    const at = TOP - 0x2000
    const log = [
      exec(),
      mmap(at, 2),
      { t: "drift", pid: PID, tid: PID, ...changed([area(at, 2)], [area(at - 4096, 3)]) },
      end
    ]
    expect(told(replay(log)).agrees).toBe(false)
  })

  it("a file is renamed or deleted: taken as given, if it is so wherever the file is mapped", () => {
    const renamed = (line: string) => `${line} (deleted)`
    const [code, data] = program as [string, string]
    const drift = (gone: string[], here: string[]) => [
      exec(),
      { t: "drift", pid: PID, tid: PID, ...changed(gone, here) },
      end
    ]
    expect(told(replay(drift([code, data], [renamed(code), renamed(data)])))).toEqual({
      agrees: true,
      assumed: { "files renamed or deleted": 1 }
    })
    expect(told(replay(drift([code], [renamed(code)]))).agrees).toBe(false)
  })

  it.each([
    ["SEGV_MAPERR", 1, 0x10000, true],
    ["SEGV_MAPERR", 1, TOP, false],
    ["SEGV_ACCERR", 2, TOP, true],
    ["SEGV_ACCERR", 2, 0x10000, false],
    ["SI_KERNEL", 0x80, 0, true]
  ])("a signal says what is mapped: %s (%d) at %d agrees: %s", (_, code, addr, isRight) => {
    const signal = { t: "sig", pid: PID, tid: PID, sig: 11, code, addr: `0x${addr.toString(16)}` }
    expect(told(replay([exec(), signal, end])).agrees).toBe(isRight)
  })

  it("a last map is compared line by line", () => {
    const exit = (maps: readonly string[]) => [exec(), { t: "exit", pid: PID, tid: PID, maps }, end]
    expect(told(replay(exit(program)))).toEqual(agrees)
    expect(told(replay(exit(program.slice(1)))).agrees).toBe(false)
    expect(told(replay(exit([area(0x10000, 1), ...program]))).agrees).toBe(false)
  })
})

describe("processes", () => {
  const clone = (child: number, vm: 0 | 1, more: object = {}) => ({
    t: "clone",
    pid: PID,
    tid: PID,
    child,
    cpid: child,
    flags: vm === 1 ? "0x4100" : "0x1200011",
    vm,
    ...more
  })
  const by = (pid: number, record: object) => ({ ...record, pid, tid: pid })
  const gone = (pid: number) => ({ t: "end", pid, status: 0, sig: 0 })
  const at = TOP - 0x2000

  it("a fork has a copy: what one maps the other does not see", () => {
    const log = [exec(), clone(101, 0), mmap(at, 2), by(101, mmap(at, 2)), gone(101), end]
    expect(told(replay(log))).toEqual(agrees)
  })

  it("a vfork shares: what the child maps, the parent has", () => {
    const log = [exec(), clone(101, 1), by(101, mmap(at, 2)), mmap(at - 0x1000, 1, 1), gone(101), end]
    const tally = replay(log)
    expect(told(tally)).toEqual(agrees)
    expect(tally.processes.map(({ areas, pid }) => [pid, areas !== undefined])).toEqual([
      [PID, true],
      [101, false]
    ])
  })

  it("a vfork that runs another program leaves the parent what it had", () => {
    const other = program.map((line) => line.replace("/bin/program", "/bin/other"))
    const log = [
      exec(),
      mmap(at, 2),
      clone(101, 1),
      exec(101, other, "/bin/other"),
      by(101, mmap(at, 2)),
      gone(101),
      mmap(at - 0x1000, 1, 1),
      end
    ]
    const tally = replay(log)
    expect(told(tally)).toEqual(agrees)
    expect(tally.processes.map(({ programs }) => programs)).toEqual([["/bin/program"], ["/bin/program", "/bin/other"]])
  })

  it("a child that has less than its parent is shown to have less", () => {
    const advice = call("madvise", [at, 0x2000, 10], 0)
    const log = (changes: object) => [exec(), mmap(at, 2), advice, clone(101, 0, changes), gone(101), end]
    expect(told(replay(log(changed([area(at, 2)], []))))).toEqual(agrees)
    expect(told(replay(log({}))).agrees).toBe(false)
  })

  it("a number is used again", () => {
    const log = [exec(), clone(101, 0), gone(101), clone(101, 0), by(101, mmap(at, 2)), gone(101), end]
    const tally = replay(log)
    expect(told(tally)).toEqual(agrees)
    expect(tally.processes.map(({ calls, pid }) => [pid, calls])).toEqual([
      [PID, 0],
      [101, 0],
      [101, 1]
    ])
  })

  it("threads are one process", () => {
    const thread = { t: "clone", pid: PID, tid: PID, child: 101, cpid: PID, flags: "0x3d0f00", vm: 1 }
    const tally = replay([exec(), thread, { ...mmap(at, 2), tid: 101 }, end])
    expect(told(tally)).toEqual(agrees)
    expect(tally.processes.map(({ calls, pid }) => [pid, calls])).toEqual([[PID, 1]])
  })
})

describe("what is not judged", () => {
  const at = TOP - 0x2000

  it("a call that is not built is named and its map taken over; then not everything agrees", () => {
    const tally = replay([
      exec(),
      call("map_shadow_stack", [0, 0x2000, 0], at, changed([], [area(at, 2)])),
      call("munmap", [at, 4096], 0, changed([area(at, 2)], [area(at + 4096, 1)])),
      end
    ])
    expect(told(tally)).toEqual({ agrees: false, unmodelled: { map_shadow_stack: 1 } })
    expect(lastOf(tally)).toEqual({ [PID]: [`${(at + 4096).toString(16)} 1 rw-p`] })
  })

  it("memory policies depend on what no log shows; they may part areas, and no more", () => {
    const mbind = (here: readonly string[]) =>
      replay([exec(), mmap(at, 2), call("mbind", [at, 4096, 2, 0, 0, 0], 0, changed([area(at, 2)], here)), end])
    const tally = mbind([area(at, 1), area(at + 4096, 1)])
    expect(told(tally)).toEqual(agrees)
    expect(tally.total.unanchored).toBe(1)
    expect(told(mbind([area(at, 1)])).agrees).toBe(false)
  })

  it("a mapping of a device that nobody knows is named", () => {
    const fd = { fd: { path: "/dev/dri/card0", dev: "00:05", ino: 9, size: 0, mode: "20666", flags: "02" } }
    const line = area(at, 2, "rw-s", "00000000 00:05 9 /dev/dri/card0")
    const tally = replay([exec(), call("mmap", [0, 0x2000, 3, 1, 5, 0], at, { ...fd, ...changed([], [line]) }), end])
    expect(told(tally)).toEqual({ agrees: false, unmodelled: { "mmap of /dev/dri/cardN": 1 } })
  })

  it("calls that leave maps alone are counted by their names", () => {
    const tally = replay([exec(), call("arch_prctl", [0x1002, at], 0), call("made_up", [], "ENOSYS"), end])
    expect(told(tally)).toEqual(agrees)
    expect([...tally.calls].map(([name, { other }]) => [name, other])).toEqual([
      ["arch_prctl", 1],
      ["made_up", 1]
    ])
  })

  it("a malformed line is reported with its number and skipped", () => {
    const tally = replay([
      exec(),
      mmap(at, 2),
      "{oops",
      call("munmap", [at, 0x2000], 0, changed([area(at, 2)], [])),
      end
    ])
    expect(told(tally)).toEqual({ agrees: true, malformedLines: [{ line: 3, why: "not JSON: cut off?" }] })
    expect(tally.malformed).toBe(1)
  })

  it("calls that are missing are counted by their numbers", () => {
    const text = JSON.stringify(exec())
    const at = (n: number) => JSON.stringify({ ...call("arch_prctl", [0], 0), n })
    const tally = replayText([text, at(5), at(6), at(9), at(10), at(12)].join("\n"))
    expect(tally.missing).toEqual({ calls: 3, line: 4 })
  })

  it("advice without a descriptor of a process is refused", () => {
    const advice = call("process_madvise", [0xffffffff, at, 1, 21, 0], "EBADF", { iov: ["0x1000", "0x1000"] })
    expect(told(replay([exec(), advice, end]))).toEqual(agrees)
  })

  it("a protection key changes the protection as without it; that it parts areas is assumed", () => {
    const high = TOP - 0x3000
    const withKey = (prot: number, gone: readonly string[], here: readonly string[]) => {
      const protect = call("pkey_mprotect", [high + 0x1000, 4096, prot, 1], 0, changed(gone, here))
      return told(replay([exec(), mmap(high, 3), protect, end]))
    }
    const parted = (perms: string) => [area(high, 1), area(high + 0x1000, 1, perms), area(high + 0x2000, 1)]
    expect(withKey(0, [area(high, 3)], parted("---p"))).toEqual(agrees)
    expect(withKey(0, [area(high, 3)], parted("r--p")).agrees).toBe(false)
    expect(withKey(3, [area(high, 3)], parted("rw-p"))).toEqual({
      agrees: true,
      assumed: { "bounds between areas of different protection keys": 1 }
    })
  })

  it("a log that contradicts itself does not agree", () => {
    const log = [exec(), mmap(at, 2), call("munmap", [at, 0x2000], 0, changed([area(at, 3)], [])), end]
    expect(told(replay(log))).toMatchObject({
      agrees: false,
      disagreements: [expect.stringContaining("3 log: the log takes away")]
    })
  })

  it("of a process that never began in the log nothing is determined", () => {
    const fork = { t: "clone", pid: PID, tid: PID, child: 101, cpid: 101, flags: "0x11", vm: 0 }
    const tally = replay([mmap(at, 2), fork, { ...mmap(at, 2), pid: 101, tid: 101 }, end])
    expect(told(tally)).toEqual(agrees)
    expect(tally.unanchored).toEqual(new Map([["the maps of processes that began before the log", 2]]))
  })
})

it("files that are opened again do not merge, and that is assumed only if the map says so", () => {
  const at = TOP - 0x4000
  const file = { fd: { path: "/tmp/file", dev: "fe:00", ino: 5, size: 65536, mode: "100644", flags: "02" } }
  const shared = (start: number, pages: number, offset: string) =>
    area(start, pages, "rw-s", `${offset} fe:00 5 /tmp/file`)
  const map = (start: number, offset: number, maps: object) =>
    call("mmap", [start, 4096, 3, 0x11, 5, offset], start, { ...file, ...maps })
  const reserve = mmap(at, 4, 0)
  const first = map(at, 0, changed([area(at, 4, "---p")], [shared(at, 1, "00000000"), area(at + 4096, 3, "---p")]))
  const rest = area(at + 4096, 3, "---p")
  const left = area(at + 8192, 2, "---p")
  const merges = map(at + 4096, 4096, changed([shared(at, 1, "00000000"), rest], [shared(at, 2, "00000000"), left]))
  const stays = map(at + 4096, 4096, changed([rest], [shared(at + 4096, 1, "00001000"), left]))
  expect(told(replay([exec(), reserve, first, merges, end]))).toEqual(agrees)
  expect(told(replay([exec(), reserve, first, stays, end]))).toEqual({
    agrees: true,
    assumed: { "files opened again": 1 }
  })
})

it("a segment has the number that the log gives it", () => {
  const at = TOP - 0x2000
  const line = area(at, 2, "rw-s", "00000000 00:01 32771 /SYSV00000000 (deleted)")
  const log = [
    exec(),
    call("shmget", [0, 0x2000, 0o1600], 32771),
    call("shmat", [32771, 0, 0], at, changed([], [line])),
    call("shmctl", [32771, 0, 0], 0),
    call("shmat", [4711, 0, 0], "EINVAL"),
    call("shmdt", [at], 0, changed([line], [])),
    end
  ]
  expect(told(replay(log))).toEqual(agrees)
})
