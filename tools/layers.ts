/** The architecture as rules over `lib`: floors, no circles, no `node:` below the command line, small files, one mapping set. */
import { posix } from "node:path"
import { type Import, importsOf, lineOf, read } from "./source.ts"

/** Path (relative to the top folder) to text. */
export type Tree = ReadonlyMap<string, string>

/** The first entry that fits names the floor. A folder ends in `/`. */
const floors: ReadonlyArray<readonly [prefix: string, floor: number]> = [
  ["lib/flags/", 0],
  ["lib/mm/base/", 1],
  ["lib/mm/store/", 2],
  ["lib/mm/kernel.ts", 2],
  ["lib/mm/area/", 3],
  ["lib/mm/page/", 4],
  ["lib/mm/object/", 5],
  ["lib/mm/sys/", 6],
  ["lib/mm/proc/", 6],
  ["lib/mm/guest/", 7],
  ["lib/vma/", 8],
  ["lib/proof/", 9],
  ["lib/index.ts", 10],
  ["lib/testing.ts", 10],
  ["lib/cli/", 11]
]

const topOfTheCore = 7
const reExports = 10
const commandLine = 11
const mostLines = 400
const coreMayImport = new Set(["ts-brand"])

/** The floor of a file of `lib`, or `undefined`. */
export const floorOf = (file: string): number | undefined =>
  floors.find(([prefix]) => (prefix.endsWith("/") ? file.startsWith(prefix) : file === prefix))?.[1]

const isRelative = (from: string): boolean => from.startsWith("./") || from.startsWith("../")

const target = (file: string, from: string): string => posix.join(posix.dirname(file), from)

const fault = (file: string, line: number, what: string, rule: string): string => `${file}:${line}: ${what} (${rule})`

function faultsOfImport(file: string, floor: number, { from, line }: Import): ReadonlyArray<string> {
  const found: Array<string> = []
  if (isRelative(from)) {
    const to = target(file, from)
    const toFloor = floorOf(to)
    if (toFloor !== undefined && toFloor > floor) {
      found.push(fault(file, line, `floor ${floor} imports ${from} of floor ${toFloor}`, "imports-go-down"))
    }
    if (file.startsWith("lib/mm/store/") && to === "lib/mm/kernel.ts") {
      found.push(fault(file, line, `a store imports ${from}, which is made of the stores`, "no-store-imports-kernel"))
    }
    return found
  }
  if (from.startsWith("node:") && floor !== commandLine && !file.endsWith(".node.ts")) {
    found.push(fault(file, line, `imports ${from} outside lib/cli and *.node.ts`, "node-only-in-cli"))
  } else if (from === "pagewright" || from.startsWith("pagewright/")) {
    found.push(fault(file, line, `imports ${from}, which is this library itself`, "no-self-import"))
  } else if (floor <= topOfTheCore && !coreMayImport.has(from)) {
    found.push(fault(file, line, `floor ${floor} imports ${from}; the core is free of packages`, "core-stands-alone"))
  }
  return found
}

/** Only re-exports may be left once they and the comments are taken out. */
function faultsOfDoor(file: string, text: string): ReadonlyArray<string> {
  const rest = read(text).code.replaceAll(
    /export\s+(?:type\s+)?(?:\*(?:\s+as\s+[\w$]+)?\s*from\s*["'][^"']+["']|\{[^}]*\}\s*(?:from\s*["'][^"']+["'])?);?/g,
    (match) => match.replaceAll(/[^\n]/g, " ")
  )
  const at = rest.search(/\S/)
  if (at < 0) return []
  return [fault(file, lineOf(rest, at), "holds something other than re-exports", "re-exports-only")]
}

/** Circles among files, each named once, beginning at its first file in the alphabet. */
function circles(tree: Tree): ReadonlyArray<string> {
  const edges = new Map(
    [...tree].map(([file, text]) => [
      file,
      importsOf(text)
        .filter((one) => isRelative(one.from))
        .map((one) => target(file, one.from))
        .filter((to) => tree.has(to))
    ])
  )
  const found = new Map<string, string>()
  const done = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    const at = path.indexOf(file)
    if (at >= 0) {
      const circle = path.slice(at)
      const first = circle.indexOf([...circle].sort()[0]!)
      const turned = [...circle.slice(first), ...circle.slice(0, first)]
      const key = turned.join(" > ")
      found.set(key, fault(turned[0]!, 1, `imports in a circle: ${key} > ${turned[0]!}`, "no-circles"))
      return
    }
    if (done.has(file)) return
    for (const to of edges.get(file) ?? []) visit(to, [...path, file])
    done.add(file)
  }
  for (const file of edges.keys()) visit(file, [])
  return [...found.values()]
}

