/** The host: may scripts run here, and the compiled `threads.c` as a child process. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { release, tmpdir } from "node:os"
import { join } from "node:path"
import { root } from "../../run.ts"
import { CannotRun } from "../host.ts"
import { MODELLED } from "../profile.ts"
import { type Script, textOfStep, type Transcript } from "./script.ts"

/** A compiled `threads.c`, until it is removed. */
export interface ThreadsProgram {
  readonly path: string
  readonly close: () => void
}

const source = join(root, "tools", "differential", "threads", "threads.c")

/** Compiles `threads.c`. Throws CannotRun. */
export function compileThreads(): ThreadsProgram {
  if (process.platform !== "linux") throw new CannotRun(`this is ${process.platform}; run it on Linux`)
  if (process.arch !== "x64") throw new CannotRun(`the processor is ${process.arch}; only x86-64 is simulated`)
  if (!release().startsWith(`${MODELLED}.`)) {
    throw new CannotRun(`this is Linux ${release()}; userfaultfd with threads is compared on Linux ${MODELLED} only`)
  }
  if (process.getuid?.() !== 0) {
    throw new CannotRun("states of pages are read from /proc/kpageflags, which only root may; run it as root")
  }
  const compiler = process.env["CC"] ?? "cc"
  const folder = mkdtempSync(join(tmpdir(), "pagewright-"))
  const close = (): void => rmSync(folder, { recursive: true, force: true })
  const path = join(folder, "threads")
  const { error, status, stderr } = spawnSync(compiler, ["-O2", "-pthread", "-o", path, source], { encoding: "utf8" })
  if (error === undefined && status === 0) return { path, close }
  close()
  if (error === undefined) throw new CannotRun(`${compiler} refuses threads.c: ${stderr.split("\n")[0] ?? ""}`)
  throw new CannotRun(`no C compiler: ${compiler} cannot be started; install one (gcc or clang), or name it in CC`)
}

interface Waiting {
  readonly lines: string[]
  readonly resolve: (transcript: Transcript) => void
  readonly reject: (error: unknown) => void
}

/** Runs scripts on one processor, one after another, in the order in which they are given. */
export class ThreadsHost {
  private readonly child: ChildProcess
  private readonly waiting: Waiting[] = []
  private rest = ""
  private said = ""

  /**
   * @param cpu - the processor that everything stays on
   */
  constructor(program: ThreadsProgram, cpu: number) {
    this.child = spawn(program.path, [String(cpu)], { stdio: ["pipe", "pipe", "pipe"] })
    this.child.stdout!.setEncoding("latin1").on("data", (text: string) => this.take(text))
    this.child.stderr!.setEncoding("utf8").on("data", (text: string) => (this.said += text))
    this.child.stdin!.on("error", () => {}) // told by its end
    this.child.on("error", (error) => this.fail(error.message))
    this.child.on("close", (code, signal) =>
      this.fail(`threads.c ended (${signal ?? code})${this.said === "" ? "" : `: ${this.said.trim()}`}`)
    )
  }

  run(script: Script): Promise<Transcript> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ lines: [], resolve, reject })
      this.child.stdin!.write(
        `script ${script.name}\n${script.steps.map((each) => `${textOfStep(each)}\n`).join("")}end\n`
      )
    })
  }

  /** Ends the program. What it runs just now ends with it, or by its own alarm after eight seconds. */
  close(): void {
    this.child.stdin!.end()
    this.child.kill("SIGKILL")
  }

  private take(text: string): void {
    const lines = (this.rest + text).split("\n")
    this.rest = lines.pop() ?? ""
    for (const line of lines) {
      const run = this.waiting[0]
      if (run === undefined) return this.fail(`threads.c says ${line}, unasked`)
      if (line.startsWith("script ")) continue
      if (line !== "end" && !line.startsWith("lost ")) run.lines.push(line)
      else {
        this.waiting.shift()
        run.resolve({ lines: run.lines, ...(line === "end" ? {} : { lost: line.slice("lost ".length) }) })
      }
    }
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.splice(0)) reject(new CannotRun(message))
  }
}

/** Asks for a userfaultfd. Throws CannotRun where there is none. */
export async function probeThreads(host: ThreadsHost): Promise<void> {
  const { lines, lost } = await host.run({ name: "probe", steps: [{ name: "userfaultfd", numbers: [0, 0] }] })
  if (lost !== undefined) throw new CannotRun(`a first script ends with ${lost}: may /proc/kpageflags be read here?`)
  if (!lines[0]!.startsWith("ok ")) {
    throw new CannotRun(
      `userfaultfd answers ${lines[0]!.split(" ")[0]}; it needs CONFIG_USERFAULTFD and CAP_SYS_PTRACE`
    )
  }
}
