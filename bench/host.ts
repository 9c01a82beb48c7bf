/** The host kernel's side: a C program, compiled on the spot where there is a compiler. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { type Figures, note } from "./measure.ts"

/** The compiled program, until it is closed. */
export interface Host {
  /** Runs it once; what it prints goes into `figures`. */
  readonly run: (figures: Figures) => void
  readonly close: () => void
}

/** Compiles `kernel.c`; answers a sentence that says why not, where that fails. */
export function compile(): Host | string {
  if (process.platform !== "linux") return `the host is ${process.platform}, not Linux`
  const folder = mkdtempSync(join(tmpdir(), "pagewright-bench-"))
  const close = (): void => rmSync(folder, { recursive: true, force: true })
  const program = join(folder, "kernel")
  const source = fileURLToPath(new URL("kernel.c", import.meta.url))
  const compiler = process.env["CC"] ?? "cc"
  const cc = spawnSync(compiler, ["-O2", "-pthread", "-o", program, source], { encoding: "utf8" })
  if (cc.status !== 0) {
    close()
    return cc.error === undefined
      ? `${compiler} refuses kernel.c: ${cc.stderr.split("\n")[0]}`
      : `no C compiler (${compiler}) on the path`
  }
  return { run: (figures) => parse(figures, execFileSync(program, { encoding: "utf8" })), close }
}

/** Reads lines "id ns". */
export function parse(figures: Figures, text: string): void {
  for (const line of text.split("\n")) {
    const [id, ns] = line.split(" ")
    if (id !== undefined && ns !== undefined) note(figures, id, Number(ns))
  }
}
