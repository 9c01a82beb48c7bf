/** System calls of programs on open files: second descriptors, reading and writing at an offset, pages of files. */
import { Effect, Fiber } from "effect"
import {
  Device,
  FallocFlags,
  Kernel,
  MapFlags,
  MemfdFlags,
  ProtFlags,
  SealFlags,
  Task,
  UffdFlags,
  Units
} from "pagewright"
import { describe, expect, it } from "vitest"
import { type Needs, checkTables, onKernel, one, pageAt, rw, withMemory } from "./support.ts"

/** Its errno, or "done". */
const tag = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.matchEffect(call, {
    onFailure: (e) => Effect.as(checkTables, e._tag),
    onSuccess: () => Effect.as(checkTables, "done")
  })

const device = Device.make({ open: Effect.void, mmap: () => Effect.void })

/** Runs `body` as a process with four pages of memory and an empty memory file; there is a device that is only mapped. */
const withFile = <A, E>(
  body: (fd: Task.Fd<never>, base: Units.PageAligned<Units.UserAddr>) => Effect.Effect<A, E, Task.Task | Needs>,
  flags = 0
) =>
  onKernel(
    Effect.andThen(
      Device.register("/dev/mute", device),
      withMemory(4, (_, base) => Effect.flatMap(Task.memfdCreate("m", flags), (fd) => body(fd, base)))
    )
  )

describe("Task.dup", () => {
  it("gives the lowest free descriptor of the same open file: one position, open until both are closed", () =>
    withFile((fd, base) =>
      Effect.gen(function* () {
        yield* Task.store64(base, 0x0807060504030201n)
        expect(yield* Task.pwrite(fd, base, 8, 0)).toBe(8)
        const other = yield* Task.dup(fd)
        expect([other.number, (yield* Task.dup(Task.fd(other.number))).number]).toEqual([fd.number + 1, fd.number + 2])
        yield* Task.read(fd, pageAt(base, 1), 2)
        yield* Task.close(fd)
        expect([yield* Task.read(other, pageAt(base, 1), 8), yield* Task.load8(pageAt(base, 1))]).toEqual([6, 3])
        expect((yield* Task.dup(other)).number).toBe(fd.number)
        const at = yield* Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd: other })
        expect(yield* Task.load8(at)).toBe(1)
      })
    ))

  it("answers with Linux's errno", () =>
    withFile((fd) =>
      Effect.gen(function* () {
        expect([yield* tag(Task.dup(Task.fd(99))), yield* tag(Task.dup(Task.fd(-1)))]).toEqual(["EBADF", "EBADF"])
        expect((yield* Effect.flip(Effect.forever(Task.dup(fd))))._tag).toBe("EMFILE")
        yield* checkTables
      })
    ))
})

