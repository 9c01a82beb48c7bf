import { Deferred, Effect, Exit, Fiber } from "effect"
import { Kernel, MapFlags, Mm, ProtFlags, Task, Units, Userfaultfd } from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, checkTables, defectOf, one, onKernel, pageAt, rw, small, withMemory } from "./support.ts"

const tag = <A, E extends { readonly _tag: string }, R>(attempt: Effect.Effect<A, E, R>) =>
  attempt.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )

describe("Task", () => {
  it("loads and stores of every width agree, little endian, unaligned and across pages", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          for (const at of [0, 1, 4090, 4093, 4095, 8188].map((n) => Units.raw(base) + n)) {
            yield* Task.store64(at, 0x8899aabbccddeeffn)
            expect(yield* Task.load64(at)).toBe(0x8899aabbccddeeffn)
            expect(yield* Task.load32(at)).toBe(0xccddeeff)
            expect(yield* Task.load16(at + 2)).toBe(0xccdd)
            expect(yield* Task.load8(at + 7)).toBe(0x88)
            yield* Task.store16(at + 3, 0x1234)
            yield* Task.store8(at, 0)
            yield* Task.store32(at + 4, 0xfedcba98)
            expect([...(yield* Task.loadBytes(at, 8))]).toEqual([0x00, 0xee, 0xdd, 0x34, 0x98, 0xba, 0xdc, 0xfe])
          }
          const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i & 255)
          yield* Task.storeBytes(Units.raw(base) + 100, bytes)
          expect(yield* Task.loadBytes(Units.raw(base) + 100, 9000)).toEqual(bytes)
        })
      )
    ))

  it("accesses that wait at the same time keep their bytes apart, across pages too", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          const at = Units.raw(base)
          yield* Userfaultfd.open((fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              const memory = yield* uffd.register(at, 3 * 4096, ["MISSING"])
              const accesses = yield* Effect.forkChild(
                Effect.all(
                  [
                    Task.store64(at + 4092, 0x1122334455667788n),
                    Task.load64(at + 4080),
                    Task.store64(at + 8188, 0x99aabbccddeeff00n),
                    Task.load32(at + 4094 + 4096 - 8),
                    Task.loadBytes(at + 4000, 8),
                    Task.storeBytes(at + 8300, Uint8Array.of(1, 2, 3))
                  ],
                  { concurrency: "unbounded" }
                )
              )
              yield* Effect.yieldNow
              expect(yield* uffd.readEvents()).toHaveLength(6)
              yield* memory.copyPage(at, new Uint8Array(3 * 4096).fill(7))
              const [, first, , second, bytes] = yield* Fiber.join(accesses)
              expect([first, second, ...bytes]).toEqual([0x0707070707070707n, 0x07070707, 7, 7, 7, 7, 7, 7, 7, 7])
              expect(yield* Task.load64(at + 4092)).toBe(0x1122334455667788n)
              expect(yield* Task.load64(at + 8188)).toBe(0x99aabbccddeeff00n)
              expect([...(yield* Task.loadBytes(at + 8299, 5))]).toEqual([7, 1, 2, 3, 7])
            })
          )
        })
      )
    ))

  it("a bad access is a signal with its address: MAPERR, ACCERR, no address at all", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          yield* Task.mprotect(pageAt(base, 1), one, ProtFlags.READ)
          const upper = Units.raw(pageAt(base, 1))
          expect(yield* Effect.flip(Task.load8(0x10))).toEqual({ _tag: "SIGSEGV", code: "MAPERR", address: 0x10 })
          expect(yield* Effect.flip(Task.store8(upper + 5, 1))).toEqual({
            _tag: "SIGSEGV",
            code: "ACCERR",
            address: upper + 5
          })
          expect(yield* Effect.flip(Task.load8(2n ** 62n))).toEqual({ _tag: "SIGSEGV", code: "KERNEL", address: 0 })
          expect((yield* Effect.flip(Task.load8(NaN)))._tag).toBe("SIGSEGV")
          expect((yield* Effect.flip(Task.load8(-1)))._tag).toBe("SIGSEGV")
          // a piece that crosses into what may not be written changes nothing
          expect((yield* Effect.flip(Task.store64(upper - 4, -1n))).address).toBe(upper)
          expect(yield* Task.load32(upper - 4)).toBe(0)
        })
      )
    ))

  it("a file's pages end in SIGBUS", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Kernel.createFile(
          "/data",
          Uint8Array.from({ length: 5000 }, () => 7)
        )
        expect((yield* Effect.flip(Kernel.createFile("/data", 1)))._tag).toBe("EEXIST")
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open("/data", "r")
            const at = yield* Task.mmap({ length: Units.pages(3), prot: ProtFlags.READ, flags: MapFlags.PRIVATE, fd })
            expect([yield* Task.load8(Units.raw(at) + 4999), yield* Task.load8(Units.raw(at) + 5000)]).toEqual([7, 0])
            expect((yield* Effect.flip(Task.load8(pageAt(at, 2))))._tag).toBe("SIGBUS")
          })
        )
      })
    ))

  it("system calls take anything: units, numbers of any kind, bigints", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          const before = yield* Task.maps
          for (const bad of [NaN, -1, 0.5, Infinity, 2n ** 64n, -1n, 2 ** 60]) {
            expect(yield* tag(Task.munmap(bad, one))).toMatch(/EINVAL|done/)
            expect(yield* tag(Task.mmap({ length: bad, prot: rw, flags: anonymous }))).toMatch(/EINVAL|ENOMEM|done/)
            expect(yield* tag(Task.mprotect(bad, bad, bad))).toMatch(/EINVAL|ENOMEM|done/)
            yield* checkTables
          }
          for (const line of before.trim().split("\n")) expect(yield* Task.maps).toContain(line)
          yield* Task.munmap(BigInt(Units.raw(base)), 4096n)
          expect(yield* tag(Task.load8(base))).toBe("SIGSEGV")
        })
      )
    ))

  it("the heap grows by brk, and has its name in /proc/self/maps, like the stack", () =>
    onKernel(
      Task.run(
        "test",
        Effect.gen(function* () {
          const start = yield* Task.brk(0)
          const end = yield* Task.brk(Units.raw(start) + 8192)
          expect(Units.raw(end) - Units.raw(start)).toBe(8192)
          yield* Task.store8(start, 1)
          const maps = yield* Task.maps
          expect(maps).toMatch(/rw-p 00000000 00:00 0 +\[heap\]\n/)
          expect(maps).toMatch(/\[stack\]\n$/)
          yield* Task.setrlimit("DATA", 4096)
          expect(yield* Task.brk(Units.raw(start) + 65536)).toBe(end)
        })
      )
    ))

  it("a forked child has a copy; what one writes the other does not see, unless it is shared", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          const both = yield* Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED | MapFlags.ANONYMOUS })
          yield* Task.store8(base, 1)
          const child = yield* Task.fork(
            Effect.gen(function* () {
              yield* Task.store8(base, 2)
              yield* Task.store8(both, 2)
              return [(yield* Task.self).name, yield* Task.load8(base)]
            }),
            "child"
          )
          expect(child.pid).not.toBe((yield* Task.self).pid)
          expect(yield* Task.wait(child)).toEqual(["child", 2])
          expect([yield* Task.load8(base), yield* Task.load8(both)]).toEqual([1, 2])
        })
      )
    ))

  it("exit lets go of everything; what the program asks afterwards is refused", () =>
    onKernel(
      Effect.gen(function* () {
        let late = ""
        const program = Effect.gen(function* () {
          yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
          return yield* Effect.onExit(Task.exit(300), () =>
            Effect.map(defectOf(Task.load8(0)), (said) => (late = said))
          )
        })
        expect(yield* Effect.flip(Task.run("test", program))).toEqual({ _tag: "Exited", status: 44 })
        expect(late).toMatch(/process \d+ \(test\) has ended/)
        expect(yield* Kernel.leaks).toEqual([])
      })
    ))

  it("a signal that nobody handles ends the process, and is its failure", () =>
    onKernel(
      Effect.gen(function* () {
        const child = yield* Task.spawn("crashing", Task.store8(0, 1))
        expect((yield* Effect.flip(Task.wait(child)))._tag).toBe("SIGSEGV")
      })
    ))

  it("a killed process lets go of everything, also while it waits and while its children run", () =>
    onKernel(
      Effect.gen(function* () {
        const child = yield* Task.spawn(
          "killed",
          Effect.gen(function* () {
            yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
            yield* Task.fork(Effect.never, "grandchild")
            yield* Effect.forkChild(Effect.forever(Effect.andThen(Task.brk(0), Effect.yieldNow)))
            return yield* Effect.never
          })
        )
        yield* Effect.yieldNow
        yield* Task.kill(child)
        expect(yield* Kernel.leaks).toEqual([])
        expect(yield* Kernel.maps(child.pid)).toBe("")
      })
    ))

  it("a fiber that the program left behind cannot outlive the process's locks", () =>
    onKernel(
      Effect.gen(function* () {
        const go = yield* Deferred.make<void>()
        const left = yield* withMemory(1, (_, base) =>
          Effect.map(
            Effect.forkDetach(Effect.andThen(Deferred.await(go), Task.munmap(base, one))),
            (fiber) => [fiber] as const
          )
        )
        yield* Deferred.succeed(go, undefined)
        expect(Exit.isFailure(yield* Fiber.await(left[0]))).toBe(true)
      })
    ))

  it("processes beside each other have address spaces of their own", () =>
    onKernel(
      Effect.gen(function* () {
        const life = (n: number) =>
          withMemory(1, (mm, base) =>
            Effect.gen(function* () {
              yield* Task.store32(base, n)
              yield* Effect.yieldNow
              return [yield* Task.load32(base), Units.raw(base), (yield* Mm.stat(mm)).rss.anon] as const
            })
          )
        const [a, b] = yield* Effect.all([life(1), life(2)], { concurrency: "unbounded" })
        expect([a[0], b[0], a[2], b[2]]).toEqual([1, 2, 1, 1])
        expect(a[1]).toBe(b[1])
      })
    ))

  it("cpu() loads and stores with no effect an access, and says what it could not do", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          const cpu = yield* Task.cpu()
          const at = Units.raw(base)
          cpu.resume()
          cpu.store32(at + 4094, 0x01020304)
          expect([cpu.load8(at + 4094), cpu.load32(at + 4094), cpu.takeFault()]).toEqual([4, 0x01020304, undefined])
          expect(yield* Task.load32(at + 4094)).toBe(0x01020304)
          cpu.store64(at + 4092, 0x1122334455667788n)
          expect([cpu.load64(at + 4092), cpu.load16(at + 4095), cpu.takeFault()]).toEqual([
            0x1122334455667788n,
            0x4455,
            undefined
          ])
          cpu.store16(at + 4095, 0xabcd)
          expect([cpu.load16(at + 4095), cpu.load32(at + 4096)]).toEqual([0xabcd, 0x112233ab])
          cpu.store64(at + 2 * 4096 - 3, 0xffff_ffff_ffff_ffffn)
          expect(cpu.takeFault()).toEqual({ _tag: "SIGSEGV", code: "MAPERR", address: at + 2 * 4096 })
          expect(cpu.load8(at + 2 * 4096 - 3)).toBe(0)
          cpu.load8(0x10)
          expect(cpu.takeFault()).toEqual({ _tag: "SIGSEGV", code: "MAPERR", address: 0x10 })
          expect(cpu.takeFault()).toBeUndefined()
        })
      )
    ))

  it("no room for a process, or for its tables: EAGAIN, ENOMEM, and nothing is left", () =>
    onKernel(
      Effect.gen(function* () {
        const pids: Array<number> = []
        const nested: Effect.Effect<string, never, Kernel.Kernel> = Effect.suspend(() =>
          Task.run(
            "deep",
            Effect.flatMap(Task.self, ({ pid }) => (pids.push(pid), nested))
          ).pipe(Effect.catch((e) => Effect.succeed(e._tag)))
        )
        expect(yield* nested).toMatch(/EAGAIN|ENOMEM/)
        expect(pids.length).toBeGreaterThan(1)
      }),
      { ...small, tables: { ...small.tables, maxMms: 8 } }
    ))

  it("walk shows every level, and stops where one is missing", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          expect((yield* Task.walk(base)).at(-1)).toMatch(/none$/)
          yield* Task.store8(base, 1)
          const lines = yield* Task.walk(base)
          expect(lines.map((line) => line.slice(0, 3))).toEqual(["pgd", "pud", "pmd", "pte"])
          expect(lines[3]).toMatch(/-> frame \d+, present write/)
        })
      )
    ))
})
