/** `pagewright replay FILE`: replays the log of a program on the simulation. Floor 11. */
import { jsonOfReplay, textOfReplay } from "../proof/replay/report.ts"
import { Session } from "../proof/replay/session.ts"
import { CommandError, EXIT_CHECK_FAILED, EXIT_OK, type Io } from "./io.ts"
import { commandErrorOf, type ReadInto, whileReading } from "./log-file.ts"

/** How to replay. */
export interface ReplayOptions {
  readonly json: boolean
  /** The call after which the address space is shown. */
  readonly at: number | undefined
}

/** Replays `file`; answers the exit code. */
export async function replayFile(file: string, options: ReplayOptions, io: Io): Promise<number> {
  const session = new Session(options.at === undefined ? {} : { at: options.at })
  await replay(file, session, io)
  const { tally } = session
  if (options.at !== undefined && tally.snapshot === undefined) {
    throw new CommandError(`${file}: there is no call ${options.at}; the log has ${tally.total.total} calls, from 0`)
  }
  io.out(options.json ? `${JSON.stringify(jsonOfReplay(tally, file))}\n` : textOfReplay(tally, file))
  return tally.agrees ? EXIT_OK : EXIT_CHECK_FAILED
}

function replay(file: string, session: Session, io: Io): Promise<void> {
  const { tally } = session
  const progress = (): string => `${tally.total.total} calls, ${tally.differences} disagreements`
  return whileReading({ command: "replay", progress }, io, async (readInto: ReadInto) => {
    await readInto(file, session.lines)
    try {
      session.finish()
    } catch (error) {
      throw commandErrorOf(file, session.lines, error)
    }
  })
}
