/** Memory that has no path: files of memfd_create and memfd_secret, System V segments. */
import { Effect } from "effect"
import { Kernel, MapFlags, MemfdFlags, SealFlags, ShmFlags, Task, Units } from "pagewright"
import { describe, expect, it } from "vitest"
import { checkTables, onKernel, one, pageAt, rw, small, withMemory } from "./support.ts"

const tag = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.matchEffect(call, {
    onFailure: (e) => Effect.as(checkTables, e._tag),
    onSuccess: () => Effect.as(checkTables, "done")
  })
const asTask = <A, E, R>(program: Effect.Effect<A, E, R>) => withMemory(1, () => program)

describe("files in memory", () => {
  it("have a name in /proc, a size, and two processes see each other's writes", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const fd = yield* Task.memfdCreate("ring", MemfdFlags.CLOEXEC)
          const at = yield* Task.mmap({ length: 8192, prot: rw, flags: MapFlags.SHARED, fd })
          expect(yield* tag(Task.store8(at, 1))).toBe("SIGBUS")
          yield* Task.ftruncate(fd, 5000)
          expect(yield* Task.maps).toMatch(/rw-s 00000000 00:01 \d+ +\/memfd:ring \(deleted\)\n/)
          const child = yield* Task.fork(Task.store8(pageAt(at, 1), 7))
          yield* Task.wait(child)
          expect(yield* Task.load8(pageAt(at, 1))).toBe(7)
          yield* Task.ftruncate(fd, 4096)
          expect(yield* tag(Task.load8(pageAt(at, 1)))).toBe("SIGBUS")
          yield* Task.close(fd)
          expect([yield* Task.load8(at), yield* tag(Task.ftruncate(fd, 0))]).toEqual([0, "EBADF"])
        })
      )
    ))

  it("are sealed against what their users agreed on", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const fd = yield* Task.memfdCreate("frozen", MemfdFlags.ALLOW_SEALING)
          yield* Task.ftruncate(fd, 4096)
          const at = yield* Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd })
          expect(yield* tag(Task.addSeals(fd, SealFlags.WRITE))).toBe("EBUSY")
          yield* Task.munmap(at, one)
          yield* Task.addSeals(fd, SealFlags.WRITE | SealFlags.SHRINK)
          expect(yield* Task.getSeals(fd)).toBe(SealFlags.WRITE | SealFlags.SHRINK)
          expect(yield* tag(Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd }))).toBe("EPERM")
          expect(yield* tag(Task.ftruncate(fd, 0))).toBe("EPERM")
          yield* Task.ftruncate(fd, 8192)
          yield* Task.addSeals(fd, SealFlags.SEAL)
          expect(yield* tag(Task.addSeals(fd, SealFlags.GROW))).toBe("EPERM")
          expect(yield* tag(Task.addSeals(fd, 64))).toBe("EINVAL")
        })
      )
    ))

  it("answer with Linux's errno", () =>
    onKernel(
      Effect.gen(function* () {
        yield* Kernel.createFile("/plain", 1)
        yield* asTask(
          Effect.gen(function* () {
            expect(yield* tag(Task.memfdCreate("x", 1 << 20))).toBe("EINVAL")
            expect(yield* tag(Task.memfdCreate("x".repeat(250)))).toBe("EINVAL")
            expect(yield* tag(Task.memfdCreate("x", MemfdFlags.EXEC))).toBe("EACCES")
            expect(yield* tag(Task.memfdCreate("x", MemfdFlags.HUGETLB | (13 * 2 ** 26)))).toBe("ENODEV")
            const plain = yield* Task.open("/plain", "rw")
            expect([yield* tag(Task.getSeals(plain)), yield* tag(Task.getSeals(Task.fd(99)))]).toEqual([
              "EINVAL",
              "EBADF"
            ])
            expect(yield* tag(Task.ftruncate(plain, -1))).toBe("EINVAL")
            expect(yield* tag(Task.ftruncate(plain, 2n ** 62n))).toBe("EFBIG")
            let made = 0
            const failed = yield* Effect.flip(
              Effect.forever(Effect.tap(Task.memfdSecret, () => Effect.sync(() => made++)))
            )
            expect([failed._tag, made > 0]).toEqual(["ENFILE", true])
          })
        )
      }),
      { ...small, sysctl: { memfdNoexec: 2 } }
    ))

  it("secret memory is locked, mapped shared, and sized once", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const fd = yield* Task.memfdSecret
          yield* Task.ftruncate(fd, 4096)
          expect(yield* tag(Task.ftruncate(fd, 8192))).toBe("EINVAL")
          expect(yield* tag(Task.mmap({ length: one, prot: rw, flags: MapFlags.PRIVATE, fd }))).toBe("EINVAL")
          const at = yield* Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED, fd })
          yield* Task.store32(at, 5)
          expect([yield* Task.load32(at), yield* Task.status]).toEqual([5, expect.stringMatching(/VmLck:\s+4 kB/)])
        })
      )
    ))
})

