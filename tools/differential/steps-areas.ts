/** Random calls that make, move, change and remove areas. */
import { PAGE_SIZE } from "../../lib/mm/base/units.ts"
import * as Map from "../../lib/flags/MapFlags.ts"
import { call } from "./program.ts"
import { ALL_ONES, ARENA, type AreaSeen, type Scene, type Step } from "./scene.ts"

const ANONYMOUS = Map.PRIVATE | Map.ANONYMOUS
const SHARED_ANONYMOUS = Map.SHARED | Map.ANONYMOUS
const GROWSDOWN = 0x01000000
const GROWSUP = 0x02000000

/** How the address is meant: exactly, exactly where nothing is, as a hint, or not at all. */
function place(scene: Scene, addr: number): readonly [addr: number, flag: number] {
  return scene.random.weighted([
    [[addr, Map.FIXED], 70],
    [[addr, Map.FIXED_NOREPLACE], 10],
    [[addr, 0], 14],
    [[0, 0], 6]
  ] as const)
}

/** mmap of anonymous memory or of a file. */
export const mmap: Step = (scene, p) => {
  const { random } = scene
  if (random.chance(0.3)) return mmapFile(scene, p)
  const [hint, len] = scene.range(p, 0.6)
  const [addr, how] = place(scene, hint)
  let flags = (random.chance(0.88) ? ANONYMOUS : SHARED_ANONYMOUS) | how
  if (random.chance(0.1)) {
    const either = (flags & Map.FIXED) === 0 ? Map.MAP_32BIT : Map.NORESERVE
    flags |= random.of([
      Map.LOCKED,
      Map.NORESERVE,
      Map.POPULATE,
      Map.POPULATE,
      Map.STACK,
      either,
      Map.NORESERVE | Map.POPULATE
    ])
  }
  return call("mmap", [addr, len, scene.prot(), flags, ALL_ONES, 0], { process: p })
}

const fileOf: Readonly<Record<string, number>> = { f0: 10, f1: 11 }

/** mmap of a file; sometimes it goes on where another mapping of the file ends, so that the two merge. */
export const mmapFile: Step = (scene, p) => {
  const { random } = scene
  const [hint, len] = scene.range(p, 0.6)
  const before = scene.area(p, 0.4)
  const known = before === undefined ? undefined : fileOf[before.file]
  if (before !== undefined && known !== undefined) {
    const flags = (before.perms.endsWith("s") ? Map.SHARED : Map.PRIVATE) | Map.FIXED
    const offset = before.offset + before.end - before.start
    return call("mmap", [before.end, len, protOf(before), flags, known, offset], { process: p })
  }
  const [addr, how] = place(scene, hint)
  let flags = random.of([Map.SHARED, Map.PRIVATE, Map.PRIVATE, Map.SHARED, Map.SHARED_VALIDATE]) | how
  if (random.chance(0.08)) flags |= random.of([Map.LOCKED, Map.NORESERVE, Map.POPULATE, Map.SYNC])
  const fd = random.of([10, 10, 10, 11, 11, 12, 13, 14, 17])
  return call("mmap", [addr, len, scene.prot(), flags, fd, random.below(14) * PAGE_SIZE], { process: p })
}

const protOf = ({ perms }: AreaSeen): number =>
  (perms[0] === "r" ? 1 : 0) | (perms[1] === "w" ? 2 : 0) | (perms[2] === "x" ? 4 : 0)

/** mmap where the kernel chooses, or may. */
export const mmapAnywhere: Step = (scene, p) => {
  const { random } = scene
  let pages = random.of([1, 1, 2, 3, 4, 8, 16, 512, 512, 1024, 513, 511])
  const type = random.of([
    ANONYMOUS,
    ANONYMOUS,
    ANONYMOUS,
    ANONYMOUS,
    ANONYMOUS,
    ANONYMOUS,
    SHARED_ANONYMOUS,
    Map.PRIVATE,
    Map.SHARED
  ])
  const hasFile = (type & Map.ANONYMOUS) === 0
  if (hasFile && pages >= 512) pages = 4
  const len = pages * PAGE_SIZE
  let flags: number = type
  if (random.chance(0.15)) {
    const down = type === ANONYMOUS && pages <= 8 ? Map.GROWSDOWN : Map.STACK
    flags |= random.of([Map.MAP_32BIT, Map.STACK, Map.NORESERVE, Map.ABOVE4G, down])
  }
  const near = random.chance(0.25) ? scene.area(p) : undefined
  const addr =
    near === undefined
      ? 0
      : random.of([
          near.start,
          near.end,
          near.start - len,
          near.start + PAGE_SIZE,
          near.end + 123,
          near.start - len - 7
        ])
  const prot = random.of([3, 3, 3, 1, 0, 5])
  return call("mmap", [Math.max(addr, 0), len, prot, flags, hasFile ? 10 : ALL_ONES, 0], { process: p })
}

