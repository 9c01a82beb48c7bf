/** System calls take anything, in any order: each does its work or fails with an errno that its type names. Another errno
 * would be a defect: `settler` in lib/vma/settle.ts makes it one.
 */
import { Cause, Effect, Exit } from "effect"
import fc from "fast-check"
import {
  AdviceFlags,
  Device,
  Fail,
  Kernel,
  Lockdep,
  MapFlags,
  ProtFlags,
  ShmFlags,
  Task,
  UffdFlags,
  Units
} from "pagewright"
import { describe, expect, it } from "vitest"
import { anonymous, small } from "./support.ts"

type Word = number | bigint
type Any = Effect.Effect<unknown, unknown, Task.Task | Lockdep.Markers>

const HERE = 0x7000_0000_0000
const at = (page: number): number => HERE + page * 4096

const { CREAT, EXCL, HUGETLB, RDONLY, REMAP, RND } = ShmFlags
const pages = fc.integer({ min: 0, max: 5 }).map((n) => n * 4096)
const address = fc.integer({ min: 0, max: 15 }).map(at)
const below = (n: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: n - 1 })
const some = (...words: readonly number[]): fc.Arbitrary<number> => fc.constantFrom(...words)
const mapFlags = some(
  MapFlags.PRIVATE | MapFlags.FIXED,
  MapFlags.SHARED | MapFlags.FIXED,
  anonymous | MapFlags.FIXED,
  anonymous | MapFlags.LOCKED,
  MapFlags.SHARED | MapFlags.ANONYMOUS,
  MapFlags.SHARED_VALIDATE,
  anonymous | MapFlags.FIXED_NOREPLACE,
  anonymous | MapFlags.HUGETLB
)
const advice = some(...Object.values(AdviceFlags))
const fd = below(8)
const segment = below(4)
const bits = below(64)

/** Where structs of ioctls lie. */
const scratch = at(100)
const { FEATURE_SIGBUS, IOCTL_COPY, IOCTL_MOVE, NONBLOCK } = UffdFlags
const commands = Object.entries(UffdFlags).flatMap(([name, n]) => (name.startsWith("IOCTL_") ? [Number(n)] : []))
/** ioctl(2) with a struct: a range, or two places, and a mode. Nobody is there to answer, so faults are signals. */
const ioctl = (file: Word, command: Word, to: Word, length: Word, from: Word, mode: Word): Any => {
  const places = command === IOCTL_COPY || command === IOCTL_MOVE ? [to, from, length] : [to, length]
  const struct = command === UffdFlags.IOCTL_API ? [0xaa, Number(mode) | FEATURE_SIGBUS] : [...places, mode]
  const stores = struct.map((word, i) => Task.store64(scratch + i * 8, wordOf(word)))
  return Effect.andThen(Effect.all(stores), Task.ioctl(Task.fd(Number(file)), Number(command), scratch))
}

/** process_madvise(2) with a vector of the same range, so many times. */
const processMadvise = (file: Word, from: Word, length: Word, about: Word, count: Word): Any => {
  const bytes = new Uint8Array(BigUint64Array.of(wordOf(from), wordOf(length), wordOf(from), wordOf(length)).buffer)
  const call = Task.processMadvise(Task.fd(Number(file)), scratch, count, about)
  return Effect.andThen(Task.storeBytes(scratch, bytes), call)
}
const wordOf = (word: Word): bigint => BigInt.asUintN(64, BigInt(Math.trunc(Number(word)) || 0))

/** A system call: what its arguments are like, and how it is made of any five words. */
type CallOf = readonly [readonly fc.Arbitrary<number>[], (a: Word, b: Word, c: Word, d: Word, e: Word, f: Word) => Any]

