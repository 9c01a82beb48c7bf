// Lets `node --import ./tools/ts.mjs x.ts` run the project's own TypeScript on Node 20: types are removed, nothing is
// checked. Newer Node takes the hook in the same thread; Node 20 loads this file once more, in its loader thread.
import { readFileSync } from "node:fs"
import * as nodeModule from "node:module"
import { fileURLToPath } from "node:url"
import { isMainThread } from "node:worker_threads"
import { transformSync } from "oxc-transform"

export function load(url, context, nextLoad) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return nextLoad(url, context)
  const file = fileURLToPath(url)
  const { code, errors } = transformSync(file, readFileSync(file, "utf8"))
  if (errors.length > 0) throw new SyntaxError(`${file}: ${errors[0].message}`)
  return { format: "module", source: code, shortCircuit: true }
}

if (nodeModule.registerHooks) nodeModule.registerHooks({ load })
else if (isMainThread) nodeModule.register(import.meta.url)
