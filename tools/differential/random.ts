/** Random numbers that a seed determines. */

/** A source of random numbers, and the usual ways to use one. */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** 32 random bits. The generator is splitmix32. */
  bits(): number {
    this.state = (this.state + 0x9e3779b9) >>> 0
    let z = this.state
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }

  /** A whole number in `[0, n)`. */
  below(n: number): number {
    return Math.floor((this.bits() / 2 ** 32) * n)
  }

  /** A whole number in `[from, to]`. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  /** True so often. */
  chance(probability: number): boolean {
    return this.bits() / 2 ** 32 < probability
  }

  /** One of them. */
  of<A>(list: readonly [A, ...A[]] | readonly A[]): A {
    return list[this.below(list.length)]!
  }

  /** One of them, as often as its weight says. */
  weighted<A>(list: ReadonlyArray<readonly [one: A, weight: number]>): A {
    let left = (this.bits() / 2 ** 32) * list.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [one, weight] of list) {
      left -= weight
      if (left < 0) return one
    }
    return list.at(-1)![0]
  }
}

/** The seed of one of many: the same two numbers give the same third. */
export function seedOf(seed: number, nth: number): number {
  const random = new Random((seed ^ Math.imul(nth + 1, 0x27d4eb2f)) >>> 0)
  random.bits()
  return random.bits()
}

/** Any text as a seed; decimal numbers below 2^32 stand for themselves. */
export function seedOfText(text: string): number {
  if (/^\d{1,10}$/.test(text) && Number(text) < 2 ** 32) return Number(text)
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0
  return hash
}
