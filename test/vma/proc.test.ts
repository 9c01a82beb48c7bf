/** /proc as programs read it: texts, words, queries, and files behind descriptors. */
import { Effect } from "effect"
import { Kernel, Lockdep, MapFlags, PagemapFlags, ProcmapFlags, ProtFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, onKernel, one, pageAt, rw, small, withMemory } from "./support.ts"

const PROCMAP_QUERY = 0xc0686611
const PAGEMAP_SCAN = 0xc0606610
const tag = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: (e): string => e._tag, onSuccess: () => "done" })

describe("/proc/self", () => {
  it("smaps, smaps_rollup, status and statm say what the process has", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          yield* Task.store8(base, 1)
          yield* Task.store8(pageAt(base, 1), 1)
          expect(yield* Task.smaps).toMatch(
            new RegExp(`^${Units.hex(base)}-\\w+ rw-p 00000000 00:00 0 \\nSize: +12 kB\\n[^]*?Rss: +8 kB\\n`, "m")
          )
          expect(yield* Task.smapsRollup).toMatch(/\[rollup\]\nRss: +8 kB\nPss: +8 kB\n/)
          expect(yield* Task.status).toMatch(/^VmPeak:\t +144 kB\nVmSize:\t +144 kB\n[^]*\nRssAnon:\t +8 kB\n/)
          expect(yield* Task.statm).toBe("36 2 0 0 0 36 0\n")
        })
      )
    ))

  it("another process's are read by its pid; of none they are empty", () =>
    onKernel(
      Effect.gen(function* () {
        const all = (pid: number) =>
          Effect.all([
            Kernel.maps(pid),
            Kernel.smaps(pid),
            Kernel.smapsRollup(pid),
            Kernel.status(pid),
            Kernel.statm(pid)
          ])
        for (const pid of [0, 7, -1, 0.5, NaN]) expect(yield* all(pid)).toEqual(["", "", "", "", ""])
        const own = Effect.all([Task.maps, Task.smaps, Task.smapsRollup, Task.status, Task.statm])
        yield* withMemory(2, (_, base) =>
          Effect.gen(function* () {
            yield* Task.store8(base, 1)
            const mine = yield* own
            expect(yield* Effect.flatMap(Task.self, ({ pid }) => all(pid))).toEqual(mine)
            const child = yield* Task.fork(Effect.never)
            const [maps] = yield* all(child.pid)
            expect(maps).toBe(mine[0])
            yield* Task.kill(child)
            expect(yield* all(child.pid)).toEqual(["", "", "", "", ""])
          })
        )
      })
    ))
})

describe("pagemap", () => {
  it("answers words as read(2) does: eights only, none behind user space", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          const at = (Units.raw(base) / 4096) * 8
          yield* Task.store8(base, 1)
          yield* Task.load8(pageAt(base, 1))
          const [first = 0n, second = 0n, third] = yield* Task.pagemap(at, 24)
          expect(first & ~PagemapFlags.PFRAME_MASK).toBe(PagemapFlags.PRESENT | PagemapFlags.MMAP_EXCLUSIVE)
          expect(first & PagemapFlags.PFRAME_MASK).not.toBe(0n)
          expect([second, third]).toEqual([PagemapFlags.PRESENT, 0n])
          for (const [position, length] of [
            [at + 1, 8],
            [at, 7],
            [at, Infinity],
            [at, -8],
            [-8, 8],
            [2n ** 63n - 8n, 8],
            [NaN, 1]
          ] as const)
            expect(yield* tag(Task.pagemap(position, length))).toBe("EINVAL")
          const end = (0x7ffffffff000 / 4096) * 8
          expect(yield* Task.pagemap(end - 8, 64)).toHaveLength(1)
          expect(yield* Task.pagemap(end, 64)).toHaveLength(0)
          expect(yield* Task.pagemap(2n ** 62n, 64)).toHaveLength(0)
        })
      )
    ))
})

