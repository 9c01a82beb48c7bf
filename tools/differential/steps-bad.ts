/** Random calls with arguments that ought to be refused. */
import { PAGE_SIZE, registerOf, type Word } from "../../lib/mm/base/units.ts"
import * as Map from "../../lib/flags/MapFlags.ts"
import { call, type Call } from "./program.ts"
import { ALL_ONES, ARENA, type Scene, type Step, TOP } from "./scene.ts"

const MOST = 0xffff_ffff_ffff_ffffn
const badAddresses: readonly Word[] = [
  0,
  1,
  PAGE_SIZE,
  0xfff,
  0x1001,
  TOP,
  TOP - PAGE_SIZE,
  TOP + PAGE_SIZE,
  1n << 47n,
  (1n << 47n) - 1n,
  1n << 63n,
  MOST,
  MOST - 4095n,
  0xffff_ffff_ff60_0000n,
  0x8000_0000_0000n,
  (1n << 63n) | BigInt(ARENA)
]
const badLengths: readonly Word[] = [
  0,
  1,
  0xfff,
  0x1001,
  MOST,
  MOST - 4096n,
  MOST - 4094n,
  1n << 47n,
  1n << 48n,
  1n << 63n,
  (1n << 63n) - 1n,
  TOP,
  1n << 40n
]
const mmapFlags = [
  0,
  Map.SHARED,
  Map.PRIVATE,
  Map.SHARED_VALIDATE,
  ...[0x20, 0x21, 0x23, 0x30, 0x100020, 0x100030, 0x120, 0x60, 0x70, 0x40020, 0xa0, 0x220, 0x420, 0x1820, 0xa020].map(
    (more) => Map.PRIVATE | more
  ),
  ...[0x20, 0x10, 0x120, 0x100, 0x80000, 1 << 30, 0x40000].map((more) => Map.SHARED | more),
  ...[0x20, 0x80000, Map.UNINITIALIZED, 1 << 30].map((more) => Map.SHARED_VALIDATE | more),
  ...[0x20, 0, 0x2020].map((more) => Map.DROPPABLE | more),
  0x24
]
const offsets: readonly Word[] = [
  0,
  0,
  0x1000,
  1,
  0x3000,
  0xf_ffff_ffff_f000n,
  0x7fff_ffff_ffff_e000n,
  0x7fff_ffff_ffff_f000n,
  0xffff_ffff_ffff_f000n
]

/** Does a range, as the kernel would round it, touch what the stub needs? */
function touchesStub(addr: Word, len: Word): boolean {
  const from = registerOf(addr)
  const rounded = (registerOf(len) + 4095n) & ~4095n
  if (rounded === 0n) return false
  const end = from + rounded
  return (from < 0x409000n && end > 0x400000n) || (from < BigInt(TOP + PAGE_SIZE) && end > 0x7fff_f7ff_7000n)
}

/** The same call, moved away from the stub where it could hit it. */
export function awayFromStub(its: Call): Call {
  const [addr = 0, len = 0, newLen = 0, flags = 0, to = 0] = its.args
  const isMoved = its.name === "mremap" && touchesStub(to, newLen)
  if (!touchesStub(addr, len) && !isMoved) return its
  const start = (registerOf(addr) & 4095n) === 0n ? ARENA : ARENA + 1
  const less = touchesStub(start, len) ? PAGE_SIZE : len
  if (its.name !== "mremap") return { ...its, args: [start, less, ...its.args.slice(2)] }
  return {
    ...its,
    args: [start, less, isMoved ? PAGE_SIZE : newLen, flags, isMoved ? ARENA + 20 * PAGE_SIZE : to]
  }
}

const badAdvice = [0, 1, 4, 5, 6, 7, 8, 9, 10, 14, 24, 26, 27, 50, 99, 102, 103, 104, 22, 23, 25, ALL_ONES]

const names = [
  ..."mmap mmap mmap munmap mprotect mremap mremap madvise mlock munlock mlock2 mincore msync mseal".split(" "),
  ..."remap_file_pages rd wr pkey_mprotect mlockall brk".split(" ")
]

export const bad: Step = (scene, p) => {
  const { random } = scene
  const [start, size] = scene.range(p, 0.8)
  const addr = (): Word => random.of<Word>([start, start, start + random.of([1, 100, 4095]), random.of(badAddresses)])
  const len = (): Word => random.of<Word>([size, size, size - 1, random.of(badLengths)])
  const name = random.of(names)
  return awayFromStub(call(name, argsOf(scene, name, addr, len), { process: p }))
}

function argsOf(scene: Scene, name: string, addr: () => Word, len: () => Word): readonly Word[] {
  const { random } = scene
  switch (name) {
    case "mmap": {
      const fd = random.of<Word>([ALL_ONES, ALL_ONES, 10, 11, 12, 13, 14, 15, 16, 17, 99])
      const prot = random.of([0, 1, 2, 3, 5, 7, 8, 0x10, 0x1000003, 0xffff, 3])
      return [addr(), len(), prot, random.of(mmapFlags), fd, random.of(offsets)]
    }
    case "mprotect":
      return [
        addr(),
        len(),
        random.of<Word>([0, 1, 3, 8, 0x10, 0x20, 0x01000000, 0x02000000, 0x03000000, 0x03000003, 0x80000000, ALL_ONES])
      ]
    case "pkey_mprotect":
      return [addr(), len(), 3, ALL_ONES]
    case "mremap":
      return [
        addr(),
        len(),
        len(),
        random.of<Word>([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, ALL_ONES]),
        random.of<Word>([0, scene.page(), scene.page() + 1, addr()])
      ]
    case "madvise":
      return [addr(), len(), random.of(badAdvice)]
    case "mlock2":
      return [addr(), len(), random.of<Word>([0, 1, 2, 3, ALL_ONES])]
    case "mincore":
      return [addr(), random.of<Word>([len(), 0, MOST, 1n << 63n, 1n << 48n, MOST - 4096n])]
    case "msync":
      return [addr(), len(), random.of<Word>([0, 1, 2, 3, 4, 5, 6, 7, 8, ALL_ONES])]
    case "mseal":
      return [addr(), len(), random.of([0, 0, 1])]
    case "remap_file_pages":
      return [
        addr(),
        len(),
        random.of([0, 0, 1, 3]),
        random.of<Word>([0, 1, MOST, 1n << 52n]),
        random.of([0, 0x10000, 2])
      ]
    case "rd":
      return [random.of(badAddresses)]
    case "wr":
      return [random.of(badAddresses), 1]
    case "mlockall":
      return [random.of<Word>([0, 4, 8, ALL_ONES, 16])]
    case "brk":
      return [random.of<Word>([1, 0x409001, MOST, 1n << 63n, ARENA])]
    default:
      return [addr(), len()] // munmap, mlock, munlock
  }
}