/** Names of the `function*` verbs that a file declares at its top level. */
const verbsOf = (text: string): ReadonlySet<string> =>
  new Set([...read(text).bare.matchAll(/^(?:export\s+)?function\s*\*\s*([\w$]+)/gm)].map((match) => match[1]!))

/** Local names under which a file sees verbs: its own, imported ones, and `ns.verb` of namespace imports. */
function verbsSeen(file: string, text: string, verbs: ReadonlyMap<string, ReadonlySet<string>>): ReadonlySet<string> {
  const seen = new Set(verbs.get(file))
  for (const { from, clause } of importsOf(text)) {
    const declared = isRelative(from) ? verbs.get(target(file, from)) : undefined
    if (declared === undefined) continue
    const namespace = /^\*\s+as\s+([\w$]+)$/.exec(clause)?.[1]
    if (namespace !== undefined) for (const verb of declared) seen.add(`${namespace}.${verb}`)
    for (const part of /\{([^}]*)\}/.exec(clause)?.[1]?.split(",") ?? []) {
      const [name, local] = part
        .trim()
        .replace(/^type\s+/, "")
        .split(/\s+as\s+/)
      if (name !== undefined && declared.has(name)) seen.add(local ?? name)
    }
  }
  return seen
}

const keepsTheStatementOpen =
  /(?:[=(,[?:+\-*/%<>&|^~!.]|\b(?:return|yield|await|new|typeof|case|in|of|throw|default|function|extends))$/

/** A call that stands alone as a statement: nothing takes the generator that it makes, so nothing runs. */
function strayCalls(file: string, text: string, seen: ReadonlySet<string>): ReadonlyArray<string> {
  if (seen.size === 0) return []
  const { bare } = read(text)
  return [...bare.matchAll(/(?<![\w$.])(?:void\s+)?([\w$]+(?:\.[\w$]+)?)\s*\(/g)]
    .filter((match) => seen.has(match[1]!))
    .filter((match) => {
      const before = bare.slice(0, match.index)
      const token = before.trimEnd()
      if (token === "" || /[;{})]$|\b(?:else|do)$/.test(token)) return true
      return !keepsTheStatementOpen.test(token) && before.slice(token.length).includes("\n")
    })
    .map((match) =>
      fault(
        file,
        lineOf(bare, match.index),
        `${match[1]!}(…) makes a generator that nobody runs`,
        "verbs-are-delegated"
      )
    )
}

/** Who maps an object is in its mapping set and nowhere else, and pages are taken back by one walk over it. What stands here
 * besides asks the set something, or checks it.
 */
const keepers: ReadonlyArray<readonly [what: string, pattern: RegExp, by: ReadonlyArray<string>]> = [
  ["changes a mapping set", /\bmappings\.(?:add|remove)\(/g, ["lib/mm/area/object.ts"]],
  [
    "walks a mapping set",
    /\bmappings\.(?:find|next)\(/g,
    // invalidation; is a page locked by anybody; a restored object is told who maps it
    ["lib/mm/object/invalidate.ts", "lib/mm/page/accessed.ts", "lib/vma/mapping-identity.ts"]
  ],
  [
    "walks all areas",
    /\bvmas\.limit\(/g,
    ["lib/mm/area/check.ts", "lib/mm/area/check-uffd.ts", "lib/mm/page/check.ts", "lib/mm/object/shm.ts"]
  ]
]

function otherReverseMaps(file: string, text: string): ReadonlyArray<string> {
  const { bare } = read(text)
  return keepers
    .filter(([, , by]) => !by.includes(file))
    .flatMap(([what, pattern, by]) =>
      [...bare.matchAll(pattern)].map((match) =>
        fault(file, lineOf(bare, match.index), `${what}; only ${by.join(", ")} may`, "one-mapping-set")
      )
    )
}

/** Everything in `tree` that breaks a rule: one line each, with file, line, what, and the rule's name. */
export function checkLayers(tree: Tree): ReadonlyArray<string> {
  const verbs = new Map(
    [...tree].filter(([file]) => file.startsWith("lib/mm/")).map(([file, text]) => [file, verbsOf(text)])
  )
  const found: Array<string> = []
  for (const [file, text] of tree) {
    const floor = floorOf(file)
    if (floor === undefined) {
      found.push(fault(file, 1, "stands on no floor; see tools/layers.ts", "every-file-has-a-floor"))
      continue
    }
    const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0)
    if (lines > mostLines) found.push(fault(file, lines, `${lines} lines; the ceiling is ${mostLines}`, "file-size"))
    found.push(...importsOf(text).flatMap((one) => faultsOfImport(file, floor, one)))
    if (floor === reExports) found.push(...faultsOfDoor(file, text))
    found.push(...otherReverseMaps(file, text))
    found.push(...strayCalls(file, text, verbsSeen(file, text, verbs)))
  }
  return [...found, ...circles(tree)]
}
