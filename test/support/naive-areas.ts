/** Which areas Linux would show, from first principles: a line of pages with attributes, joined wherever two neighbours
 * may be one. No tree, no plan, no neighbours looked up: what `area/merge.ts` is held against.
 * @source docs/spec/linux-mm.md L-VMA-01, 10, 22
 */

/** What counts for a merge, of one page. */
interface PageAttributes {
  /** Access and all flags that count; any text. */
  readonly flags: string
  /** Flags without access: what must agree before two areas may share an anon_vma. */
  readonly kind: string
  /** Open file; 0 none. */
  readonly file: number
  readonly pgoff: number
  /** anon_vma; 0 none. */
  readonly anon: number
  /** Was it inherited by a fork: does its anon_vma have parents? */
  readonly inherited: boolean
}

/** A line of pages; undefined is a hole. */
export type Line = (PageAttributes | undefined)[]

/** May the two be one area? `anon` is the left area's as a whole. */
function fits(left: PageAttributes, right: PageAttributes): boolean {
  if (left.flags !== right.flags || left.file !== right.file || left.pgoff + 1 !== right.pgoff) return false
  if (left.anon === right.anon) return true
  if (left.anon !== 0 && right.anon !== 0) return false
  return !(left.anon !== 0 ? left : right).inherited
}

/** Joins what may be one, from the left: bounds of areas `[start, end)`. Pages of one area share its anon_vma from then on. */
function joined(line: Line): [start: number, end: number][] {
  const areas: [number, number][] = []
  for (let at = 0; at < line.length; at++) {
    const page = line[at]
    if (page === undefined) continue
    const last = areas[areas.length - 1]
    const left = line[at - 1]
    if (last === undefined || last[1] !== at || left === undefined || !fits(left, page)) {
      areas.push([at, at + 1])
      continue
    }
    last[1] = at + 1
    if (left.anon === page.anon) continue
    const known = left.anon !== 0 ? left : page
    for (let i = last[0]; i <= at; i++) line[i] = { ...line[i]!, anon: known.anon, inherited: known.inherited }
  }
  return areas
}

/** The first write to a page: its area gets an anon_vma, that of a neighbour which could be one with it but for its
 * access, the upper one first; else `fresh`.
 */
export function touch(line: Line, at: number, fresh: number): void {
  const areas = joined(line)
  const area = areas.find(([start, end]) => start <= at && at < end)
  if (area === undefined || line[at]!.anon !== 0) return
  const [start, end] = area
  const near = (i: number, mine: number): number => {
    const other = line[i]
    const own = line[mine]!
    if (other === undefined || other.anon === 0 || other.inherited) return 0
    return other.kind === own.kind && other.file === own.file && other.pgoff - own.pgoff === i - mine ? other.anon : 0
  }
  const anon = near(end, end - 1) || near(start - 1, start) || fresh
  for (let i = start; i < end; i++) line[i] = { ...line[i]!, anon }
}

/** As `draw` of the testing kit: a letter a page, `|` where two areas of equal attributes touch. */
export function drawLine(line: Line): string {
  const letters = new Map<string, string>()
  const bounds = new Set(joined(line).map(([start]) => start))
  let out = ""
  line.forEach((page, at) => {
    if (page === undefined) {
      out += "."
      return
    }
    // charged or not, as the kit draws it
    const key = `${page.flags.replace(" ac", "")} ${page.file}`
    const letter = letters.get(key) ?? String.fromCharCode(97 + letters.size)
    letters.set(key, letter)
    out += bounds.has(at) && out.endsWith(letter) ? `|${letter}` : letter
  })
  return out
}
