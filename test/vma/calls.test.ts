/** System calls of programs, on memory that is mapped: what they do, and what they answer with otherwise. */
import { Effect } from "effect"
import {
  AdviceFlags,
  Device,
  Fail,
  Kernel,
  MapFlags,
  MlockallFlags,
  MlockFlags,
  MremapFlags,
  MsyncFlags,
  Page,
  PrctlFlags,
  ProtFlags,
  Task,
  Units
} from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, checkTables, onKernel, one, pageAt, rw, withMemory } from "./support.ts"

/** Its errno, or "done". */
const tag = <A, E extends { readonly _tag: string }, R>(call: Effect.Effect<A, E, R>) =>
  Effect.matchEffect(call, {
    onFailure: (e) => Effect.as(checkTables, e._tag),
    onSuccess: () => Effect.as(checkTables, "done")
  })

describe("Task.mremap", () => {
  it("grows, moves and shrinks memory, with what is in it", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          yield* Task.store32(base, 7)
          const beyond = Units.raw(pageAt(base, 2))
          yield* Task.mmap({ address: beyond, length: one, prot: rw, flags: anonymous | MapFlags.FIXED })
          yield* Task.mprotect(beyond, one, ProtFlags.READ)
          const grow = { address: base, oldLength: Units.pages(2), newLength: Units.pages(4) }
          expect(yield* tag(Task.mremap(grow))).toBe("ENOMEM")
          const moved = yield* Task.mremap({ ...grow, flags: MremapFlags.MAYMOVE })
          expect([yield* Task.load32(moved), yield* tag(Task.load32(base))]).toEqual([7, "SIGSEGV"])
          const back = yield* Task.mremap({
            address: moved,
            oldLength: Units.pages(4),
            newLength: Units.pages(2),
            flags: MremapFlags.MAYMOVE | MremapFlags.FIXED,
            newAddress: base
          })
          expect([back, yield* Task.load32(base)]).toEqual([base, 7])
          expect(yield* Task.mremap({ address: base, oldLength: 8192, newLength: 4096 })).toBe(base)
          expect(yield* tag(Task.load32(pageAt(base, 1)))).toBe("SIGSEGV")
          yield* checkTables
        })
      )
    ))

  it("answers with Linux's errno", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          const same = { address: base, oldLength: one, newLength: one }
          expect(yield* tag(Task.mremap({ ...same, address: 1 }))).toBe("EINVAL")
          expect(yield* tag(Task.mremap({ ...same, flags: 8 }))).toBe("EINVAL")
          expect(yield* tag(Task.mremap({ ...same, address: 0 }))).toBe("EFAULT")
          yield* Task.mseal(base, one)
          expect(yield* tag(Task.mremap(same))).toBe("EPERM")
        })
      )
    ))

  it("is refused by the driver whose area it would split; so are other calls that split", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({
          open: Effect.void,
          mmap: () => Effect.void,
          vmOps: { maySplit: () => Fail.fail("EBUSY") }
        })
        yield* Device.register("/dev/whole", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "rw")
            const at = yield* Task.mmap({ length: 8192, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
            expect(yield* tag(Task.mremap({ address: at, oldLength: 8192, newLength: 4096 }))).toBe("EBUSY")
            expect(yield* tag(Task.madvise(at, one, AdviceFlags.DONTFORK))).toBe("EBUSY")
            expect(yield* tag(Task.mlock(at, one))).toBe("EBUSY")
            expect(yield* tag(Task.mseal(at, one))).toBe("EBUSY")
            yield* Task.mlock(at, 8192, MlockFlags.ONFAULT)
            expect(yield* tag(Task.munlock(at, one))).toBe("EBUSY")
          })
        )
      })
    ))
})

