/** Which pages a call is about. Floor 9. */
import type { Word } from "../../mm/base/units.ts"
import type { Op } from "./record.ts"

/** Pages `[from, to)`. */
export interface Pages {
  readonly from: number
  readonly to: number
}

const first = [[0, 1]] as const
const second = [[1, 2]] as const
/** Places of an address and a length among the arguments; a length of -1 is one byte. */
const places: Readonly<Record<string, ReadonlyArray<readonly [addr: number, len: number]>>> = {
  rd: [[0, -1]],
  wr: [[0, -1]],
  brk: [[0, -1]],
  shmdt: [[0, -1]],
  mmap: first,
  munmap: first,
  mprotect: first,
  pkey_mprotect: first,
  madvise: first,
  mincore: first,
  msync: first,
  mlock: first,
  mlock2: first,
  munlock: first,
  mseal: first,
  remap_file_pages: first,
  mremap: [
    [0, 1],
    [4, 2]
  ],
  pread_mem: second,
  pwrite_mem: second,
  process_madvise: second,
  uffdio_register: second,
  uffdio_unregister: second,
  uffdio_wake: second,
  uffdio_zeropage: second,
  uffdio_continue: second,
  uffdio_poison: second,
  uffdio_writeprotect: second,
  uffdio_copy: [[1, 3]],
  uffdio_move: [
    [1, 3],
    [2, 3]
  ]
}

/** Calls that answer where they put something, and the place of its length; -1 where it has none. */
const answers: Readonly<Record<string, number>> = { mmap: 1, mremap: 2, shmat: -1 }
const USER_PAGES = 2 ** 35

/** The pages that `op` names, and those that it answered. */
export function touchedBy({ args, name, result }: Op): readonly Pages[] {
  const found: Pages[] = []
  const add = (addr: Word | undefined, len: Word | undefined): void => {
    const from = Math.floor(Number(addr ?? 0) / 4096)
    const to = Math.ceil((Number(addr ?? 0) + Math.max(Number(len ?? 1), 1)) / 4096)
    if (from > 0 && to <= USER_PAGES) found.push({ from, to })
  }
  for (const [addr, len] of Object.hasOwn(places, name) ? places[name]! : []) add(args[addr], len < 0 ? 1 : args[len])
  const len = Object.hasOwn(answers, name) ? answers[name]! : undefined
  if (len !== undefined && result.kind === "value") add(result.value, len < 0 ? 1 : args[len])
  return found
}
