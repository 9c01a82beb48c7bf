/** Joins rows, claims and exclusions into each row's state, and finds what does not fit together. */
import type { Claim } from "./names.ts"
import type { Exclusion, Row, SpecFile } from "./rows.ts"

export type State =
  | { readonly is: "covered"; readonly by: ReadonlyArray<Claim> }
  | { readonly is: "next"; readonly reason: string; readonly work: string }
  | { readonly is: "left out"; readonly reason: string }
  | { readonly is: "unexplained" }

export type FileCoverage = {
  readonly file: SpecFile
  readonly rows: ReadonlyArray<{ readonly row: Row; readonly state: State }>
}

export type Coverage = { readonly files: ReadonlyArray<FileCoverage>; readonly faults: ReadonlyArray<string> }

/** How many rows of a file are in state `is`. */
export const count = (file: FileCoverage, is: State["is"]): number =>
  file.rows.filter((one) => one.state.is === is).length

/** Whether some row of a file in force is neither covered nor next nor left out, or something does not fit. */
export const isIncomplete = (coverage: Coverage): boolean =>
  coverage.faults.length > 0 ||
  coverage.files.some((file) => file.file.inForce && file.rows.some((one) => one.state.is === "unexplained"))

function stateOf(by: ReadonlyArray<Claim>, exclusion: Exclusion | undefined): State {
  if (by.length > 0) return { is: "covered", by }
  if (exclusion === undefined) return { is: "unexplained" }
  const { reason, state, work } = exclusion
  return state === "next" ? { is: state, reason, work } : { is: state, reason }
}

/** Joins everything; `exclusionFile` is the name that faults quote. */
export function cover(
  files: ReadonlyArray<SpecFile>,
  claims: ReadonlyArray<Claim>,
  exclusions: ReadonlyArray<Exclusion>,
  exclusionFile: string
): Coverage {
  const known = new Set(files.flatMap((file) => file.rows.map((row) => row.id)))
  const families = new Set([...known].map((id) => id[0]))
  const claimed = groupById(claims)
  const excluded = new Map(exclusions.map((one) => [one.id, one]))
  const faults = claims
    .filter((claim) => families.has(claim.id[0]) && !known.has(claim.id))
    .map((claim) => `${claim.file}:${claim.line}: no row ${claim.id}`)
  for (const one of exclusions) {
    const where = `${exclusionFile}:${one.line}`
    const by = claimed.get(one.id)?.[0]
    if (!known.has(one.id)) faults.push(`${where}: no row ${one.id}`)
    else if (by !== undefined) faults.push(`${where}: ${one.id} is covered by ${by.file}:${by.line}; take it out here`)
  }
  const inForceFirst = [...files].sort((a, b) => Number(b.inForce) - Number(a.inForce))
  const covered = inForceFirst.map((file) => ({
    file,
    rows: file.rows.map((row) => ({ row, state: stateOf(claimed.get(row.id) ?? [], excluded.get(row.id)) }))
  }))
  for (const one of covered) {
    const out = count(one, "left out")
    const most = one.file.mostLeftOut
    if (most !== undefined && out > most) faults.push(`${one.file.name}: ${out} rows left out; at most ${most} may be`)
  }
  return { files: covered, faults }
}

function groupById(claims: ReadonlyArray<Claim>): ReadonlyMap<string, ReadonlyArray<Claim>> {
  const groups = new Map<string, Array<Claim>>()
  for (const claim of claims) {
    const group = groups.get(claim.id)
    if (group === undefined) groups.set(claim.id, [claim])
    else group.push(claim)
  }
  return groups
}
