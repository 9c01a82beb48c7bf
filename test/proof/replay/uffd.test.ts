import { describe, expect, it } from "vitest"
import { area, call, changed, exec, mmap, PID, replay, told, TOP } from "./log.ts"

const agrees = { agrees: true }
const end = { t: "end", pid: PID, status: 0, sig: 0 }

describe("userfaultfds", () => {
  const at = TOP - 0x4000
  const fd = { path: "anon_inode:[userfaultfd]", dev: "00:10", ino: 9, size: 0, mode: "600", flags: "02000002" }
  const ioctl = (command: number, uffd: readonly number[], result: number | string = 0) =>
    call("ioctl", [4, command, 0x7ffe00000800], result, { fd, uffd: uffd.map((word) => `0x${word.toString(16)}`) })
  const opened = [
    exec(),
    call("userfaultfd", [0x80001], 4),
    ioctl(0xc018aa3f, [0xaa, 0x1ffff, 3]),
    mmap(at, 4),
    ioctl(0xc020aa00, [at, 0x2000, 1, 0x13c])
  ]
  const drift = (gone: readonly string[], here: readonly string[]) => ({
    t: "drift",
    pid: PID,
    tid: PID,
    ...changed(gone, here)
  })
  const parted = drift([area(at, 4)], [area(at, 2), area(at + 0x2000, 2)])
  const joined = drift([area(at, 2), area(at + 0x2000, 2)], [area(at, 4)])

  it("part areas when they are registered, and the log shows that before the next call", () => {
    expect(told(replay([...opened, parted, call("madvise", [at, 0x1000, 4], 0), end]))).toEqual(agrees)
    expect(told(replay([...opened, call("madvise", [at, 0x1000, 4], 0), end])).agrees).toBe(false)
  })

  it("join them when they are unregistered, and what may not be registered is refused", () => {
    const unregister = ioctl(0x8010aa01, [at, 0x2000])
    expect(told(replay([...opened, parted, unregister, joined, end]))).toEqual(agrees)
    const free = TOP - 0x8000
    expect(told(replay([...opened, parted, ioctl(0xc020aa00, [free, 0x1000, 1, 0], "EINVAL"), end]))).toEqual(agrees)
    expect(told(replay([...opened, parted, ioctl(0xc020aa00, [free, 0x1000, 1, 0]), end])).agrees).toBe(false)
  })

  it("join them when they are closed, which no call of memory tells: it is assumed", () => {
    expect(told(replay([...opened, parted, joined, end]))).toEqual({
      agrees: true,
      assumed: { "userfaultfds closed": 1 }
    })
  })
})