describe("Task.pread and Task.pwrite", () => {
  it("move bytes between a file and memory, at any offset; who maps the file sees them", () =>
    withFile((fd, base) =>
      Effect.gen(function* () {
        const at = yield* Task.mmap({ length: 8192, prot: rw, flags: MapFlags.SHARED, fd })
        yield* Task.storeBytes(Units.raw(base) + 10, Uint8Array.of(1, 2, 3, 4))
        expect(yield* Task.pwrite(fd, Units.raw(base) + 10, 4, 4094)).toBe(4)
        expect([...(yield* Task.loadBytes(Units.raw(at) + 4093, 6))]).toEqual([0, 1, 2, 3, 4, 0])
        expect(yield* Task.pread(fd, pageAt(base, 1), 8192, 4095)).toBe(3)
        expect([...(yield* Task.loadBytes(pageAt(base, 1), 4))]).toEqual([2, 3, 4, 0])
        expect([yield* Task.pread(fd, base, 8, 4098), yield* Task.read(fd, base, 1)]).toEqual([0, 1])
      })
    ))

  it("end where the memory ends", () =>
    withFile((fd, base) =>
      Effect.gen(function* () {
        yield* Task.ftruncate(fd, 8192)
        const last = Units.raw(pageAt(base, 3))
        yield* Task.munmap(pageAt(base, 3), one)
        expect([yield* Task.pread(fd, last - 5, 100, 0), yield* Task.pwrite(fd, last - 5, 100, 0)]).toEqual([5, 5])
        expect([yield* tag(Task.pread(fd, last, 1, 0)), yield* tag(Task.pwrite(fd, last, 1, 0))]).toEqual([
          "EFAULT",
          "EFAULT"
        ])
      })
    ))

  it("answer with Linux's errno", () =>
    withFile(
      (fd, base) =>
        Effect.gen(function* () {
          const both = (file: Task.Fd<unknown>, offset: Units.UserAddr | number | bigint, length = 1) =>
            Effect.all([tag(Task.pread(file, base, length, offset)), tag(Task.pwrite(file, base, length, offset))])
          expect(yield* both(Task.fd(99), 0)).toEqual(["EBADF", "EBADF"])
          expect(yield* both(Task.fd(99), -1)).toEqual(["EINVAL", "EINVAL"])
          expect(yield* both(yield* Task.open(device, "rw"), 0)).toEqual(["EINVAL", "EINVAL"])
          expect(yield* both(yield* Task.open(device, "r"), 0, 0)).toEqual(["EINVAL", "EBADF"])
          expect(yield* both(yield* Task.memfdSecret, 0)).toEqual(["ESPIPE", "ESPIPE"])
          expect(yield* both(yield* Task.userfaultfd(0), 0)).toEqual(["ESPIPE", "ESPIPE"])
          expect(yield* both(yield* Task.open("/proc/self/maps", "rw"), 0)).toEqual(["done", "ESPIPE"])
          expect(yield* both(yield* Task.open("/proc/self/pagemap", "rw"), 0, 8)).toEqual(["done", "EINVAL"])
          const self = yield* Task.pidfdOpen((yield* Task.self).pid)
          for (const length of [0, 8]) expect(yield* both(self, 0, length)).toEqual(["EINVAL", "EINVAL"])
          expect(yield* tag(Task.pread(self, -1, 8, 0)), "the file is looked at before the memory").toBe("EINVAL")
          expect(yield* tag(Task.pwrite(fd, base, 1, 2 ** 42))).toBe("EFBIG")
          yield* Task.ftruncate(fd, 4096)
          yield* Task.addSeals(fd, SealFlags.GROW)
          expect([yield* Task.pwrite(fd, base, 4096, 0), yield* tag(Task.pwrite(fd, base, 1, 4096))]).toEqual([
            4096,
            "EPERM"
          ])
          yield* Task.addSeals(fd, SealFlags.WRITE)
          expect([yield* tag(Task.pwrite(fd, base, 1, 0)), yield* Task.pwrite(fd, base, 0, 0)]).toEqual(["EPERM", 0])
        }),
      MemfdFlags.ALLOW_SEALING
    ))

  it("out of memory there is no room", () =>
    withFile((fd, base) =>
      Effect.gen(function* () {
        const failed = yield* Effect.flip(Effect.forEach(Array(200).keys(), (i) => Task.pwrite(fd, base, 1, i * 4096)))
        expect(failed._tag).toBe("ENOSPC")
        yield* Task.ftruncate(fd, 0)
        expect(yield* Task.pwrite(fd, base, 1, 0)).toBe(1)
      })
    ))

  it("hold the file while they wait for memory, though its descriptor is closed meanwhile", () =>
    withFile((first, base) =>
      Effect.gen(function* () {
        const scratch = Units.raw(pageAt(base, 2))
        yield* Task.storeBytes(scratch, new Uint8Array(4096).fill(7))
        const ask = (uffd: Task.Fd<unknown>, command: number, ...words: number[]) =>
          Effect.andThen(
            Task.storeBytes(pageAt(base, 3), new Uint8Array(BigUint64Array.from(words, BigInt).buffer)),
            Task.ioctl(uffd, command, pageAt(base, 3))
          )
        yield* Task.close(first)
        for (const call of [Task.pread, Task.pwrite]) {
          const fd = yield* Task.memfdCreate("held")
          yield* Task.pwrite(fd, scratch, 4096, 0)
          yield* Task.pwrite(fd, scratch, 4096, 4096)
          const uffd = yield* Task.userfaultfd(0)
          yield* ask(uffd, UffdFlags.IOCTL_API, UffdFlags.API, 0, 0)
          yield* Task.munmap(base, 8192)
          yield* Task.mmap({ address: base, length: 8192, prot: rw, flags: anonymousFixed })
          yield* ask(uffd, UffdFlags.IOCTL_REGISTER, Units.raw(base), 8192, UffdFlags.REGISTER_MODE_MISSING, 0)
          const caller = yield* Effect.forkChild(call(fd, base, 8192, 0))
          yield* Effect.yieldNow
          yield* Task.close(fd)
          yield* checkTables
          for (const page of [0, 1]) {
            yield* ask(uffd, UffdFlags.IOCTL_COPY, Units.raw(pageAt(base, page)), scratch, 4096, 0, 0)
            yield* Effect.yieldNow
          }
          expect(yield* Fiber.join(caller)).toBe(8192)
          expect(yield* Task.load8(pageAt(base, 1))).toBe(7)
          yield* Task.close(uffd)
        }
      })
    ))
})

