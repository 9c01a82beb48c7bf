/**
 * Builds `lib` into `dist`: plain tsc, one file for one file, then removes what has no source any more, and links the command,
 * so that `npx pagewright` works in a clone. `--if-stale` does nothing when every file of `dist` is newer than its source.
 */
import { chmodSync, existsSync, readdirSync, rmSync, statSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { root, run } from "./run.ts"

const lib = join(root, "lib")
const dist = join(root, "dist")
const settings = ["tsconfig.json", "tsconfig.build.json"].map((name) => join(root, name))

const filesOf = (folder: string): Array<string> =>
  existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }) : []

const changedAt = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Says whether some file of `dist` is missing or older than its source or the compiler's settings. */
export function isStale(): boolean {
  const settingsAt = Math.max(...settings.map(changedAt))
  return filesOf(lib)
    .filter((name) => name.endsWith(".ts"))
    .some((name) => {
      const built = changedAt(join(dist, name.replace(/\.ts$/, ".js")))
      return built < settingsAt || built < changedAt(join(lib, name))
    })
}

/** Builds; answers the compiler's exit code. What it says goes to stderr, so that `npm pack --json` stays clean. */
export async function build(): Promise<number> {
  const { code, output } = await run("tsc", ["-p", "tsconfig.build.json"])
  process.stderr.write(output)
  for (const name of filesOf(dist)) {
    const source = /^(.*)(?:\.js|\.js\.map|\.d\.ts|\.d\.ts\.map)$/.exec(name)?.[1]
    if (source !== undefined && !existsSync(join(lib, `${source}.ts`))) rmSync(join(dist, name), { force: true })
  }
  const bin = join(dist, "cli", "bin.js")
  if (existsSync(bin)) {
    chmodSync(bin, 0o755)
    linkCommand()
  }
  return code
}

/** Puts the command where npx looks, as npm does for whoever installs the package, but not in the package's own folder. */
function linkCommand(): void {
  const folder = join(root, "node_modules", ".bin")
  const command = join(folder, "pagewright")
  if (process.platform === "win32" || !existsSync(folder)) return
  rmSync(command, { force: true })
  symlinkSync(join("..", "..", "dist", "cli", "bin.js"), command)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = process.argv.includes("--if-stale") && !isStale() ? 0 : await build()
}