describe("Task.remapFilePages", () => {
  it("maps another part of the file in place of what is there", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          const fd = yield* Task.memfdCreate("m")
          yield* Task.ftruncate(fd, 4 * 4096)
          const at = yield* Task.mmap({ length: Units.pages(4), prot: rw, flags: MapFlags.SHARED, fd })
          for (const page of [0, 1, 2, 3]) yield* Task.store8(pageAt(at, page), page + 1)
          yield* Task.remapFilePages(pageAt(at, 1), 8192, 0, 2)
          yield* checkTables
          const bytes = Effect.forEach([0, 1, 2, 3], (page) => Task.load8(pageAt(at, page)))
          expect(yield* bytes).toEqual([1, 3, 4, 4])
          yield* Task.remapFilePages(at, one, 0, 4, MapFlags.NONBLOCK)
          expect(yield* tag(Task.load8(at)), "behind its end").toBe("SIGBUS")
        })
      )
    ))

  it("answers with Linux's errno, or with its driver's", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          expect(yield* tag(Task.remapFilePages(base, one, 0, 0)), "private").toBe("EINVAL")
          const shared = yield* Task.mmap({ length: 8192, prot: rw, flags: MapFlags.SHARED | MapFlags.ANONYMOUS })
          expect(yield* tag(Task.remapFilePages(shared, one, ProtFlags.READ, 0))).toBe("EINVAL")
          expect(yield* tag(Task.remapFilePages(shared, 4095, 0, 0))).toBe("EINVAL")
          expect(yield* tag(Task.remapFilePages(shared, 3 * 4096, 0, 0))).toBe("EINVAL")
          expect(yield* tag(Task.remapFilePages(shared, one, 0, 2 ** 52))).toBe("EOVERFLOW")
          yield* Task.mseal(shared, one)
          expect(yield* tag(Task.remapFilePages(shared, one, 0, 1))).toBe("EPERM")
          let left = 1
          const once = Device.make({
            open: Effect.void,
            mmap: () => (left-- > 0 ? Effect.void : Fail.fail("EBUSY"))
          })
          yield* Device.register("/dev/once", once)
          const fd = yield* Task.open(once, "rw")
          const at = yield* Task.mmap({ length: 8192, prot: rw, flags: MapFlags.SHARED, fd })
          expect(yield* tag(Task.remapFilePages(at, one, 0, 1))).toBe("EBUSY")
          expect(yield* tag(Task.mincore(at, one)), "what was there is gone").toBe("ENOMEM")
        })
      )
    ))
})

describe("Task.madvise and Task.mincore", () => {
  it("drop pages, fault them in, and say which are there", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          yield* Task.madvise(base, 8192, AdviceFlags.POPULATE_WRITE)
          expect(yield* Task.mincore(base, 3 * 4096)).toEqual([true, true, false])
          yield* Task.store8(base, 9)
          yield* Task.madvise(base, one, AdviceFlags.DONTNEED)
          expect(yield* Task.mincore(base, 4097)).toEqual([false, true])
          expect(yield* Task.load8(base)).toBe(0)
        })
      )
    ))

  it("answer with Linux's errno", () =>
    onKernel(
      withMemory(3, (_, base) =>
        Effect.gen(function* () {
          const bad = pageAt(base, 1)
          expect(yield* tag(Task.madvise(base, one, 77))).toBe("EINVAL")
          expect(yield* tag(Task.mincore(1, one))).toBe("EINVAL")
          yield* Task.mprotect(bad, one, ProtFlags.NONE)
          expect(yield* tag(Task.madvise(base, 8192, AdviceFlags.POPULATE_READ))).toBe("EINVAL")
          yield* Task.mseal(bad, one)
          expect(yield* tag(Task.madvise(base, 8192, AdviceFlags.DONTNEED))).toBe("EPERM")
          yield* Task.madvise(base, one, AdviceFlags.GUARD_INSTALL)
          expect(yield* tag(Task.madvise(base, one, AdviceFlags.POPULATE_READ))).toBe("EFAULT")
          expect(yield* tag(Task.load8(base))).toBe("SIGSEGV")
          const shared = yield* Task.mmap({ length: one, prot: rw, flags: MapFlags.SHARED | MapFlags.ANONYMOUS })
          yield* Task.madvise(shared, one, AdviceFlags.REMOVE)
          expect(yield* tag(Task.madvise(pageAt(base, 2), one, AdviceFlags.REMOVE))).toBe("EINVAL")
          yield* Task.munmap(pageAt(base, 2), one)
          expect(yield* tag(Task.madvise(pageAt(base, 2), one, AdviceFlags.NORMAL))).toBe("ENOMEM")
          expect(yield* tag(Task.mincore(pageAt(base, 2), one))).toBe("ENOMEM")
        })
      )
    ))

  it("a page that its driver does not give stops population", () =>
    onKernel(
      Effect.gen(function* () {
        const device = Device.make({
          open: Page.allocPage("GFP_KERNEL|__GFP_ZERO"),
          kind: "mixedmap",
          mmap: () => Effect.void,
          vmOps: { fault: () => Fail.fail("EIO") }
        })
        yield* Device.register("/dev/broken", device)
        yield* Task.run(
          "test",
          Effect.gen(function* () {
            const fd = yield* Task.open(device, "r")
            const at = yield* Task.mmap({ length: one, prot: ProtFlags.READ, flags: MapFlags.SHARED, fd })
            expect(yield* tag(Task.madvise(at, one, AdviceFlags.POPULATE_READ))).toBe("EFAULT")
            expect(yield* tag(Task.load8(at))).toBe("SIGBUS")
          })
        )
      })
    ))
})

