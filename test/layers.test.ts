/** `lib` as it stands obeys the architecture's floors (the rules: `tools/layers.ts`). */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { checkLayers } from "../tools/layers.ts"
import { root } from "../tools/run.ts"
import { filesUnder } from "../tools/source.ts"

it("lib obeys the floors", () => {
  const tree = new Map(filesUnder(root, "lib", ".ts").map((file) => [file, readFileSync(join(root, file), "utf8")]))
  expect(tree.size).toBeGreaterThan(0)
  expect(checkLayers(tree).join("\n")).toBe("")
})
