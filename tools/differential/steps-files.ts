/** Random calls on descriptors: sizes, contents, holes, seals; memory files and System V segments of one's own. */
import { PAGE_SIZE } from "../../lib/mm/base/units.ts"
import * as Map from "../../lib/flags/MapFlags.ts"
import { call } from "./program.ts"
import { ALL_ONES, type Scene, type Step } from "./scene.ts"

const F_ADD_SEALS = 1033
const F_GET_SEALS = 1034
const IPC_RMID = 0
const SHM_LOCK = 11
const SHM_UNLOCK = 12

const bytes = (scene: Scene, n: number): string =>
  Array.from({ length: n }, () => scene.random.below(256).toString(16).padStart(2, "0")).join("")

const placeInFile = (scene: Scene): number => scene.random.below(18) * PAGE_SIZE + scene.random.of([0, 7, 4090])

export const fileContents: Step = (scene, p) => {
  const { random } = scene
  const fd = random.of([10, 10, 11])
  const its = { process: p }
  const k = random.below(100)
  if (k < 30) return call("ftruncate", [fd, scene.pages(0, 20) + random.of([0, 0, 0, 1, 100, 4095])], its)
  if (k < 50) return call("pwrite64", [fd, placeInFile(scene)], { ...its, data: bytes(scene, random.of([1, 8, 12])) })
  if (k < 68) return call("pread64", [fd, random.of([1, 8, 16]), placeInFile(scene)], its)
  if (k < 80) {
    const offset = random.below(16) * PAGE_SIZE + random.of([0, 0, 100])
    const len = scene.pages(1, 4) - random.of([0, 0, 50])
    return call("fallocate", [fd, random.of([3, 3, 0, 1, 0x11]), offset, len], its)
  }
  if (k < 90) {
    const name = random.of(["pwrite_mem", "pread_mem"])
    return call(name, [fd, scene.byte(p), random.of([1, 8, 4097, 8192]), random.below(16) * PAGE_SIZE], its)
  }
  return k < 96
    ? call("fcntl", [10, F_ADD_SEALS, random.of([1, 2, 4, 8, 16, 2, 4])], its)
    : call("fcntl", [10, F_GET_SEALS], its)
}

/** Descriptors that the program opened itself are 3 to 6. */
const ownFile = (scene: Scene): number => scene.random.of([3, 3, 4, 5, 6])

/** Memory files: made, grown, mapped, sealed, closed, named twice. */
export const memoryFile: Step = (scene, p) => {
  const { random } = scene
  const its = { process: p }
  const k = random.below(100)
  if (k < 22) {
    const data = random.of(["61", "6d656d", "612062"])
    return call("memfd_create", [0, random.of([0, 1, 2, 3, 3, 8, 10, 16, 0x20])], { ...its, data })
  }
  if (k < 45) return call("ftruncate", [ownFile(scene), scene.pages(0, 12) + random.of([0, 0, 100])], its)
  if (k < 80) {
    const [addr, len] = scene.range(p, 0.6)
    const flags = random.of([Map.SHARED, Map.PRIVATE, Map.SHARED]) | random.of([Map.FIXED, Map.FIXED, 0])
    return call("mmap", [addr, len, scene.prot(), flags, ownFile(scene), random.below(8) * PAGE_SIZE], its)
  }
  if (k < 90) {
    return call(
      "fcntl",
      [ownFile(scene), random.of([F_ADD_SEALS, F_GET_SEALS]), random.of([1, 2, 4, 8, 16, 32, 6])],
      its
    )
  }
  if (k < 94) return call("dup", [random.of([10, 3, 4, 99])], its)
  return k < 97
    ? call("fchmod", [ownFile(scene), random.of([0o777, 0o600, 0])], its)
    : call("close", [ownFile(scene)], its)
}

/** System V segments. The recorder gives a program that has any a namespace of its own, where they are 0, 1, 2 .. */
export const segment: Step = (scene, p) => {
  const { random } = scene
  const its = { process: p }
  const id = random.of([0, 0, 0, 1, 1, 2, 9])
  const k = random.below(100)
  if (k < 25) {
    const size = random.of([1, 1, 2, 4, 7]) * PAGE_SIZE - random.of([0, 0, 1])
    return call("shmget", [random.of([0, 0, 5, 6]), size, random.of([0o1600, 0o1666, 0o1400, 0o3600, 0o600])], its)
  }
  if (k < 60) {
    const [addr] = scene.range(p, 0.6)
    const where = random.of([0, addr, addr, addr + 100])
    const SHM_RDONLY = 0o10000
    const SHM_RND = 0o20000
    const SHM_REMAP = 0o40000
    const SHM_EXEC = 0o100000
    return call(
      "shmat",
      [id, where, random.of([0, 0, SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC, SHM_REMAP | SHM_RND])],
      its
    )
  }
  if (k < 80) {
    const area = scene.area(p)
    return call("shmdt", [area === undefined ? scene.page() : area.start + random.of([0, 0, 0, PAGE_SIZE, 1])], its)
  }
  return call("shmctl", [id, random.of([IPC_RMID, IPC_RMID, SHM_LOCK, SHM_UNLOCK, 99]), 0], its)
}

export const setrlimit: Step = (scene, p) => {
  const { random } = scene
  const [resource, values] = random.of([
    [8, [0, 4 * PAGE_SIZE, 16 * PAGE_SIZE, 65536, 1 << 20]],
    [9, [1 << 20, 2 << 20, 900 << 10]],
    [2, [200 << 10, 300 << 10, 1 << 20]]
  ] as const)
  const soft = random.of(values)
  const hard = !scene.header.root && random.chance(0.05) ? soft : ALL_ONES
  return call("setrlimit", [resource, soft, hard], { process: p })
}

/** Memory-deny-write-execute. */
export const denyWriteExec: Step = (scene, p) =>
  call("prctl", [65, scene.random.of([1, 1, 1, 2, 3]), 0, 0, 0], { process: p })
