/**
 * `npm run try:tarball`: packs the build, installs it into an empty project, compiles the examples there under every
 * TypeScript we promise, and runs them. Needs the registry, so it is not part of `npm test`.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root, run } from "./run.ts"
import { filesUnder } from "./source.ts"

const nodeTypes = "@types/node@20.19.43"
const compilers = ["5.9.3", "6.0.3", "7.0.2"]
const flags =
  "--noEmit --strict --target es2022 --module nodenext --skipLibCheck --allowImportingTsExtensions --types node".split(
    " "
  )
/** Stands in for the examples while there are none. */
const smallest =
  'import * as pagewright from "pagewright"\nimport * as testing from "pagewright/testing"\nvoid [pagewright, testing]\n'

async function step(what: string, command: string, args: ReadonlyArray<string>, cwd: string): Promise<void> {
  const { code, output } = await run(command, args, cwd)
  if (code !== 0) throw new Error(`FAIL  ${what}\n${output}`)
  console.log(`  ok  ${what}`)
}

async function tryTarball(project: string): Promise<void> {
  await step("npm pack", "npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", project], root)
  const tarball = readdirSync(project).find((name) => name.endsWith(".tgz"))!
  await step("npm init", "npm", ["init", "-y"], project)
  await step("npm pkg set", "npm", ["pkg", "set", "type=module"], project) // as the examples are
  // the examples use Node's own modules, whose types a user installs too
  await step("npm install", "npm", ["install", "--no-audit", "--no-fund", `./${tarball}`, nodeTypes], project)
  if (existsSync(join(root, "examples"))) cpSync(join(root, "examples"), join(project, "examples"), { recursive: true })
  else writeFileSync(join(project, "smallest.ts"), smallest)
  const sources = filesUnder(project, "examples", ".ts").filter((file) => !file.endsWith(".test.ts"))
  for (const version of compilers) {
    await step(
      `npm install typescript@${version}`,
      "npm",
      ["install", "--no-audit", "--no-fund", `typescript@${version}`],
      project
    )
    const ignoreConfig = version.startsWith("7") ? ["--ignoreConfig"] : []
    const files = sources.length > 0 ? sources : ["smallest.ts"]
    await step(
      `compile under TypeScript ${version}`,
      "node",
      ["node_modules/typescript/bin/tsc", ...flags, ...ignoreConfig, ...files],
      project
    )
  }
  for (const file of sources.filter((one) => one.endsWith("/main.ts"))) {
    await step(`pagewright run ${file}`, "npx", ["--no-install", "pagewright", "run", file], project)
  }
}

const project = mkdtempSync(join(tmpdir(), "pagewright-user-"))
try {
  await tryTarball(project)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
} finally {
  rmSync(project, { recursive: true })
}
