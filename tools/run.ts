/** Runs the commands that the tools are made of. */
import { spawn } from "node:child_process"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

/** The repository's top folder, with a slash at the end. */
export const root = fileURLToPath(new URL("../", import.meta.url))

export type Finished = { readonly code: number; readonly output: string }

const withLocalBin = {
  ...process.env,
  PATH: join(root, "node_modules", ".bin") + delimiter + (process.env["PATH"] ?? "")
}

/** Runs `command` and keeps what it prints. A signal counts as exit code 1. */
export function run(command: string, args: ReadonlyArray<string>, cwd: string = root): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: withLocalBin, stdio: ["ignore", "pipe", "pipe"] })
    const chunks: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk))
    child.on("error", reject)
    child.on("close", (code) => resolve({ code: code ?? 1, output: Buffer.concat(chunks).toString("utf8") }))
  })
}

/** Runs `command` in the top folder on this terminal. Ctrl-C reaches the child, which decides how to end. */
export function runHere(command: string, args: ReadonlyArray<string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env: withLocalBin, stdio: "inherit" })
    const leaveItToTheChild = (): void => undefined
    process.on("SIGINT", leaveItToTheChild)
    child.on("error", reject)
    child.on("close", (code, signal) => {
      process.off("SIGINT", leaveItToTheChild)
      resolve(code ?? (signal === "SIGINT" ? 130 : 1))
    })
  })
}
