/** The public API's report in `etc/`: checks it, or with `--local` writes it. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { root, run } from "./run.ts"

const configs = ["api-extractor.json", "api-extractor.testing.json"]

async function main(flags: ReadonlyArray<string>): Promise<number> {
  mkdirSync(join(root, "etc"), { recursive: true })
  let worst = 0
  for (const config of configs) {
    const { code, output } = await run("api-extractor", ["run", "-c", config, ...flags])
    const said = output.split("\n").filter((line) => /^(?:Warning|Error|ERROR)|\d+:\d+ - /.test(line.trim()))
    if (code !== 0) console.error(`${config}:\n${said.join("\n")}`)
    worst = Math.max(worst, code)
  }
  if (worst !== 0 && !flags.includes("--local")) {
    console.error(
      "the API changed or has faults: mend what is named, run `npm run api`, read and commit the diff of etc/"
    )
  }
  return worst
}

process.exitCode = await main(process.argv.slice(2))