describe("PROCMAP_QUERY", () => {
  it("finds a VMA by address and by what it must be", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Kernel.createFile("/data", 8192)
        yield* withMemory(2, (_, base) =>
          Effect.gen(function* () {
            const fd = yield* Task.open("/data", "r")
            const low = Units.raw(base) - 0x100000
            const flags = MapFlags.PRIVATE | MapFlags.FIXED
            yield* Task.mmap({ address: low, length: one, prot: ProtFlags.READ, flags, fd, offset: 4096 })
            const found = yield* Task.procmapQuery({ address: low - 1, flags: ProcmapFlags.COVERING_OR_NEXT_VMA })
            expect(found.inode).toBeGreaterThan(0)
            expect({ ...found, inode: 0 }).toEqual({
              start: low,
              end: low + 4096,
              flags: ProcmapFlags.VMA_READABLE,
              pageSize: 4096,
              offset: 4096n,
              device: { major: 0xfe, minor: 0 },
              inode: 0,
              name: "/data"
            })
            const writable = { flags: ProcmapFlags.VMA_WRITABLE | ProcmapFlags.COVERING_OR_NEXT_VMA }
            expect(yield* Task.procmapQuery({ address: 0, ...writable })).toMatchObject({
              start: base,
              name: undefined
            })
            expect((yield* Task.procmapQuery({ address: low, nameSize: 0 })).name).toBe(undefined)
            expect(yield* tag(Task.procmapQuery({ address: low - 1 }))).toBe("ENOENT")
            expect(yield* tag(Task.procmapQuery({ address: low, ...writable, flags: 64 }))).toBe("EINVAL")
            expect(yield* tag(Task.procmapQuery({ address: low, nameSize: 5 }))).toBe("ENAMETOOLONG")
          })
        )
      })
    ))
})

describe("files of /proc behind descriptors", () => {
  /** Stores 64-bit words. */
  const put = (at: Units.UserAddr, ...words: readonly (number | bigint)[]) =>
    Task.storeBytes(at, new Uint8Array(BigUint64Array.from(words, BigInt).buffer))

  it("take their ioctls with a struct in the process's memory", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          const maps = yield* Task.open("/proc/self/maps", "r")
          yield* put(base, 104, 0, Units.raw(base), ...Array<number>(10).fill(0))
          expect(yield* Task.ioctl(maps, PROCMAP_QUERY, base)).toBe(0)
          expect(yield* Task.load64(Units.raw(base) + 32)).toBe(BigInt(Units.raw(base) + 8192))
          expect(yield* tag(Task.ioctl(maps, PROCMAP_QUERY, 0))).toBe("EFAULT")
          yield* put(base, 4097)
          expect(yield* tag(Task.ioctl(maps, PROCMAP_QUERY, base))).toBe("E2BIG")
          expect(yield* tag(Task.ioctl(maps, 0x1234, base))).toBe("ENOTTY")
          const pagemap = yield* Task.open("/proc/self/pagemap", "r")
          const at = Units.raw(base)
          yield* put(base, 96, 0, at, at + 8192, 0, at + 128, 4, 0, 0, 8, 0, 8)
          expect(yield* Task.ioctl(pagemap, PAGEMAP_SCAN, base), "one range: the page of the struct").toBe(1)
          expect(yield* Task.load64(at + 136)).toBe(BigInt(at + 4096))
          expect(yield* tag(Task.ioctl(pagemap, 0x1234, base))).toBe("EINVAL")
          const mapped = Task.mmap({ length: one, prot: ProtFlags.READ, flags: MapFlags.PRIVATE, fd: maps })
          expect(yield* tag(mapped)).toBe("ENODEV")
          yield* Task.close(maps)
          yield* Task.close(pagemap)
        })
      )
    ))

  it("are there for a process that is, and outlive it: then its maps are nobody's", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          for (const path of ["/proc/999/maps", "/proc/self/mem", "/proc/0/maps", "/proc/self/maps/x"])
            expect(yield* tag(Task.open(path, "r"))).toBe("ENOENT")
          const child = yield* Task.fork(Effect.never)
          const file = yield* Task.open(`/proc/${child.pid}/maps`, "r")
          yield* put(base, 104, 0, Units.raw(base), ...Array<number>(10).fill(0))
          expect(yield* Task.ioctl(file, PROCMAP_QUERY, base)).toBe(0)
          yield* Task.kill(child)
          expect(yield* tag(Task.ioctl(file, PROCMAP_QUERY, base))).toBe("ESRCH")
        })
      )
    ))
})

describe("reading /proc", () => {
  it("waits for a writer of mmap_lock where the kernel does, and does not starve others", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          const readers = Effect.all([Task.maps, Task.smaps, Task.smapsRollup], { concurrency: "unbounded" })
          const writers = Effect.forEach([1, 2, 3], () =>
            Effect.flatMap(Task.mmap({ length: one, prot: rw, flags: anonymous }), (at) => Task.munmap(at, one))
          )
          const [texts] = yield* Effect.all([readers, writers], { concurrency: "unbounded" })
          for (const text of texts.slice(0, 2)) expect(text).toContain(`${Units.hex(base)}-`)
        })
      )
    ))

  it("a machine with the old system-call page shows it last", async () => {
    const program = Task.run("test", Task.maps)
    const options = { ...small, vsyscall: "xonly" } as const
    const shown = await Lockdep.runTask(program.pipe(Effect.orDie, Effect.provide(Kernel.layer(options))))
    expect(shown).toMatch(/\[stack\]\nffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 +\[vsyscall\]\n$/)
  })
})
