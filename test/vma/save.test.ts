/** Machines that are saved and restored: the same program goes on, objects are taken over, what cannot be saved says so. */
import { Effect, Fiber } from "effect"
import {
  AccessType,
  Device,
  Fail,
  Kernel,
  Lockdep,
  Mappable,
  MemoryFile,
  Range,
  Task,
  UffdFlags,
  Units,
  Userfaultfd
} from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, onKernel, rw, small } from "./support.ts"

const at = Units.va("0x7f0000000000")
const fixed = { address: at, flags: anonymous | 0x10, prot: rw }

/** One step of a program that keeps all it knows in its memory: a counter, and the sum of what it counted. */
const step = Effect.gen(function* () {
  const n = (yield* Task.load32(at)) + 1
  yield* Task.store32(at, n)
  yield* Task.store32(Units.raw(at) + 4096 * (n % 8), (yield* Task.load32(Units.raw(at) + 4096 * (n % 8))) + n)
  return n
})
const begin = Task.mmap({ ...fixed, length: 8 * 4096 })
const sum = Effect.gen(function* () {
  let total = 0
  for (let i = 1; i < 8; i++) total += yield* Task.load32(Units.raw(at) + 4096 * i)
  return total
})
const times = <A, E, R>(n: number, one: Effect.Effect<A, E, R>) => Effect.forEach(Array.from({ length: n }), () => one)

