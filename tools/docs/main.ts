/**
 * `npm run docs`: the API model of the built types as Markdown, with the guide and the specification as one site.
 * The site lands in docs/.vitepress/dist; `npx vitepress preview docs` serves it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor"
import { root, run } from "../run.ts"
import { withBlocksInModel } from "./blocks.ts"

const models = join(root, "temp", "model")
const pages = join(root, "docs", "api")

/** Both doors. api-documenter reads one entry point per package, so a door other than the first poses as a package. */
const doors = [
  { config: "api-extractor.json", name: "pagewright" },
  { config: "api-extractor.testing.json", name: "pagewright-testing" }
]

/** Writes the model of one door, apart from the report, which `npm run api` writes and checks. */
function writeModel(config: string, name: string): void {
  const configObjectFullPath = join(root, config)
  const configObject = ExtractorConfig.loadFile(configObjectFullPath)
  const apiJsonFilePath = join(models, `${name}.api.json`)
  configObject.apiReport = { enabled: false }
  configObject.docModel = { enabled: true, apiJsonFilePath }
  Extractor.invoke(
    ExtractorConfig.prepare({ configObject, configObjectFullPath, packageJsonFullPath: join(root, "package.json") }),
    { localBuild: true, messageCallback: (message) => void (message.handled = true) }
  )
  const text = readFileSync(apiJsonFilePath, "utf8").replaceAll('"pagewright!', `"${name}!`)
  const model = withBlocksInModel(JSON.parse(text)) as Record<string, unknown>
  writeFileSync(apiJsonFilePath, JSON.stringify({ ...model, name }))
}

/** Labels of blocks come out of api-documenter escaped: it takes no emphasis from comments. */
function emphasiseLabels(): void {
  for (const name of readdirSync(pages)) {
    const page = join(pages, name)
    const text = readFileSync(page, "utf8")
    writeFileSync(page, text.replaceAll(/\\\*\\\*([A-Z][a-z ]+:)\\\*\\\*/g, "**$1**"))
  }
}

async function main(): Promise<number> {
  rmSync(models, { recursive: true, force: true })
  rmSync(pages, { recursive: true, force: true })
  mkdirSync(models, { recursive: true })
  for (const { config, name } of doors) writeModel(config, name)
  for (const [tool, ...args] of [
    ["api-documenter", "markdown", "-i", models, "-o", pages],
    ["vitepress", "build", "docs"]
  ] as const) {
    const { code, output } = await run(tool, args)
    if (code !== 0) {
      console.error(output)
      return code
    }
    if (tool === "api-documenter") emphasiseLabels()
  }
  console.log("the site stands in docs/.vitepress/dist; npx vitepress preview docs serves it")
  return 0
}

process.exitCode = await main()