const calls: Readonly<Record<string, CallOf>> = {
  mmap: [
    [address, pages, below(8), mapFlags, fd, pages],
    (a, length, prot, flags, file, offset) =>
      Task.mmap({ address: a, length, prot, flags, fd: Task.fd(Number(file)), offset })
  ],
  munmap: [[address, pages], (a, b) => Task.munmap(a, b)],
  mremap: [
    [address, pages, pages, some(0, 1, 1, 3, 3, 5, 7), address],
    (a, oldLength, newLength, flags, newAddress) => Task.mremap({ address: a, oldLength, newLength, flags, newAddress })
  ],
  mprotect: [[address, pages, below(8)], (a, b, c) => Task.mprotect(a, b, c)],
  madvise: [[address, pages, advice], (a, b, c) => Task.madvise(a, b, c)],
  mlock: [[address, pages, below(2)], (a, b, c) => Task.mlock(a, b, c)],
  munlock: [[address, pages], (a, b) => Task.munlock(a, b)],
  mlockall: [[below(8)], (a) => Task.mlockall(a)],
  munlockall: [[], () => Task.munlockall],
  mincore: [[address, pages], (a, b) => Task.mincore(a, b)],
  msync: [[address, pages, below(8)], (a, b, c) => Task.msync(a, b, c)],
  mseal: [[address, some(0, 0, 4096)], (a, b) => Task.mseal(a, b)],
  brk: [[address], (a) => Task.brk(a)],
  memfdCreate: [[bits], (a) => Task.memfdCreate("any", a)],
  memfdSecret: [[], () => Task.memfdSecret],
  ftruncate: [[fd, pages], (a, b) => Task.ftruncate(Task.fd(Number(a)), b)],
  addSeals: [[fd, bits], (a, b) => Task.addSeals(Task.fd(Number(a)), b)],
  getSeals: [[fd], (a) => Task.getSeals(Task.fd(Number(a)))],
  userfaultfd: [[some(0, 1, 2)], (a) => Task.userfaultfd(Number(a) | NONBLOCK)],
  uffdApi: [[fd, some(0)], (a, b) => ioctl(a, UffdFlags.IOCTL_API, 0, 0, 0, b)],
  uffdRegister: [
    [fd, address, pages, some(1, 2, 3, 4)],
    (a, b, c, d) => ioctl(a, UffdFlags.IOCTL_REGISTER, b, c, 0, d)
  ],
  ioctl: [[fd, some(...commands), address, pages, address, below(4)], ioctl],
  dup: [[fd], (a) => Task.dup(Task.fd(Number(a)))],
  pread: [[fd, address, pages, pages], (a, b, c, d) => Task.pread(Task.fd(Number(a)), b, c, d)],
  pwrite: [[fd, address, pages, pages], (a, b, c, d) => Task.pwrite(Task.fd(Number(a)), b, c, d)],
  fallocate: [[fd, some(0, 0, 1, 3, 3, 16), pages, pages], (a, b, c, d) => Task.fallocate(Task.fd(Number(a)), b, c, d)],
  pidfdOpen: [[below(3), some(0, 0, 0, 1)], (a, b) => Task.pidfdOpen(a, b)],
  processMadvise: [[fd, address, pages, advice, below(3)], processMadvise],
  remapFilePages: [
    [address, pages, some(0, 0, 0, 1), below(4), some(0, 0, MapFlags.NONBLOCK)],
    (a, b, c, d, e) => Task.remapFilePages(a, b, c, d, e)
  ],
  read: [[fd, address, pages], (a, b, c) => Task.read(Task.fd(Number(a)), b, c)],
  poll: [[fd, bits], (a, b) => Task.poll(Task.fd(Number(a)), Number(b))],
  fdinfo: [[fd], (a) => Task.fdinfo(Task.fd(Number(a)))],
  close: [[fd], (a) => Task.close(Task.fd(Number(a)))],
  shmget: [[below(3), pages, some(0, CREAT | 0o600, CREAT | EXCL, 0o400, HUGETLB)], (a, b, c) => Task.shmget(a, b, c)],
  shmat: [[segment, address, some(0, RDONLY, RND, REMAP, REMAP, REMAP | RDONLY)], (a, b, c) => Task.shmat(a, b, c)],
  shmdt: [[address], (a) => Task.shmdt(a)],
  shmStat: [[segment], (a) => Task.shmStat(a)],
  shmSet: [[segment, below(2), below(2), bits], (a, uid, gid, mode) => Task.shmSet(a, { gid, mode, uid })],
  shmRemove: [[segment], (a) => Task.shmRemove(a)],
  shmLock: [[segment], (a) => Task.shmLock(a)],
  shmUnlock: [[segment], (a) => Task.shmUnlock(a)],
  prctl: [[some(35, 41, 42, 65, 66, 67, 68), below(16), address], (a, b, c, d, e) => Task.prctl(a, b, c, d, e)],
  capset: [[below(8)], (a) => (a === 0 ? Task.capset([]) : Task.capset(["IPC_LOCK", "SYS_ADMIN"]))],
  setrlimit: [[below(8)], (a) => Task.setrlimit("MEMLOCK", a === 0 ? 0 : 16384)],
  store: [[address], (a) => Task.store8(a, 1)]
}

