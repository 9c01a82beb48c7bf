/** Random calls about pages: loads and stores, advice, locks, what is in core. */
import { call } from "./program.ts"
import type { Step } from "./scene.ts"

export const load: Step = (scene, p) => call("rd", [scene.byte(p)], { process: p })

export const store: Step = (scene, p) => call("wr", [scene.byte(p), scene.random.between(1, 255)], { process: p })

const everyAdvice = [
  0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25, 102, 103, 4, 4, 4, 8, 9, 22, 23
]

/** madvise, or process_madvise of two ranges. */
export const madvise: Step = (scene, p) => {
  const { random } = scene
  const [start, whole] = scene.range(p, 0.92)
  const advice = random.of(everyAdvice)
  const len = random.chance(0.08) ? whole - random.of([1, 4095, whole]) : whole
  const addr = random.chance(0.04) ? start + 1 : start
  if (random.chance(0.12)) {
    return call("process_madvise", [advice, addr, len, ...scene.range(p, 0.9)], { process: p })
  }
  return call("madvise", [addr, len, advice], { process: p })
}

/** Advice that changes what an area is. */
export const adviseFlags: Step = (scene, p) => {
  const advice = scene.random.of([0, 1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 18, 18, 19, 19])
  return call("madvise", [...scene.range(p, 0.95), advice], { process: p })
}

export const guard: Step = (scene, p) => {
  const advice = scene.random.of([102, 102, 102, 103, 4, 8, 22, 23])
  return call("madvise", [...scene.range(p, 0.92), advice], { process: p })
}

export const mlock: Step = (scene, p) => {
  const { random } = scene
  const [start, len] = scene.range(p, 0.92)
  const addr = random.chance(0.1) ? start + 100 : start
  return random.weighted([
    [call("mlock", [addr, len], { process: p }), 42],
    [call("munlock", [addr, len], { process: p }), 28],
    [call("mlock2", [addr, len, random.of([0, 1, 1, 1, 2])], { process: p }), 18],
    [call("mlockall", [random.of([1, 2, 3, 4, 5, 6, 7, 0, 8])], { process: p }), 7],
    [call("munlockall", [], { process: p }), 5]
  ])
}

export const mincore: Step = (scene, p) => {
  const { random } = scene
  const [addr, len] = scene.range(p, 0.9)
  const args = [addr + (random.chance(0.05) ? 5 : 0), len - (random.chance(0.1) ? 1 : 0)]
  return call("mincore", args, { process: p })
}

export const msync: Step = (scene, p) => {
  const { random } = scene
  const [addr, len] = scene.range(p, 0.9)
  const flags = random.of([1, 2, 4, 4, 6, 0, 3, 5, 7, 8])
  return call("msync", [addr + (random.chance(0.05) ? 1 : 0), len, flags], { process: p })
}