describe("Task.mlock and its family", () => {
  const lockedKb = Effect.map(Task.status, (text) => Number(/VmLck:\s+(\d+)/.exec(text)![1]))

  it("keep memory, and count it", () =>
    onKernel(
      withMemory(4, (_, base) =>
        Effect.gen(function* () {
          yield* Task.mlock(pageAt(base, 1), 1)
          expect([yield* lockedKb, yield* Task.mincore(base, 4 * 4096)]).toEqual([4, [false, true, false, false]])
          yield* Task.mlock(pageAt(base, 2), one, MlockFlags.ONFAULT)
          expect([yield* lockedKb, yield* Task.mincore(pageAt(base, 2), one)]).toEqual([8, [false]])
          yield* Task.munlock(base, 4 * 4096)
          expect(yield* lockedKb).toBe(0)
          yield* Task.mlockall(MlockallFlags.CURRENT | MlockallFlags.FUTURE)
          expect(yield* Task.mincore(base, 4 * 4096)).toEqual([true, true, true, true])
          const before = yield* lockedKb
          yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
          expect((yield* lockedKb) - before).toBe(4)
          yield* Task.munlockall
          expect(yield* lockedKb).toBe(0)
          yield* Task.mmap({ length: one, prot: rw, flags: anonymous })
          expect(yield* lockedKb).toBe(0)
        })
      )
    ))

  it("have their limit where CAP_IPC_LOCK is gone", () =>
    onKernel(
      withMemory(4, (_, base) =>
        Effect.gen(function* () {
          yield* Task.setrlimit("MEMLOCK", 8192)
          yield* Task.mlock(base, 3 * 4096)
          yield* Task.munlockall
          yield* Task.capset(["SYS_ADMIN"])
          expect(yield* tag(Task.capset(["IPC_LOCK"]))).toBe("EPERM")
          expect(yield* tag(Task.mlock(base, 3 * 4096))).toBe("ENOMEM")
          expect(yield* tag(Task.mlockall(MlockallFlags.CURRENT))).toBe("ENOMEM")
          yield* Task.mlock(base, 8192)
          const grow = { address: base, oldLength: 8192, newLength: 3 * 4096, flags: MremapFlags.MAYMOVE }
          expect(yield* tag(Task.mremap(grow))).toBe("EAGAIN")
          yield* Task.setrlimit("MEMLOCK", 0)
          expect(yield* tag(Task.mlock(base, one))).toBe("EPERM")
          expect(yield* tag(Task.mlockall(MlockallFlags.CURRENT))).toBe("EPERM")
        })
      )
    ))

  it("answer with Linux's errno", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          expect(yield* tag(Task.mlock(base, one, 2))).toBe("EINVAL")
          expect(yield* tag(Task.mlock(base, 8192))).toBe("ENOMEM")
          expect(yield* tag(Task.munlock(base, 8192))).toBe("ENOMEM")
          expect(yield* tag(Task.munlock(base, -8192n))).toBe("EINVAL")
          expect(yield* tag(Task.mlockall(MlockallFlags.ONFAULT))).toBe("EINVAL")
        })
      )
    ))
})

describe("Task.mseal and Task.msync", () => {
  it("what is sealed stays as it is, until the process ends", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          yield* Task.mseal(base, one)
          expect(yield* tag(Task.munmap(base, 8192))).toBe("EPERM")
          expect(yield* tag(Task.mprotect(base, one, ProtFlags.READ))).toBe("EPERM")
          yield* Task.munmap(pageAt(base, 1), one)
          yield* Task.store8(base, 1)
          expect(yield* tag(Task.mseal(base, 8192))).toBe("ENOMEM")
          expect(yield* tag(Task.mseal(1, one))).toBe("EINVAL")
        })
      )
    ))

  it("msync finds holes, and locked memory if it is asked for it", () =>
    onKernel(
      withMemory(2, (_, base) =>
        Effect.gen(function* () {
          expect(yield* tag(Task.msync(base, 8192, MsyncFlags.SYNC))).toBe("done")
          expect(yield* tag(Task.msync(base, 8192, MsyncFlags.SYNC | MsyncFlags.ASYNC))).toBe("EINVAL")
          yield* Task.mlock(base, one)
          expect(yield* tag(Task.msync(base, 8192, MsyncFlags.INVALIDATE))).toBe("EBUSY")
          yield* Task.munmap(pageAt(base, 1), one)
          expect(yield* tag(Task.msync(base, 8192, MsyncFlags.SYNC))).toBe("ENOMEM")
        })
      )
    ))
})

