/** Random calls of userfaultfd: one descriptor, registered ranges, and pages that are filled, moved, protected. */
import { PAGE_SIZE, type Word } from "../../lib/mm/base/units.ts"
import { call } from "./program.ts"
import { ARENA, type Scene, type Step } from "./scene.ts"

/** The lowest that is free: the first descriptor of a program that opens no other. */
const FD = 3
const OPEN_FLAGS = 0x80800 // O_CLOEXEC | O_NONBLOCK
const API = 0xaa
/** A fault that nobody handles is a SIGBUS: nobody does. */
const SIGBUS = 0x80
const EVERYTHING = SIGBUS | 0x1000 | 0x2000 | 0x8000 | 0x800 | 0x400 | 0x20 | 0x4000 | 0x10000
/** Pages of the stub whose bytes are known. */
const SOURCE = 0x403000

const isRegistered = (flags: string): boolean => /\b(um|uw|ui)\b/.test(flags)

/** A range, mostly of what is registered. */
function target(scene: Scene, p: number): readonly [addr: number, len: number] {
  const { random } = scene
  const registered = scene.areas(p).filter(({ flags }) => isRegistered(flags))
  if (registered.length === 0 || random.chance(0.1)) return scene.range(p, 0.93)
  const { end, start } = random.of(registered)
  const n = Math.min((end - start) / PAGE_SIZE, 64)
  const skipped = random.below(n)
  return [start + skipped * PAGE_SIZE, random.of([1, 1, 2, n - skipped, n - skipped + 1]) * PAGE_SIZE]
}

export const userfaultfd: Step = (scene, p) => {
  const { random } = scene
  const its = { process: p }
  const made = scene.made()
  if (!made.some(({ name }) => name === "userfaultfd")) return call("userfaultfd", [OPEN_FLAGS], its)
  if (!made.some(({ name }) => name === "uffdio_api")) {
    return call("uffdio_api", [FD, API, random.of([SIGBUS, SIGBUS, EVERYTHING]), 0], its)
  }
  const isFirst = !scene.areas(p).some(({ flags }) => isRegistered(flags))
  const name = isFirst && random.chance(0.8) ? "uffdio_register" : random.weighted(ioctls)
  const [start, whole] = name === "uffdio_register" ? scene.range(p, 0.93) : target(scene, p)
  const addr = random.chance(0.05) ? start + 1 : start
  const len = random.chance(0.05) ? whole - 1 : whole
  return call(name, [FD, ...fieldsOf(scene, name, p, addr, len)], its)
}

const ioctls = [
  ["uffdio_register", 36],
  ["uffdio_unregister", 6],
  ["uffdio_copy", 18],
  ["uffdio_zeropage", 8],
  ["uffdio_writeprotect", 14],
  ["uffdio_continue", 6],
  ["uffdio_poison", 4],
  ["uffdio_move", 7],
  ["uffdio_wake", 1]
] as const

function fieldsOf(scene: Scene, name: string, p: number, addr: number, len: number): readonly Word[] {
  const { random } = scene
  const short = Math.min(len, 4 * PAGE_SIZE)
  switch (name) {
    case "uffdio_register":
      return [addr, len, random.of([1, 1, 1, 2, 3, 4, 5, 2, 0, 8]), 0]
    case "uffdio_copy": {
      const from = random.of([SOURCE, SOURCE, SOURCE, SOURCE, SOURCE + PAGE_SIZE, 0x1000])
      return [addr, from, Math.min(short, random.of([1, 1, 2, 3]) * PAGE_SIZE), random.of([0, 0, 1, 2, 3, 4]), 0]
    }
    case "uffdio_zeropage":
    case "uffdio_continue":
      return [addr, short, random.of([0, 0, 1, 2]), 0]
    case "uffdio_poison":
      return [addr, short, random.of([0, 0, 1]), 0]
    case "uffdio_writeprotect":
      return [addr, short, random.of([0, 1, 1, 1, 2, 3])]
    case "uffdio_move": {
      const [from, its] = scene.range(p, 0.93)
      const source = from === addr ? Math.max(ARENA, addr + 8 * PAGE_SIZE) : from
      return [addr, source, Math.min(short, its), random.of([0, 0, 2, 3, 4]), 0]
    }
    default:
      return [addr, len] // unregister, wake
  }
}
