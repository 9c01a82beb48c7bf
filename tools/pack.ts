/** Packs what is built and checks the tarball: its manifest (publint), and its types as consumers see them (attw). */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { root, run } from "./run.ts"

async function main(): Promise<number> {
  mkdirSync(join(root, "temp"), { recursive: true })
  const folder = mkdtempSync(join(root, "temp", "pack-"))
  try {
    const packed = await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", folder])
    const name = packed.output.trim().split("\n").at(-1) ?? ""
    if (packed.code !== 0) return tell(packed.output)
    const tarball = join(folder, name)
    for (const [tool, ...args] of [
      ["publint", tarball, "--strict"],
      ["attw", tarball, "--profile", "esm-only"]
    ] as const) {
      const { code, output } = await run(tool, args)
      if (code !== 0) return tell(output)
    }
    return 0
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function tell(output: string): number {
  console.error(output)
  return 1
}

process.exitCode = await main()
