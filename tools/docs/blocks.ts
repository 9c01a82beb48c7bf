/**
 * api-documenter renders no tags but TSDoc's own. So the blocks `@locks`, `@partial` and `@source` of a doc comment are
 * moved into its remarks before it reads the model.
 */

const titles: ReadonlyMap<string, string> = new Map([
  ["@locks", "Locks"],
  ["@partial", "Partial effect"],
  ["@source", "Source"]
])

const framed = /^\/\*\*\s?|\s*\*\/\s*$/g
const blockTag =
  /(?<=^|\s)(@(?:locks|partial|source|param|typeParam|returns|remarks|throws|example|see|deprecated|defaultValue|privateRemarks|public|internal|beta|alpha|readonly|sealed|virtual|override|eventProperty|packageDocumentation))(?=\s|$)/

/** A doc comment with its own blocks moved to the end of the remarks. One without such blocks is left as it is. */
export function withBlocksAsRemarks(comment: string): string {
  const text = comment
    .replaceAll(framed, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, ""))
    .join("\n")
  // Text before the first tag, then tag and text in turn.
  const [summary = "", ...parts] = text.split(blockTag)
  const blocks = Array.from({ length: parts.length / 2 }, (_, i) => ({
    tag: parts[2 * i]!,
    body: parts[2 * i + 1]!.trim()
  }))
  const own = blocks
    .filter(({ tag }) => titles.has(tag))
    .map(({ body, tag }) => `**${titles.get(tag)!}:** ${body}`)
    .join("\n\n")
  if (own === "") return comment
  const standard = blocks.filter(({ tag }) => !titles.has(tag))
  const remarks = standard.find(({ tag }) => tag === "@remarks")
  const body = [
    summary.trim(),
    ["@remarks", remarks?.body, own].filter((line) => line !== undefined).join("\n\n"),
    ...standard.filter((block) => block !== remarks).map(({ body, tag }) => `${tag} ${body}`)
  ].join("\n\n")
  return `/**\n${body
    .split("\n")
    .map((line) => ` * ${line}`.trimEnd())
    .join("\n")}\n */\n`
}

/** The same for every doc comment of an API model. */
export function withBlocksInModel(model: unknown): unknown {
  if (Array.isArray(model)) return model.map(withBlocksInModel)
  if (typeof model !== "object" || model === null) return model
  return Object.fromEntries(
    Object.entries(model).map(([key, value]: readonly [string, unknown]) => [
      key,
      key === "docComment" && typeof value === "string" ? withBlocksAsRemarks(value) : withBlocksInModel(value)
    ])
  )
}
