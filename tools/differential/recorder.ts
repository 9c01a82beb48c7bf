/** The recorder as a child process: a program in, the lines of its recording out. */
import { type ChildProcess, spawn } from "node:child_process"
import { chmodSync, mkdtempSync } from "node:fs"
import { join } from "node:path"
import { commandOf, jsonOfAnswer } from "./calls.ts"
import { type HostFacts, limitNumbers, type Workshop } from "./host.ts"
import { jsonOfCall, jsonOfSetting, type Program } from "./program.ts"

/** The recorder is gone, or says what cannot be. */
export class RecorderError extends Error {
  override readonly name = "RecorderError"
}

interface Waiting {
  readonly program: Program
  readonly lines: string[]
  readonly resolve: (lines: readonly string[]) => void
  readonly reject: (error: unknown) => void
}

/** Records programs, one after another, in the order in which they are given. */
export class Recorder {
  private readonly child: ChildProcess
  private readonly waiting: Waiting[] = []
  private rest = ""
  private said = ""

  /**
   * @param cpu - the processor that it and what it records stay on
   */
  constructor(
    workshop: Workshop,
    private readonly facts: HostFacts,
    cpu: number
  ) {
    const [files, stub] = [workshop.files, workshop.folder].map((folder) => mkdtempSync(join(folder, "own-")))
    chmodSync(files!, 0o755)
    this.child = spawn(workshop.program, [files!, join(stub!, "subject"), String(cpu)], {
      stdio: ["pipe", "pipe", "pipe"]
    })
    this.child.stdout!.setEncoding("latin1").on("data", (text: string) => this.take(text))
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.said += text))
    this.child.stdin!.on("error", () => {}) // told by its end
    this.child.on("error", (error) => this.fail(error.message))
    this.child.on("close", (code, signal) =>
      this.fail(`the recorder ended (${signal ?? code})${this.said === "" ? "" : `: ${this.said.trim()}`}`)
    )
  }

  /** The lines of format 1 that running `program` here makes: a header, a line an operation, an end. */
  record(program: Program): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ program, lines: [], resolve, reject })
      this.child.stdin!.write(this.commandsOf(program))
    })
  }

  /** Ends the recorder and everything that it traces. */
  close(): void {
    this.child.stdin!.end()
    this.child.kill("SIGKILL") // what it traces ends with it
  }

  private commandsOf({ calls, rlimits, root }: Program): string {
    const limits = new Map([...this.facts.limits, ...[...rlimits].map(([name, n]) => [name, [n, n]] as const)])
    const words = [...limits].flatMap(([name, [soft, hard]]) =>
      [limitNumbers[name], soft, hard].map((n) => hexOfLimit(n ?? 0))
    )
    const usesSegments = calls.some(({ name }) => name === "shmget")
    const lines = calls.map((each) => {
      const command = commandOf(each)
      if (command === undefined) throw new RecorderError(`the recorder does not know the call ${each.name}`)
      return command
    })
    return `begin ${root ? 1 : 0} ${usesSegments ? 1 : 0} ${this.facts.avoids.has("huge") ? 1 : 0} ${words.join(" ")}\n${lines.join("")}end\n`
  }

  private take(text: string): void {
    const lines = (this.rest + text).split("\n")
    this.rest = lines.pop() ?? ""
    for (const line of lines) this.takeLine(line)
  }

  /** One line of the recorder: H header, O operation, N nothing was run, E end, D the process was lost. */
  private takeLine(line: string): void {
    const run = this.waiting[0]
    if (run === undefined) return this.fail(`the recorder says ${line}, unasked`)
    const { lines, program } = run
    const [kind, ...fields] = line.split("\t")
    const i = lines.length - 1
    if (kind === "H") {
      lines.push(`{${jsonOfSetting(program)},"host":${this.facts.json},${fields[0] ?? ""}}`)
    } else if (kind === "O") {
      const its = program.calls[i]!
      lines.push(`{${jsonOfCall(its, i)},${jsonOfAnswer(its, fields)}${fields[5] ?? ""}}`)
    } else if (kind === "N") {
      lines.push(`{${jsonOfCall(program.calls[i]!, i)},"r":"${fields[0] ?? ""}"}`)
    } else {
      lines.push(kind === "E" ? `{"end":${fields[0] ?? ""}}` : `{"dead":${JSON.stringify(fields[0] ?? "")}}`)
      this.waiting.shift()
      run.resolve(lines)
    }
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.splice(0)) reject(new RecorderError(message))
  }
}

/** Infinity is what the kernel calls RLIM_INFINITY: all ones. */
const hexOfLimit = (n: number): string => (n === Infinity ? "ffffffffffffffff" : n.toString(16))
