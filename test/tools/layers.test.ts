import { expect, it } from "vitest"
import { checkLayers, floorOf } from "../../tools/layers.ts"

const faults = (files: Record<string, string>): ReadonlyArray<string> => checkLayers(new Map(Object.entries(files)))

it("knows the floor of each folder and of the doors", () => {
  expect(floorOf("lib/flags/Errno.ts")).toBe(0)
  expect(floorOf("lib/mm/kernel.ts")).toBe(2)
  expect(floorOf("lib/mm/sys/nommu/region.ts")).toBe(6)
  expect(floorOf("lib/index.ts")).toBe(10)
  expect(floorOf("lib/cli/bin.ts")).toBe(11)
  expect(floorOf("lib/mm/other.ts")).toBeUndefined()
})

it("lets imports go down and stay level", () => {
  const down = faults({
    "lib/mm/area/vma.ts": 'import { EINVAL } from "../../flags/Errno.ts"\nimport type { Mm } from "./mm.ts"\n',
    "lib/mm/area/mm.ts": 'import { a } from "../base/units.ts"\n',
    "lib/mm/base/units.ts": 'import type { Brand } from "ts-brand"\n',
    "lib/flags/Errno.ts": "export const EINVAL = -22\n"
  })
  expect(down).toEqual([])
})

it("refuses an import that goes up, with file, line, import and rule", () => {
  expect(faults({ "lib/mm/area/mm.ts": '\nimport { walk } from "../page/walk.ts"\n' })).toEqual([
    "lib/mm/area/mm.ts:2: floor 3 imports ../page/walk.ts of floor 4 (imports-go-down)"
  ])
})

it.each([
  ["type-only", 'import type { Walk } from "../page/walk.ts"'],
  ["inline type", 'import { type Walk } from "../page/walk.ts"'],
  ["over several lines", 'import {\n  walk,\n  more\n} from "../page/walk.ts"'],
  ["re-exporting", 'export * from "../page/walk.ts"'],
  ["dynamic", 'const walk = await import("../page/walk.ts")'],
  ["in a type position", 'export type W = import("../page/walk.ts").Walk'],
  ["for its effect", 'import "../page/walk.ts"']
])("counts an import that is %s", (_what, text) => {
  expect(faults({ "lib/mm/area/mm.ts": text })).toEqual([expect.stringContaining("(imports-go-down)")])
})

it("takes no notice of imports in comments and strings", () => {
  const text =
    '// import "../page/walk.ts"\n/* import x from "../page/walk.ts" */\nexport const s = `import "../page/a.ts"`\n'
  expect(faults({ "lib/mm/area/mm.ts": text })).toEqual([])
})

it("keeps stores from importing the kernel that is made of them", () => {
  expect(faults({ "lib/mm/store/vmas.ts": 'import type { Kernel } from "../kernel.ts"' })).toEqual([
    "lib/mm/store/vmas.ts:1: a store imports ../kernel.ts, which is made of the stores (no-store-imports-kernel)"
  ])
})

it("finds a circle inside a floor once, type-only imports included", () => {
  const found = faults({
    "lib/mm/area/a.ts": 'import { b } from "./b.ts"',
    "lib/mm/area/b.ts": 'import type { C } from "./c.ts"',
    "lib/mm/area/c.ts": 'import { a } from "./a.ts"'
  })
  expect(found).toEqual([
    "lib/mm/area/a.ts:1: imports in a circle: " +
      "lib/mm/area/a.ts > lib/mm/area/b.ts > lib/mm/area/c.ts > lib/mm/area/a.ts (no-circles)"
  ])
})

it("allows node: in lib/cli and in *.node.ts only", () => {
  const text = 'import { readFileSync } from "node:fs"'
  expect(faults({ "lib/cli/bin.ts": text, "lib/vma/HostFile.node.ts": text })).toEqual([])
  expect(faults({ "lib/vma/HostFile.ts": text })).toEqual([expect.stringContaining("(node-only-in-cli)")])
})

it("keeps Effect and every package but the brands out of the core", () => {
  expect(faults({ "lib/mm/sys/mmap.ts": 'import { Effect } from "effect"' })).toEqual([
    "lib/mm/sys/mmap.ts:1: floor 6 imports effect; the core is free of packages (core-stands-alone)"
  ])
  expect(faults({ "lib/vma/Mm.ts": 'import { Effect } from "effect"' })).toEqual([])
})

it("keeps lib from importing itself by name", () => {
  expect(faults({ "lib/vma/Mm.ts": 'import { Page } from "pagewright"' })).toEqual([
    expect.stringContaining("(no-self-import)")
  ])
})

