/** `pagewright replay FILE`: replays the log of a program on the simulation. Floor 11. */
import { statSync, writeFileSync } from "node:fs"
import { basename } from "node:path"
import { History } from "../proof/replay/history.ts"
import { jsonOfReplay, textOfReplay } from "../proof/replay/report.ts"
import { Session } from "../proof/replay/session.ts"
import { svgOf } from "../proof/replay/svg.ts"
import type { Tally } from "../proof/replay/tally.ts"
import { CommandError, EXIT_CHECK_FAILED, EXIT_OK, firstLine, type Io } from "./io.ts"
import { commandErrorOf, type ReadInto, whileReading } from "./log-file.ts"

/** How to replay. */
export interface ReplayOptions {
  readonly json: boolean
  /** The call after which the address space is shown. */
  readonly at: number | undefined
  /** Where a picture of an address space over time goes. */
  readonly svg: string | undefined
  /** Whose address space that is; the process with the most calls if absent. */
  readonly pid: number | undefined
}

/** Replays `file`; answers the exit code. */
export async function replayFile(file: string, options: ReplayOptions, io: Io): Promise<number> {
  if (options.pid !== undefined && options.svg === undefined)
    throw new CommandError("replay: --pid says whose address space --svg draws; without --svg all are told")
  if (options.svg !== undefined && statSync(file, { throwIfNoEntry: false })?.isFile() === false)
    throw new CommandError(`replay: --svg reads the log twice, so ${file} must be a file`)
  const session = new Session(options.at === undefined ? {} : { at: options.at })
  await replay(file, session, io)
  const { tally } = session
  if (options.at !== undefined && tally.snapshot === undefined) {
    throw new CommandError(`${file}: there is no call ${options.at}; the log has ${tally.total.total} calls, from 0`)
  }
  if (options.svg !== undefined) await draw(file, options.svg, tally, options.pid, io)
  io.out(options.json ? `${JSON.stringify(jsonOfReplay(tally, file))}\n` : textOfReplay(tally, file))
  return tally.agrees ? EXIT_OK : EXIT_CHECK_FAILED
}

/** Draws a picture. The log is read once more, now that it is known how long it is. */
async function draw(file: string, to: string, tally: Tally, pid: number | undefined, io: Io): Promise<void> {
  const records = pid === undefined ? tally.processes : tally.processes.filter((record) => record.pid === pid)
  const [most] = [...records].sort((a, b) => b.calls - a.calls)
  if (most === undefined) throw new CommandError(`${file}: there is no process ${pid ?? ""}`)
  const history = new History(most.pid, most.calls)
  await replay(file, new Session({ watch: (call, process, world) => history.watch(call, process, world) }), io)
  const title = `${basename(file)}: process ${most.pid}, ${most.programs.join(" → ")}`
  try {
    writeFileSync(to, svgOf(history, title))
  } catch (cause) {
    throw new CommandError(`${to} cannot be written: ${firstLine(cause)}`, { cause })
  }
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
