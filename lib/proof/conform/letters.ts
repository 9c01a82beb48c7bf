/** The two-letter flags of areas, as smaps prints them. Floor 9. */
import { flagLetters } from "../../mm/proc/smaps.ts"

const bitsOf = new Map<string, readonly [lo: number, hi: number]>()
for (let bit = 0; bit < 32; bit++) {
  bitsOf.set(flagLetters(1 << bit, 0), [1 << bit, 0])
  bitsOf.set(flagLetters(0, 1 << bit), [0, 1 << bit])
}

/** The flag word that smaps prints as `letters`; what it does not have is left out. */
export function wordOfLetters(letters: string): readonly [lo: number, hi: number] {
  let lo = 0
  let hi = 0
  for (const pair of letters.split(" ")) {
    const bits = bitsOf.get(pair)
    if (bits === undefined) continue
    lo |= bits[0]
    hi |= bits[1]
  }
  return [lo, hi]
}

/** Texts that hold nothing but letters that there are: most areas have one of a few. */
const good = new Set<string>()
const MOST_GOOD = 1000

/** `letters` without those that this kernel does not have; `note` is told of them. */
export function knownLetters(letters: string, note: (what: string) => void): string {
  if (good.has(letters) || letters === "") return letters
  const pairs = letters.split(" ")
  const known = pairs.filter((pair) => pair !== "" && bitsOf.has(pair))
  if (known.length === pairs.length) {
    if (good.size < MOST_GOOD) good.add(letters)
    return letters
  }
  for (const pair of pairs) if (!known.includes(pair)) note(`VmFlags ${pair.slice(0, 20)}`)
  return known.join(" ")
}
