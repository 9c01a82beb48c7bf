/** How far a migration has come, while it goes on: one line that changes on a terminal, else a line now and then. */
import { Console, Effect } from "effect"
import { PAGE } from "./layout.ts"
import type { Outgoing } from "./outgoing.ts"

const MIB = 2 ** 20

/** What the destination has placed, and how fast.
 * @param since - `performance.now()` of the stop
 */
export const placed = ({ placed: { background, urgent } }: Outgoing, since: number): string => {
  const rate = ((urgent + background) * PAGE) / MIB / ((performance.now() - since) / 1000)
  return `${urgent} pages on demand, ${background} in the background, ${rate.toFixed(0)} MiB/s`
}

const { stderr } = process
const clear = Effect.sync(() => void (stderr.isTTY && stderr.write("\r\u001b[K")))

/** A line of the story; where progress is shown it makes room. */
export const tell = (line: string) => Effect.andThen(clear, Console.log(line))

/** Tells how far it is until it is interrupted. */
export const tellProgress = (out: Outgoing, since: number) => {
  const soFar = (): string => {
    const percent = (100 * (out.placed.urgent + out.placed.background)) / out.layout.pages
    return `    ${percent.toFixed(0)} %: ${placed(out, since)}`
  }
  const line = stderr.isTTY
    ? Effect.andThen(
        clear,
        Effect.sync(() => void stderr.write(soFar()))
      )
    : Effect.suspend(() => Console.log(soFar()))
  return Effect.forever(Effect.andThen(Effect.sleep(stderr.isTTY ? "100 millis" : "1 second"), line))
}
