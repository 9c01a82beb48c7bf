/** Random numbers from a seed, for tests too hot for fast-check. */

/** Numbers in `[0, n)`, always the same for one seed. */
export function randomFrom(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 4294967296) * n)
  }
}

/** Runs `body` for some seeds; a failure names its seed. */
export function forSeeds(count: number, body: (random: (n: number) => number, seed: number) => void): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      body(randomFrom(seed), seed)
    } catch (cause) {
      throw new Error(`seed ${seed}`, { cause })
    }
  }
}