describe("Task.prctl and Task.capset", () => {
  it("setuid: who is root no more has no capabilities, and does not become root again", () =>
    onKernel(
      Task.run(
        "test",
        Effect.gen(function* () {
          expect(yield* tag(Task.setuid(-1))).toBe("EINVAL")
          yield* Task.setuid(0)
          yield* Task.capset(["IPC_LOCK"])
          yield* Task.setuid(1000)
          expect(yield* tag(Task.capset(["IPC_LOCK"]))).toBe("EPERM")
          expect(yield* tag(Task.setuid(0))).toBe("EPERM")
          yield* Task.setuid(1000)
        })
      )
    ))

  it("no memory becomes executable that was writable, for good", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          expect(yield* Task.prctl(PrctlFlags.GET_MDWE)).toBe(0)
          yield* Task.prctl(PrctlFlags.SET_MDWE, PrctlFlags.MDWE_REFUSE_EXEC_GAIN)
          expect(yield* Task.prctl(PrctlFlags.GET_MDWE)).toBe(PrctlFlags.MDWE_REFUSE_EXEC_GAIN)
          expect(yield* tag(Task.mprotect(base, one, ProtFlags.READ | ProtFlags.EXEC))).toBe("EACCES")
          expect(yield* tag(Task.prctl(PrctlFlags.SET_MDWE, 0))).toBe("EPERM")
          expect(yield* tag(Task.prctl(PrctlFlags.SET_VMA, 0))).toBe("EINVAL")
        })
      )
    ))

  it("says where the heap and the arguments are, all at once for anybody, one by one for who may", () =>
    onKernel(
      withMemory(1, (_, base) =>
        Effect.gen(function* () {
          const at = Units.raw(base)
          const heap = Units.raw(yield* Task.brk(0))
          yield* Task.prctl(PrctlFlags.SET_MM, PrctlFlags.SET_MM_MAP_SIZE, at)
          expect(yield* Task.load32(at)).toBe(104)
          expect(yield* tag(Task.prctl(PrctlFlags.SET_MM, PrctlFlags.SET_MM_MAP_SIZE, 0))).toBe("EFAULT")
          const set = (brk: number) => Task.prctl(PrctlFlags.SET_MM, PrctlFlags.SET_MM_BRK, brk)
          expect(yield* tag(set(heap))).toBe("EINVAL") // no code yet, no arguments
          const words = [at, at + 8, at, at, heap, heap, at, at, at + 8, at + 8, at + 8, 0]
          const map = new DataView(new ArrayBuffer(104))
          words.forEach((word, i) => map.setBigUint64(8 * i, BigInt(word), true))
          map.setInt32(100, -1, true)
          yield* Task.storeBytes(at, new Uint8Array(map.buffer))
          yield* Task.capset(["SYS_RESOURCE"])
          yield* Task.prctl(PrctlFlags.SET_MM, PrctlFlags.SET_MM_MAP, at, 104)
          yield* set(heap + 8192)
          expect(yield* Task.brk(0)).toBe(heap + 8192)
          yield* Task.capset([])
          expect(yield* tag(set(heap))).toBe("EPERM")
        })
      )
    ))

  it("a child begins with its parent's capabilities", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          yield* Task.capset(["IPC_LOCK", "SYS_NICE"])
          const child = yield* Task.fork(
            Effect.gen(function* () {
              return [yield* tag(Task.capset(["SYS_RAWIO"])), yield* tag(Task.capset(["SYS_NICE"]))]
            })
          )
          expect(yield* Task.wait(child)).toEqual(["EPERM", "done"])
          expect(yield* tag(Task.capset(["IPC_LOCK"]))).toBe("done")
        })
      )
    ))
})

describe("promises of memory", () => {
  it("are kept in mode 2, whatever NORESERVE says", () =>
    onKernel(
      withMemory(1, () =>
        Effect.gen(function* () {
          const ask = (flags: number) => Task.mmap({ length: Units.pages(80), prot: rw, flags: anonymous | flags })
          expect(yield* tag(ask(MapFlags.NORESERVE))).toBe("ENOMEM")
          expect(yield* tag(Task.mmap({ length: Units.pages(80), prot: ProtFlags.READ, flags: anonymous }))).toBe(
            "done"
          )
        })
      ),
      {
        frames: 128,
        sysctl: { overcommitMemory: 2, overcommitKbytes: 256, adminReserveKbytes: 0, userReserveKbytes: 0 }
      }
    ))

  it("settings that make no machine are refused", () => {
    for (const sysctl of [{ shmmax: NaN }, { shmall: -1 }, { shmmni: 0.5 }, { overcommitKbytes: -1 }])
      expect(() => Effect.runSync(Effect.scoped(Effect.provide(Kernel.findings, Kernel.layer({ sysctl }))))).toThrow(
        /expected an integer/
      )
  })
})
