/** One line of a strace log: whose it is, and which of strace's kinds. Floor 9.
 *
 *     [pid 1234] 03:29:34.466435 (+ 0.000017) [   9] mmap(NULL, 4096, ... <unfinished ...>
 *     \________/ \_____________/ \__________/ \____/ \__________________________________/
 *      whose, or   -t -tt -ttt     -r           -n -i  the body
 *      `1234  `, or nothing
 */

/** A line of a thread, without its head. Texts are slices of the line. */
export type ThreadLine =
  /** `name(args) = result`; `args` goes up to the end of the line, for `argumentsOf` to find its closing parenthesis. */
  | { readonly kind: "call"; readonly name: string; readonly args: string }
  /** `name(args <unfinished ...>`; what is known of the arguments. */
  | { readonly kind: "unfinished"; readonly name: string; readonly args: string }
  /** `<... name resumed>rest`: the rest of the arguments, the parenthesis, the result. */
  | { readonly kind: "resumed"; readonly name: string; readonly args: string }
  /** `--- SIGSEGV {...} ---`; `detail` is what stands in the braces. */
  | { readonly kind: "signal"; readonly signal: string; readonly detail: string }
  /** `+++ exited with 0 +++`, `+++ killed by SIGSEGV (core dumped) +++`. */
  | { readonly kind: "gone"; readonly status: number; readonly signal: string }
  /** `+++ superseded by execve in pid 1234 +++`: thread `by` goes on under this line's number. */
  | { readonly kind: "superseded"; readonly by: number }

/** A line without its head. */
type Line =
  | ThreadLine
  /** `strace: Process 1234 attached with 3 threads`. */
  | { readonly kind: "attached"; readonly pid: number; readonly threads: number }
  /** `strace: Process 1234 detached`: nothing more is seen of it. */
  | { readonly kind: "detached"; readonly pid: number }
  /** Something of strace's that says nothing about memory. */
  | { readonly kind: "nothing" }
  | { readonly kind: "malformed"; readonly why: string }

/** A line with its head read. */
export interface Headed {
  /** The number that the line is marked with. */
  readonly pid: number | undefined
  readonly line: Line
}

/** What strace puts into the middle of a line that it has begun, when it writes to a terminal. */
export interface Interrupted {
  /** What was there before. */
  readonly before: string
  readonly message: Line
}

const head =
  /(?:\[pid +(\d+)(?:<[^>]*>)?\] |(\d{1,7})(?:<[^>]*>)? +)?(?: *\d+:\d\d:\d\d(?:\.\d+)? +| *\d+\.\d+ +|\d{9,} +)?(?:\(\+ *\d+\.\d+\) +)?(?:\[ *[0-9a-f?]+\] )*/y
const unfinished = "<unfinished ...>"
const detached = "<detached ...>"

/** Takes a line apart. */
export function lineOf(text: string): Headed {
  head.lastIndex = 0
  const found = head.exec(text)
  const number = found?.[1] ?? found?.[2]
  const line = bodyOf(text, head.lastIndex)
  return { pid: number === undefined ? undefined : Number(number), line }
}

/** The message that breaks off a line which is not over, if there is one: the next line of the log goes on with it. */
export function interruptionOf(text: string): Interrupted | undefined {
  if (!text.endsWith("tached") && !text.endsWith(" threads")) return undefined
  const at = text.lastIndexOf("strace: Process ")
  if (at <= 0) return undefined
  const message = messageOf(text.slice(at))
  if (message.kind !== "attached" && message.kind !== "detached") return undefined
  const before = text.slice(0, at)
  return lineOf(`${before}${unfinished}`).line.kind === "malformed" ? undefined : { before, message }
}

function bodyOf(text: string, at: number): Line {
  switch (text.charCodeAt(at)) {
    case 0x3c: // <
      return resumedOf(text, at)
    case 0x2b: // +
      return goneOf(text.slice(at))
    case 0x2d: // -
      return signalOf(text.slice(at))
    case 0x20: // a line of a stack trace
    case 0x3e: // >
      return /^ *> /.test(text.slice(at)) ? { kind: "nothing" } : { kind: "malformed", why: "no line of strace" }
    case 0x5b: // [
      return /^\[ Process PID=\d+ runs in 64 bit mode/.test(text.slice(at))
        ? { kind: "nothing" }
        : {
            kind: "malformed",
            why: text.slice(at).startsWith("[ Process PID=") ? "not a 64-bit program" : "no line of strace"
          }
    default:
      return callOf(text, at)
  }
}

function callOf(text: string, at: number): Line {
  const open = text.indexOf("(", at)
  const name = open < 0 ? "" : text.slice(at, open)
  if (!isName(name)) return messageOf(text.slice(at))
  const args = text.slice(open + 1)
  const cut = cutOff(args)
  return cut === undefined ? { kind: "call", name, args } : { kind: "unfinished", name, args: cut }
}

const isName = (text: string): boolean => /^(?:[a-zA-Z_]\w*|\?+)$/.test(text)

/** The text before `<unfinished ...>`, if that is how it ends. */
function cutOff(text: string): string | undefined {
  const mark = text.endsWith(unfinished) ? unfinished : text.endsWith(detached) ? detached : undefined
  if (mark === undefined) return undefined
  const cut = text.length - mark.length
  return text.slice(0, text.charCodeAt(cut - 1) === 0x20 ? cut - 1 : cut)
}

function resumedOf(text: string, at: number): Line {
  const found = /<\.\.\. (\S+) resumed>/y
  found.lastIndex = at
  const name = found.exec(text)?.[1]
  if (name === undefined) return { kind: "malformed", why: "no line of strace" }
  return { kind: "resumed", name, args: text.slice(found.lastIndex) }
}

function goneOf(text: string): Line {
  const exited = /^\+\+\+ exited with (\d+) \+\+\+$/.exec(text)
  if (exited !== null) return { kind: "gone", status: Number(exited[1]), signal: "" }
  const killed = /^\+\+\+ killed by (\S+)(?: \(core dumped\))? \+\+\+$/.exec(text)
  if (killed !== null) return { kind: "gone", status: -1, signal: killed[1]! }
  const by = /^\+\+\+ superseded by execve in pid (\d+)(?:<[^>]*>)? \+\+\+$/.exec(text)
  return by !== null ? { kind: "superseded", by: Number(by[1]) } : { kind: "malformed", why: "no end of a process" }
}

function signalOf(text: string): Line {
  const found = /^--- (?:stopped by )?(SIG\w+)(?: \{(.*)\})? ---$/.exec(text)
  if (found === null) return { kind: "malformed", why: "no signal" }
  return found[2] === undefined ? { kind: "nothing" } : { kind: "signal", signal: found[1]!, detail: found[2] }
}

function messageOf(text: string): Line {
  const found = /^strace: Process (\d+)(?:<[^>]*>)? (?:(attached)(?: with (\d+) threads)?|detached)$/.exec(text)
  if (found !== null) {
    const pid = Number(found[1])
    if (found[2] === undefined) return { kind: "detached", pid }
    return { kind: "attached", pid, threads: Number(found[3] ?? 1) }
  }
  return text.startsWith("strace: ") || text === ""
    ? { kind: "nothing" }
    : { kind: "malformed", why: "no line of strace" }
}
