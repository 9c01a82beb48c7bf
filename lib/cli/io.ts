/** What the command line writes to, and how a command gives up. Floor 11. */

/** Where a command's words go; tests give their own. */
export type Io = {
  /** Writes to standard output; the caller ends its lines. */
  readonly out: (text: string) => void
  /** Writes to standard error; the caller ends its lines. */
  readonly err: (text: string) => void
}

/** The exit codes of every command. */
export const EXIT_OK = 0
/** A check did not hold: a divergence, a leak. */
export const EXIT_CHECK_FAILED = 1
/** The command could not be carried out: bad usage, unreadable input, a scenario that died. */
export const EXIT_ERROR = 2
/** Ended by Ctrl-C. */
export const EXIT_INTERRUPTED = 130

/** Ends a command with one line for the user. The stack of `cause` is shown only with --debug. */
export class CommandError extends Error {
  readonly exitCode: number

  constructor(message: string, options: { readonly cause?: unknown; readonly exitCode?: number } = {}) {
    super(message, { cause: options.cause })
    this.exitCode = options.exitCode ?? EXIT_ERROR
  }
}

const longestLine = 600

/** The first line that says something, of an error or of anything thrown. */
export function firstLine(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message || thrown.name : plain(thrown)
  const line = text.split("\n").find((each) => each.trim() !== "") ?? "no reason given"
  return line.length > longestLine ? `${line.slice(0, longestLine)}…` : line.trim()
}

const mostFindings = 12

/** All that a failed check has to say, a line a finding; of many only the first. */
export function findingsOf(thrown: unknown): string {
  const lines = (thrown instanceof Error ? thrown.message : plain(thrown))
    .split("\n")
    .filter((one) => one.trim() !== "")
  if (lines.length === 0) return firstLine(thrown)
  const shown = lines
    .slice(0, mostFindings)
    .map((one) => (one.length > longestLine ? `${one.slice(0, longestLine)}…` : one))
  const more = lines.length - shown.length
  return [...shown, ...(more > 0 ? [`  and ${more} more`] : [])].join("\n").trim()
}

/** A failure without a message of its own is named by its tag, as `EBUSY` is. */
function plain(thrown: unknown): string {
  if (typeof thrown === "object" && thrown !== null) {
    if ("message" in thrown && typeof thrown.message === "string" && thrown.message !== "") return thrown.message
    if ("_tag" in thrown && typeof thrown._tag === "string") return thrown._tag
    return JSON.stringify(thrown)
  }
  return String(thrown)
}

/** Everything that is known of what was thrown: for --debug. */
export const stackOf = (thrown: unknown): string =>
  thrown instanceof Error ? (thrown.stack ?? thrown.message) + causeOf(thrown) : plain(thrown)

const causeOf = (error: Error): string => (error.cause === undefined ? "" : `\ncaused by: ${stackOf(error.cause)}`)