const odd = fc.constantFrom<Word>(-1, NaN, 0.5, 1, 2 ** 31, 2 ** 47, 2n ** 63n, 2n ** 64n - 4096n, 2n ** 64n - 1n)
const step = fc.constantFrom(...Object.keys(calls)).chain((name) => {
  const words = calls[name]![0].map((kind) => fc.oneof({ arbitrary: kind, weight: 19 }, { arbitrary: odd, weight: 1 }))
  return fc.tuple(fc.constant(name), fc.tuple(...words))
})

/** A device that has pages of nobody, and does not want its areas split. */
const device = Device.make({
  open: Effect.void,
  mmap: () => Effect.void,
  vmOps: { maySplit: () => Fail.fail("EACCES"), fault: () => Fail.fail("ENOMEM") }
})

/** Runs the calls as one process, and says what went wrong besides errnos. */
const run = (steps: readonly (readonly [string, readonly Word[]])[]): Promise<readonly string[]> =>
  Lockdep.runTask(
    Effect.gen(function* () {
      const wrong: string[] = []
      yield* Device.register("/dev/stubborn", device)
      yield* Task.run(
        "anything",
        Effect.gen(function* () {
          const file = yield* Task.open(device, "rw")
          const fixed = { length: Units.pages(3), prot: ProtFlags.READ | ProtFlags.WRITE }
          yield* Task.mmap({ ...fixed, address: at(1), flags: anonymous | MapFlags.FIXED })
          yield* Task.mmap({ ...fixed, address: at(5), flags: MapFlags.SHARED | MapFlags.FIXED, fd: file })
          yield* Task.mmap({ ...fixed, address: scratch, flags: anonymous | MapFlags.FIXED })
          const uffd = yield* Task.userfaultfd(NONBLOCK)
          yield* ioctl(uffd.number, UffdFlags.IOCTL_API, 0, 0, 0, 0)
          yield* Task.shmat(yield* Task.shmget(0, 8192, 0o600), at(10))
          for (const [name, [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0]] of steps) {
            const exit = yield* Effect.exit(Effect.suspend(() => calls[name]![1](a, b, c, d, e, f)))
            if (Exit.isFailure(exit) && exit.cause.reasons.some(Cause.isDieReason))
              wrong.push(`${name}(${[a, b, c, d, e].join(", ")}) died: ${Cause.pretty(exit.cause)}`)
            wrong.push(...(yield* Kernel.findings))
          }
        })
      )
      return wrong
    }).pipe(Effect.orDie, Effect.scoped, Effect.provide(Kernel.layer(small)))
  )

describe("any sequence of system calls", () => {
  it("ends each in its work or in an errno of its type, and leaves the tables right", () =>
    fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), async (steps) => {
        expect(await run(steps)).toEqual([])
      }),
      { numRuns: 100 }
    ))
})