/** mmap with several of the flags that usually come alone. */
export const mmapFlags: Step = (scene, p) => {
  const { random } = scene
  const made = mmap(scene, p)
  let flags = Number(made.args[3])
  const often: ReadonlyArray<readonly [flag: number, chance: number]> = [
    [Map.LOCKED, 0.12],
    [Map.NORESERVE, 0.12],
    [Map.POPULATE, 0.2],
    [Map.STACK, 0.1],
    [Map.NONBLOCK, 0.05],
    [Map.GROWSDOWN, 0.06],
    [Map.ABOVE4G, 0.05],
    [Map.DENYWRITE, 0.03],
    [Map.EXECUTABLE, 0.03],
    [Map.SYNC, 0.03],
    [Map.MAP_32BIT, 0.06],
    [Map.HUGETLB, 0.03]
  ]
  for (const [flag, chance] of often) if (random.chance(chance)) flags |= flag
  const isPrivate = (flags & Map.TYPE) === Map.PRIVATE
  const isAnonymous = (flags & Map.ANONYMOUS) !== 0
  if (isPrivate && isAnonymous && random.chance(0.08)) flags = (flags & ~Map.TYPE) | Map.DROPPABLE
  if (!isAnonymous) flags &= ~Map.GROWSDOWN
  if ((flags & Map.HUGETLB) !== 0) flags &= ~Map.NORESERVE
  const addr = random.chance(0.05) ? 0 : made.args[0]!
  return { ...made, args: [addr, made.args[1]!, made.args[2]!, flags, ...made.args.slice(4)] }
}

export const munmap: Step = (scene, p) => {
  const [addr, len] = scene.range(p, 0.9)
  const less = scene.random.chance(0.1) ? scene.random.of([1, 100, 4095]) : 0
  return call("munmap", [addr, len - less], { process: p })
}

export const mprotect: Step = (scene, p) => {
  const { random } = scene
  const [addr, whole] = scene.range(p, 0.95)
  const len = random.chance(0.1) ? whole - random.of([1, 100]) : whole
  let prot = scene.prot()
  if (random.chance(0.05)) prot |= random.of([GROWSDOWN, GROWSUP, GROWSDOWN | GROWSUP, 8, 0x10])
  if (random.chance(0.06)) return call("pkey_mprotect", [addr, len, prot, ALL_ONES], { process: p })
  return call("mprotect", [addr, len, prot], { process: p })
}

export const mremap: Step = (scene, p) => {
  const { random } = scene
  const flags = random.of([0, 1, 1, 1, 3, 3, 3, 5, 7, 7, 5])
  const [addr, whole] = scene.range(p, 0.95)
  let newLen = random.of([
    whole,
    whole,
    whole,
    whole,
    whole + PAGE_SIZE,
    whole + scene.pages(1, 8),
    Math.max(PAGE_SIZE, whole - PAGE_SIZE),
    PAGE_SIZE,
    random.chance(0.1) ? 0 : 2 * PAGE_SIZE
  ])
  const len = random.chance(0.06) ? 0 : whole
  if (len !== 0 && (flags & 4) !== 0 && random.chance(0.8)) newLen = len
  let to = 0
  if ((flags & 2) !== 0) to = random.chance(0.5) ? scene.page() : scene.range(p, 0.4)[0]
  else if (random.chance((flags & 4) !== 0 ? 0.5 : 0.1)) to = scene.page()
  return call("mremap", [addr, len, newLen, flags, to], { process: p })
}

export const brk: Step = (scene, p) => {
  const { random } = scene
  const { brk: start } = scene.header
  const some = start + scene.pages(0, 12)
  const addr = random.of([0, some, some + random.of([1, 100]), start - 1, start])
  return call("brk", [addr], { process: p })
}

/** Areas that grow down: made, met below, and protected down to their start. */
export const growsDown: Step = (scene, p) => {
  const { random } = scene
  const flags = ANONYMOUS | Map.FIXED | Map.GROWSDOWN
  const grown = scene.areas(p).filter((area) => area.flags.includes("gd"))
  if (grown.length === 0 || random.chance(0.4)) {
    const addr = ARENA + (random.of([300, 310, 40, 280]) + random.below(8)) * PAGE_SIZE
    return call("mmap", [addr, scene.pages(1, 3), 3, flags, ALL_ONES, 0], { process: p })
  }
  const { start } = random.of(grown)
  if (random.chance(0.6)) {
    const below = random.of([1, 8, PAGE_SIZE, 2 * PAGE_SIZE + 5, 5 * PAGE_SIZE, 20 * PAGE_SIZE, 300 * PAGE_SIZE])
    const addr = Math.max(start - below, 0)
    return random.chance(0.33) ? call("rd", [addr], { process: p }) : call("wr", [addr, 1], { process: p })
  }
  const prot = random.of([1, 3, 0]) | GROWSDOWN
  return call("mprotect", [start + random.of([0, PAGE_SIZE]), PAGE_SIZE, prot], { process: p })
}

export const remapFilePages: Step = (scene, p) => {
  const [addr, len] = scene.range(p, 0.95)
  const flags = scene.random.of([0, 0, 0, Map.NONBLOCK])
  return call("remap_file_pages", [addr, len, 0, scene.random.below(16), flags], { process: p })
}

export const mseal: Step = (scene, p) => {
  const { random } = scene
  const [addr, len] = scene.range(p, 0.95)
  const args = [addr + (random.chance(0.04) ? 1 : 0), len - (random.chance(0.1) ? 1 : 0), random.chance(0.05) ? 1 : 0]
  return call("mseal", args, { process: p })
}
