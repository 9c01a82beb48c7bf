/** Keeps the outside world out while schedules are played: that is one synchronous turn, so nobody else notices. Floor 9,
 * internal.
 */
const refused = ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "fetch"] as const

/** Runs `f` while timers, microtasks, `fetch` and `Math.random` throw and `Date.now` stands still: what would let time or
 * chance in would make a schedule that cannot be played again. Promises cannot be refused; who waits for one never goes on,
 * and that is said.
 */
export function sealed<A>(f: () => A): A {
  const now = Date.now
  const dice = Math.random
  const kept = refused.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)] as const)
  const refuse = (name: string) => (): never => {
    throw new Error(`${name} is outside the explorer's control`)
  }
  for (const [name, descriptor] of kept)
    if (descriptor !== undefined)
      Object.defineProperty(globalThis, name, { configurable: true, writable: true, value: refuse(name) })
  Date.now = () => 0
  Math.random = () => (isHash(new Error().stack) ? dice() : refuse("Math.random")())
  try {
    return f()
  } finally {
    for (const [name, descriptor] of kept)
      if (descriptor !== undefined) Object.defineProperty(globalThis, name, descriptor)
    Date.now = now
    Math.random = dice
  }
}

/** Is Effect asking, which gives objects numbers of their own to tell them apart by? That decides no order. */
const isHash = (stack: string | undefined): boolean => stack !== undefined && /\bHash\.[jt]s\b/.test(stack)
