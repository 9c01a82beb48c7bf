/** The clock of the measuring programs. */

/** Figures by row id, in nanoseconds an operation. */
export type Figures = Map<string, number>

const clock = (): number => Number(process.hrtime.bigint())

/** Keeps the smaller figure: other processes only ever add. */
export function note(figures: Figures, id: string, ns: number): void {
  const known = figures.get(id)
  if (known === undefined || ns < known) figures.set(id, ns)
}

/** Times `body` once and notes it, spread over `operations`. */
export function timed(figures: Figures, id: string, operations: number, body: () => void): void {
  const from = clock()
  body()
  note(figures, id, (clock() - from) / operations)
}

/** Times `body(operations)` often and keeps the best. The first runs are V8's: until a branch was taken once, its first time
 * costs a recompilation.
 */
export function best(figures: Figures, id: string, operations: number, body: (n: number) => void): void {
  for (let i = 0; i < 5; i++) body(operations)
  for (let i = 0; i < 15; i++) timed(figures, id, operations, () => body(operations))
}

let sink = 0
/** Uses a result, so that the loop that made it is not removed. */
export function use(x: number): void {
  sink = (sink + x) | 0
}
