/** `npm start`: builds if needed, then runs the example driver's scenario. */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { build, isStale } from "./build.ts"
import { root, runHere } from "./run.ts"

const scenario = "examples/binder/main.ts"

async function start(): Promise<number> {
  if (isStale() && (await build()) !== 0) return 1
  if (!existsSync(join(root, scenario))) {
    console.log(`the example is not written yet: ${scenario} is missing`)
    return 0
  }
  return runHere(process.execPath, [join("dist", "cli", "bin.js"), "run", scenario])
}

process.exitCode = await start()