it("lets the doors hold re-exports only", () => {
  const door =
    '/** The door. */\nexport * as Mm from "./vma/Mm.ts"\nexport { type A, b } from "./vma/Page.ts"\nexport {}\n'
  expect(faults({ "lib/index.ts": door })).toEqual([])
  expect(faults({ "lib/testing.ts": `${door}export const draw = 1\n` })).toEqual([
    "lib/testing.ts:5: holds something other than re-exports (re-exports-only)"
  ])
})

it("wants a floor for every file and at most 400 lines", () => {
  expect(faults({ "lib/helpers.ts": "" })).toEqual([expect.stringContaining("(every-file-has-a-floor)")])
  expect(faults({ "lib/flags/bits.ts": "//\n".repeat(400) })).toEqual([])
  expect(faults({ "lib/flags/bits.ts": "//\n".repeat(401) })).toEqual([
    "lib/flags/bits.ts:401: 401 lines; the ceiling is 400 (file-size)"
  ])
})

it("lets one file change mapping sets, one walk take pages back, and nobody else look for who maps what", () => {
  const walk =
    "export const f = (k: K) => {\n  for (let v = k.mappings.find(1, 0, 9); v !== 0; v = k.mappings.next(v, 0, 9)) zap(v)\n}\n"
  expect(faults({ "lib/mm/object/invalidate.ts": walk })).toEqual([])
  expect(faults({ "lib/mm/object/truncate.ts": walk })).toEqual([
    expect.stringMatching(/^lib\/mm\/object\/truncate\.ts:2: walks a mapping set; only .* \(one-mapping-set\)$/),
    expect.stringContaining("(one-mapping-set)")
  ])
  expect(faults({ "lib/vma/driver.ts": "export const f = (k: K) => k.mappings.add(1, 2)\n" })).toEqual([
    "lib/vma/driver.ts:1: changes a mapping set; only lib/mm/area/object.ts may (one-mapping-set)"
  ])
  expect(faults({ "lib/mm/object/shmem.ts": "export const f = (k: K) => k.vmas.limit()\n" })).toEqual([
    expect.stringContaining("walks all areas")
  ])
  expect(faults({ "lib/mm/object/shmem.ts": "// k.mappings.find(\n" })).toEqual([])
})

const verb = "export function* lock(k: K): Verb {\n  yield 1\n}\n"

it.each([
  ["alone on a line", "export function f(k: K) {\n  lock(k)\n}\n"],
  ["after another statement", "export function f(k: K) {\n  const a = 1\n  lock(k)\n}\n"],
  ["behind a condition", "export function f(k: K) {\n  if (k) lock(k)\n}\n"],
  ["behind void", "export function f(k: K) {\n  void lock(k)\n}\n"],
  ["across lines", "export function f(k: K) {\n  lock(\n    k\n  )\n}\n"]
])("finds a verb that is called without yield*: %s", (_where, text) => {
  const found = faults({
    "lib/mm/area/lock.ts": verb,
    "lib/mm/sys/f.ts": `import { lock } from "../area/lock.ts"\n${text}`
  })
  expect(found).toEqual([expect.stringMatching(/^lib\/mm\/sys\/f\.ts:\d+: .*nobody runs \(verbs-are-delegated\)$/)])
})

it.each([
  ["delegated", "export function* f(k: K) {\n  yield* lock(k)\n}\n"],
  ["returned", "export const f = (k: K) => lock(k)\nexport function g(k: K) {\n  return lock(k)\n}\n"],
  ["kept", "export function f(k: K) {\n  const verb =\n    lock(k)\n  return verb\n}\n"],
  ["passed on", "export const f = (k: K) => drive(\n  lock(k)\n)\n"],
  ["a method of something else", "export function f(k: K) {\n  k.mutex.lock(k)\n}\n"]
])("leaves a verb alone that is %s", (_where, text) => {
  const found = faults({
    "lib/mm/area/lock.ts": verb,
    "lib/mm/sys/f.ts": `import { lock } from "../area/lock.ts"\n${text}`
  })
  expect(found).toEqual([])
})

it("follows a verb through a namespace and through another name", () => {
  const found = faults({
    "lib/mm/area/lock.ts": verb,
    "lib/mm/sys/f.ts":
      'import * as mutex from "../area/lock.ts"\nimport { lock as take } from "../area/lock.ts"\n' +
      "export function f(k: K) {\n  mutex.lock(k)\n  take(k)\n}\n"
  })
  expect(found).toHaveLength(2)
})