const anonymousFixed = MapFlags.PRIVATE | MapFlags.ANONYMOUS | MapFlags.FIXED

describe("Task.fallocate", () => {
  it("allocates pages, with or without a longer file, and punches holes that everybody sees", () =>
    withFile((fd, base) =>
      Effect.gen(function* () {
        yield* Task.fallocate(fd, FallocFlags.KEEP_SIZE, 0, 8192)
        expect(yield* Task.pread(fd, base, 1, 0)).toBe(0)
        yield* Task.fallocate(fd, 0, 4096, 4097)
        expect(yield* Task.pread(fd, base, 3 * 4096, 0)).toBe(8193)
        const at = yield* Task.mmap({ length: Units.pages(3), prot: rw, flags: MapFlags.SHARED, fd })
        yield* Task.storeBytes(at, new Uint8Array(8192).fill(9))
        yield* Task.fallocate(fd, FallocFlags.PUNCH_HOLE | FallocFlags.KEEP_SIZE, 4000, 4192)
        expect([...(yield* Task.loadBytes(Units.raw(at) + 3999, 2))]).toEqual([9, 0])
        expect(yield* Task.mincore(at, 3 * 4096)).toEqual([true, false, false])
        expect(yield* Task.load8(pageAt(at, 1))).toBe(0)
      })
    ))

  it("answers with Linux's errno", () =>
    withFile(
      (fd) =>
        Effect.gen(function* () {
          const of = (file: Task.Fd<unknown>, mode: number, offset = 0, length = 4096) =>
            tag(Task.fallocate(file, mode, offset, length))
          const { KEEP_SIZE, PUNCH_HOLE } = FallocFlags
          expect([yield* of(Task.fd(99), 0), yield* of(fd, 0, -1), yield* of(fd, 0, 0, 0)]).toEqual([
            "EBADF",
            "EINVAL",
            "EINVAL"
          ])
          expect([yield* of(fd, PUNCH_HOLE), yield* of(fd, 8), yield* of(fd, 1 << 20)]).toEqual([
            "EOPNOTSUPP",
            "EOPNOTSUPP",
            "EOPNOTSUPP"
          ])
          expect(yield* of(fd, 0, 2 ** 42)).toBe("EFBIG")
          expect([yield* of(yield* Task.open(device, "rw"), 0), yield* of(yield* Task.open(device, "r"), 0)]).toEqual([
            "ENODEV",
            "EBADF"
          ])
          expect(yield* of(yield* Task.memfdSecret, 0)).toBe("EOPNOTSUPP")
          expect(yield* of(yield* Task.memfdCreate("huge", MemfdFlags.HUGETLB), 0, 0, 2 ** 21)).toBe("ENOSPC")
          expect(yield* of(fd, 0, 0, 4096 * 200), "more than there is").toBe("ENOSPC")
          yield* Task.addSeals(fd, SealFlags.GROW)
          expect([yield* of(fd, 0), yield* of(fd, PUNCH_HOLE | KEEP_SIZE)]).toEqual(["EPERM", "done"])
          yield* Task.addSeals(fd, SealFlags.WRITE)
          expect(yield* of(fd, PUNCH_HOLE | KEEP_SIZE)).toBe("EPERM")
        }),
      MemfdFlags.ALLOW_SEALING
    ))

  it("of a file with a path: what was in it stays", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Kernel.createFile("/data", Uint8Array.of(1, 2, 3))
        yield* withMemory(1, (_, base) =>
          Effect.gen(function* () {
            const fd = yield* Task.open("/data", "rw")
            yield* Task.fallocate(fd, 0, 0, 8192)
            const at = yield* Task.mmap({ length: 8192, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
            expect([...(yield* Task.loadBytes(at, 4))]).toEqual([1, 2, 3, 0])
            expect(yield* Task.load8(pageAt(at, 1))).toBe(0)
            expect([yield* Task.pread(fd, base, 4096, 2), yield* Task.load16(base)]).toEqual([4096, 3])
            yield* checkTables
          })
        )
      })
    ))
})
