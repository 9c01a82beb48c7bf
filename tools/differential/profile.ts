/** What differs between kernel versions: the simulation is of one; of another, only what both have is compared. */
import type { Call } from "./program.ts"

/** The version that the simulation is of. */
export const MODELLED = "6.18"

/** Something that came, or changed, with a version. */
interface Change {
  readonly since: readonly [major: number, minor: number]
  /** In a few words. */
  readonly what: string
  /** A name for it, where something else depends on it. */
  readonly name?: string
  /** Does a call depend on it? */
  readonly concerns: (call: Call) => boolean
}

const adviceOf = ({ args, name }: Call): number | undefined =>
  name === "madvise" ? Number(args[2]) : name === "process_madvise" ? Number(args[0]) : undefined

const hasAdvice =
  (...advice: readonly number[]) =>
  (call: Call): boolean =>
    advice.includes(adviceOf(call) ?? -1)

const isNamed =
  (...names: readonly string[]) =>
  ({ name }: Call): boolean =>
    names.includes(name)

const DROPPABLE = 8

/** Oldest first. What came before 6.1 is not listed: no older kernel is asked. */
const changes: readonly Change[] = [
  { since: [6, 1], what: "MADV_COLLAPSE", concerns: hasAdvice(25) },
  { since: [6, 3], what: "sealing of executability (MFD_EXEC, F_SEAL_EXEC)", concerns: isNamed("memfd_create") },
  { since: [6, 6], what: "UFFDIO_POISON", concerns: isNamed("uffdio_poison") },
  { since: [6, 8], what: "UFFDIO_MOVE", concerns: isNamed("uffdio_move") },
  { since: [6, 10], what: "mseal", concerns: isNamed("mseal") },
  {
    since: [6, 11],
    what: "MAP_DROPPABLE",
    concerns: ({ args, name }) => name === "mmap" && (Number(args[3]) & 0xf) === DROPPABLE
  },
  { since: [6, 13], what: "guard regions", name: "guards", concerns: hasAdvice(102, 103) },
  { since: [6, 13], what: "process_madvise of oneself with any advice", concerns: isNamed("process_madvise") },
  {
    since: [6, 17],
    what: "mremap that moves several areas",
    concerns: ({ args, name }) => name === "mremap" && (Number(args[3]) & 2) !== 0
  }
]

/** What a host has of what the simulation has. */
export interface Profile {
  /** May the call be asked of this host and of the simulation alike? */
  readonly knows: (call: Call) => boolean
  readonly has: (name: string) => boolean
  /** Sentences for people; empty where the host is the version that is simulated. */
  readonly notes: readonly string[]
}

/** The profile of a host by its `uname -r`. */
export function profileOf(kernel: string): Profile {
  const [major = 0, minor = 0] = kernel.split(/[.-]/).map(Number)
  const missing = changes.filter(({ since: [a, b] }) => major < a || (major === a && minor < b))
  const isModelled = `${major}.${minor}` === MODELLED
  return {
    knows: (call) => missing.every(({ concerns }) => !concerns(call)),
    has: (name) => missing.every((each) => each.name !== name),
    notes: isModelled
      ? []
      : [
          `this kernel is ${kernel}; the simulation is of ${MODELLED}: a difference may be one between the two versions`,
          ...(missing.length === 0
            ? []
            : [`left out, as this kernel lacks it: ${missing.map(({ what }) => what).join("; ")}`])
        ]
  }
}