describe("a saved machine", () => {
  it("goes on where it was: the same program ends with the same result", () =>
    onKernel(
      Effect.gen(function* () {
        const whole = yield* Task.run("whole", Effect.andThen(begin, Effect.andThen(times(40, step), sum)))
        const bytes = yield* Task.run("half", Effect.andThen(begin, Effect.andThen(times(17, step), Kernel.save)))
        const rest = Effect.gen(function* () {
          const [process] = yield* Kernel.processes
          expect(process!.name).toBe("half")
          const total = yield* Task.resume(process!.pid, Effect.andThen(times(23, step), sum))
          expect(yield* Kernel.leaks).toEqual([])
          return total
        })
        expect(yield* Effect.provide(rest, Kernel.restore(bytes))).toBe(whole)
      })
    ))

  it("has its objects back when somebody takes them over by name, pages and mappings and all", () =>
    onKernel(
      Effect.gen(function* () {
        const heard: string[] = []
        const parts = Effect.gen(function* () {
          const file = yield* MemoryFile.make("bytes of the object")
          const object = yield* Mappable.make({
            name: "object",
            addMapping: ({ offset, range }) => void heard.push(`${Range.length(range)} from ${offset}`),
            translate: (ask) => ask.translation({ source: ask.required, file, offset: ask.required.start })
          })
          return { file, object }
        })
        const bytes = yield* Effect.gen(function* () {
          const { file, object } = yield* parts
          file.allocate(3)
          const identity = yield* Mappable.identity(object)
          return yield* Task.run(
            "owner",
            Effect.gen(function* () {
              yield* Mappable.map({ identity, length: 3 * 4096, addr: at, fixed: true, perms: AccessType.READ_WRITE })
              yield* Task.store8(at, 7)
              return yield* Kernel.save
            })
          )
        }).pipe(Effect.scoped)
        expect(heard).toEqual(["12288 from 0"])
        yield* Effect.gen(function* () {
          const [process] = yield* Kernel.processes
          yield* Task.resume(
            process!.pid,
            Effect.scoped(
              Effect.gen(function* () {
                expect(yield* Task.load8(at), "what was mapped is still there").toBe(7)
                const early = yield* Effect.flip(Task.load8(Units.raw(at) + 4096))
                expect(early).toMatchObject({ _tag: "SIGBUS" })
                const { file } = yield* parts
                expect(heard).toEqual(["12288 from 0", "12288 from 0"])
                file.mapInternal(Range.make(4096, 4097))[0]!.fill(9)
                expect(yield* Task.load8(Units.raw(at) + 4096)).toBe(9)
                yield* Task.munmap(at, 3 * 4096)
              })
            )
          )
          expect(yield* Kernel.leaks).toEqual([])
        }).pipe(Effect.provide(Kernel.restore(bytes)))
      })
    ))

  it("asks objects first to forget what would not survive, and is not saved where one cannot [G-MAP-17]", () =>
    onKernel(
      Effect.gen(function* () {
        let asked = 0
        let answer: Effect.Effect<void, Fail.Fail<"EBUSY">> = Effect.void
        yield* Mappable.make({
          name: "object",
          translate: () => [],
          invalidateUnsavable: Effect.suspend(() => {
            asked++
            return answer
          })
        })
        yield* Kernel.save
        expect(asked).toBe(1)
        answer = Fail.fail("EBUSY")
        const refused = yield* Effect.flip(Kernel.save)
        expect(refused.message).toBe(
          "this machine cannot be saved: object object cannot forget its translations: EBUSY"
        )
      })
    ))

  it("is not made of what has state elsewhere: open devices, memory files without a name, two of one name", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({ open: Effect.void })
        yield* Device.register("/dev/d", device)
        yield* MemoryFile.make("m")
        yield* MemoryFile.make("m")
        const nameless = yield* MemoryFile.make()
        nameless.allocate(1)
        const refused = yield* Task.run("opener", Effect.andThen(Task.open(device, "rw"), Effect.flip(Kernel.save)))
        expect(refused.reasons).toEqual([
          "/dev/d is open: its driver has the rest of its state",
          "1 memory files have no name to be restored by",
          "two memory files are called m"
        ])
      })
    ))

  it("has userfaultfds: the section that opened one is gone, its descriptor is open, and who resumes the process answers by ioctl", () =>
    onKernel(
      Effect.gen(function* () {
        const bytes = yield* Task.run(
          "guest",
          Effect.andThen(
            Effect.andThen(begin, Task.store8(at, 1)),
            Userfaultfd.open((fresh) =>
              Effect.gen(function* () {
                const uffd = yield* fresh.api(["PAGEFAULT_FLAG_WP"])
                const memory = yield* uffd.register(at, 4 * 4096, ["MISSING", "WP"])
                yield* memory.changeProtection(at, 4096, true)
                return yield* Kernel.save
              })
            )
          )
        )
        yield* Effect.gen(function* () {
          const [process] = yield* Kernel.processes
          const fd = Task.fd(0)
          expect(yield* Kernel.fdinfo(process!.pid, fd.number)).toContain("pending:\t0\ntotal:\t0\nAPI:\taa:80000001:")
          const seen = yield* Task.resume(
            process!.pid,
            Effect.gen(function* () {
              const struct = Units.raw(at) + 7 * 4096
              const ask = (command: number, ...words: number[]) =>
                Effect.andThen(
                  Effect.all(words.map((word, i) => Task.store64(struct + i * 8, BigInt(word)))),
                  Task.ioctl(fd, command, struct)
                )
              const next = Effect.gen(function* () {
                yield* Task.read(fd, struct, 32)
                return [yield* Task.load64(struct + 8), Number(yield* Task.load64(struct + 16)) - Units.raw(at)]
              })
              const writer = yield* Effect.forkChild(Task.store8(at, 2))
              const written = yield* next
              yield* ask(UffdFlags.IOCTL_WRITEPROTECT, Units.raw(at), 4096, 0)
              yield* Fiber.join(writer)
              const reader = yield* Effect.forkChild(Task.load8(Units.raw(at) + 3 * 4096))
              const missed = yield* next
              yield* ask(UffdFlags.IOCTL_COPY, Units.raw(at) + 3 * 4096, Units.raw(at) + 6 * 4096, 4096, 0)
              return [written, missed, yield* Fiber.join(reader), yield* Task.load8(at)]
            })
          )
          expect(seen).toEqual([[3n, 0], [0n, 3 * 4096], 0, 2])
          expect(yield* Kernel.leaks).toEqual([])
        }).pipe(Effect.provide(Kernel.restore(bytes)))
      })
    ))

  it("has no calls in flight: who waits for a userfaultfd is why there is none, in words", () =>
    onKernel(
      Task.run(
        "guest",
        Effect.andThen(
          begin,
          Userfaultfd.open((fresh) =>
            Effect.gen(function* () {
              const uffd = yield* fresh.api([])
              const memory = yield* uffd.register(at, 4 * 4096, ["MISSING"])
              const faulter = yield* Effect.forkChild(Task.load8(Units.raw(at) + 5))
              yield* uffd.readEvents()
              const refused = yield* Effect.flip(Kernel.save)
              expect(refused.message).toBe(
                "this machine cannot be saved: process 1 waits for a userfaultfd's answer to its fault at 0x7f0000000000"
              )
              yield* memory.zeroPage(at, 4096)
              yield* Fiber.join(faulter)
              yield* Kernel.save
            })
          )
        )
      )
    ))

  it("is refused whole: damaged, cut short, newer, or something else", () =>
    Lockdep.runTask(
      Effect.gen(function* () {
        const bytes = yield* Effect.provide(Kernel.save, Kernel.layer(small))
        const damaged = bytes.slice()
        damaged[bytes.length >> 1]! ^= 1
        for (const bad of [
          damaged,
          bytes.subarray(0, 99),
          new Uint8Array(0),
          new TextEncoder().encode("not a machine at all")
        ]) {
          const refused = yield* Effect.flip(Effect.provide(Kernel.processes, Kernel.restore(bad)))
          expect(refused.message).toMatch(/^no machine can be restored: it is (damaged|no saved machine)/)
        }
      }).pipe(Effect.orDie)
    ))
})
