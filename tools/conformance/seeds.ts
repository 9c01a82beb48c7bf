/** Names of sequences in few words: `0-1999`, `3, 7-9`, `104 named probes`. */

/** Shortens the names of sequences. Numbers are seeds. */
export function shortenSeeds(names: readonly string[]): string {
  const seeds = names
    .filter((name) => /^\d{1,15}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
  const others = names.length - seeds.length
  const ranges: Array<[from: number, to: number]> = []
  for (const seed of seeds) {
    const last = ranges.at(-1)
    if (last !== undefined && seed <= last[1] + 1) last[1] = seed
    else ranges.push([seed, seed])
  }
  const parts = ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`))
  const few = parts.length > MOST ? [`${seeds.length} of ${seeds[0]}-${seeds.at(-1)}`] : parts
  return [...few, ...(others > 0 ? [`${others} named probes`] : [])].join(", ")
}

const MOST = 6
