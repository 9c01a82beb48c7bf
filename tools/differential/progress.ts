/** How far a run is, on a terminal. */

/** Shows how far a run is; does nothing where nobody looks. */
export interface Progress {
  readonly show: (operations: number, differences: number) => void
  readonly clear: () => void
}

/** Milliseconds between two lines. */
const PERIOD = 200

/** One line that is written over, if `stream` is a terminal. */
export function progressOn(stream: NodeJS.WriteStream | undefined): Progress {
  if (stream?.isTTY !== true) return { show: () => {}, clear: () => {} }
  let shown = 0
  return {
    show: (operations, differences) => {
      const now = performance.now()
      if (now - shown < PERIOD) return
      shown = now
      stream.write(`\r\u001b[K${operations} operations, ${differences} differences`)
    },
    clear: () => void stream.write("\r\u001b[K")
  }
}