describe("System V segments", () => {
  it("are found by key, shared by whoever attaches, and go with the last one after their removal", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const id = yield* Task.shmget(0x5e9, 5000, ShmFlags.CREAT | 0o600)
          const at = yield* Task.shmat(id)
          yield* Task.store32(at, 42)
          expect(yield* Task.maps).toMatch(/rw-s 00000000 00:01 \d+ +\/SYSV000005e9 \(deleted\)\n/)
          const child = yield* Task.spawn(
            "other",
            Effect.gen(function* () {
              const same = yield* Task.shmget(0x5e9, 0)
              const there = yield* Task.shmat(same, 0, ShmFlags.RDONLY)
              expect(yield* tag(Task.store8(there, 1))).toBe("SIGSEGV")
              return [same, yield* Task.load32(there), (yield* Task.shmStat(same)).attachments, (yield* Task.self).pid]
            })
          )
          const [same, seen, both, pid] = yield* Task.wait(child)
          expect([same, seen, both]).toEqual([id, 42, 2])
          const me = (yield* Task.self).pid
          expect(yield* Task.shmStat(id)).toEqual({
            attachments: 1,
            creator: me,
            creatorGid: 0,
            creatorUid: 0,
            gid: 0,
            id,
            key: 0x5e9,
            last: pid,
            mode: 0o600,
            size: 5000,
            uid: 0
          })
          yield* Task.shmRemove(id)
          expect([yield* tag(Task.shmget(0x5e9, 0)), (yield* Task.shmStat(id)).mode]).toEqual(["ENOENT", 0o1600])
          yield* Task.shmdt(at)
          expect(yield* tag(Task.shmStat(id))).toBe("EINVAL")
        })
      )
    ))

  it("stay when nobody is left, and a leak check says so", () =>
    onKernel(
      Effect.gen(function* () {
        const id = yield* asTask(Task.shmget(ShmFlags.PRIVATE, 4096, 0o600))
        expect(yield* Kernel.leaks).toEqual(["1 shared memory segment is left"])
        yield* asTask(Task.shmRemove(id))
      })
    ))

  it("are in a saved machine", () =>
    onKernel(
      Effect.gen(function* () {
        const store = Effect.gen(function* () {
          const at = yield* Task.shmat(yield* Task.shmget(9, 4096, ShmFlags.CREAT | 0o600))
          yield* Task.store32(at, 77)
          yield* Task.shmdt(at)
        })
        yield* asTask(store)
        const bytes = yield* Kernel.save
        const remove = Effect.flatMap(Task.shmget(9, 0), Task.shmRemove)
        yield* asTask(remove)
        const found = yield* Effect.provide(
          Effect.gen(function* () {
            const value = yield* asTask(
              Effect.gen(function* () {
                return yield* Task.load32(yield* Task.shmat(yield* Task.shmget(9, 0)))
              })
            )
            yield* asTask(remove)
            return [value, yield* Kernel.leaks]
          }),
          Kernel.restore(bytes)
        )
        expect(found).toEqual([77, []])
      })
    ))

  it("answer with Linux's errno", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const id = yield* Task.shmget(1, 8192, ShmFlags.CREAT | 0o400)
          expect(yield* tag(Task.shmget(1, 8192, ShmFlags.CREAT | ShmFlags.EXCL))).toBe("EEXIST")
          expect(yield* tag(Task.shmget(1, 8193))).toBe("EINVAL")
          expect(yield* tag(Task.shmget(2, 8192))).toBe("ENOENT")
          expect(yield* tag(Task.shmget(0, 3 * 4096))).toBe("ENOSPC")
          expect(yield* tag(Task.shmget(0, 4 * 4096 + 1))).toBe("EINVAL")
          expect(yield* tag(Task.shmget(0, one, ShmFlags.HUGETLB))).toBe("ENOMEM")
          expect(yield* tag(Task.shmat(99))).toBe("EINVAL")
          expect(yield* tag(Task.shmat(id, 1))).toBe("EINVAL")
          const at = yield* Task.shmat(id)
          expect(yield* tag(Task.shmat(id, at))).toBe("EINVAL")
          expect(yield* tag(Task.shmat(id, at, ShmFlags.REMAP))).toBe("done")
          yield* Task.mseal(at, 8192)
          expect(yield* tag(Task.shmat(id, at, ShmFlags.REMAP))).toBe("EPERM")
          expect(yield* tag(Task.shmdt(Units.raw(at) + 4096))).toBe("EINVAL")
          expect(yield* tag(Task.shmSet(id, { uid: -1, gid: 0, mode: 0 }))).toBe("EINVAL")
          yield* Task.shmLock(id)
          expect((yield* Task.shmStat(id)).mode).toBe(0o2400)
          yield* Task.shmUnlock(id)
          expect([yield* tag(Task.shmLock(7)), yield* tag(Task.shmUnlock(7)), yield* tag(Task.shmRemove(7))]).toEqual(
            Array(3).fill("EINVAL")
          )
          yield* Task.shmSet(id, { uid: 5, gid: 0, mode: 0o400 })
          yield* Task.setrlimit("MEMLOCK", 0)
          yield* Task.capset([])
          expect(yield* tag(Task.shmat(id))).toBe("EACCES")
          expect(yield* tag(Task.shmget(0, one, ShmFlags.HUGETLB))).toBe("EPERM")
          expect(yield* tag(Task.shmLock(id))).toBe("EPERM")
          yield* Task.shmRemove(id)
        })
      ),
      { ...small, sysctl: { shmall: 4, shmmax: 4 * 4096 } }
    ))

  it("whoever has no permission hears nothing of one", () =>
    onKernel(
      asTask(
        Effect.gen(function* () {
          const id = yield* Task.shmget(ShmFlags.PRIVATE, 4096, 0)
          yield* Task.capset([])
          expect(yield* tag(Task.shmStat(id))).toBe("EACCES")
          yield* Task.shmSet(id, { uid: 0, gid: 0, mode: 0o444 })
          expect((yield* Task.shmStat(id)).mode).toBe(0o444)
          expect(yield* tag(Task.shmat(id, 0, ShmFlags.RDONLY))).toBe("done")
          yield* Task.shmRemove(id)
        })
      )
    ))
})
