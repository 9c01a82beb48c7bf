/** What the types cost the compiler: instantiations a function that uses them, and time. */
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"

const root = fileURLToPath(new URL("../../", import.meta.url))
const folder = join(root, "temp", "cost")

/** Two functions: a section that does a bit of everything, and a driver. */
const pair = (i: number): string => `
export const section${i} = Locked.withUser(mm, (mm) => Locked.mmapRead(mm, (mmap) => Effect.gen(function*() {
  const vma = yield* mmap.vmaLookup(at)
  if (!vma.has("VM_MIXEDMAP")) return ${i}
  yield* vma.vmInsertPage(at, page)
  yield* (yield* vma.slice(at, Units.pages(1))).zapPageRangeSingle
  yield* Locked.iMmapRead(file, () => Locked.pageTableLock(vma, () => Effect.void))
  return ${i + 1}
})))
export const driver${i} = Device.make({
  open: Effect.succeed({ at: ${i} }),
  mmap: (self, vma) => Effect.gen(function*() {
    const mixed = yield* vma.setMixedmap().setIo().setDontexpand()
    yield* mixed.vmInsertPage(at, page)
    self.at = Units.raw((yield* mixed.tryClearMaywrite()).start)
  }),
  vmOps: { fault: (_, vma) => (vma.has("VM_READ") ? Effect.succeed(page) : Fail.fail("EACCES")) }
})`

function compile(functions: number): { readonly instantiations: number; readonly seconds: number } {
  const head = `import { Effect } from "effect"
import { Device, Fail, Locked, type Mm, type Page, Units } from "pagewright"
declare const mm: Mm.Mm
declare const file: Locked.Mapping
declare const page: Page.Page
const at = Units.va("0x2000")`
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, "use.ts"), head + Array.from({ length: functions / 2 }, (_, i) => pair(i)).join("\n"))
  writeFileSync(
    join(folder, "tsconfig.json"),
    `{ "extends": "../../tsconfig.json", "compilerOptions": { "noUnusedLocals": false }, "include": ["."], "exclude": [] }`
  )
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--extendedDiagnostics"], { encoding: "utf8" })
  expect(stdout).not.toMatch(/use\.ts.*error/)
  const number = (name: string): number => Number(new RegExp(`^${name}:\\s*([\\d.]+)`, "m").exec(stdout)?.[1])
  return { instantiations: number("Instantiations"), seconds: number("Check time") }
}

// 4 s where the library alone takes 0.4 s: a busy machine is slower at both.
it(
  "six hundred functions cost at most 1,200 instantiations each, and ten times the library's own check",
  { timeout: 120_000 },
  () => {
    const few = compile(2)
    const many = compile(602)
    rmSync(folder, { recursive: true, force: true })
    const each = (many.instantiations - few.instantiations) / 600
    expect(each).toBeGreaterThan(100) // it was measured at all
    expect(each).toBeLessThan(1200)
    expect(many.seconds).toBeLessThan(10 * few.seconds)
  }
)
