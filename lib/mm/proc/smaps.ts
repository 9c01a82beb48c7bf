/** /proc/PID/smaps and smaps_rollup, byte for byte. Floor 6.
 * @source fs/proc/task_mmu.c show_smap, show_smaps_rollup, show_smap_vma_flags (v6.18)
 */
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import type { Vma } from "../store/vmas.ts"
import { columns, gateLine, mapsLine, named } from "./maps.ts"
import { gatherStats, kibOf, kibOfPss, MemSizeStats } from "./mem-size-stats.ts"

/** Letters by bit of the low half, in the order in which they are printed. */
const LOW: readonly (readonly [number, string])[] = [
  [0, "rd"],
  [1, "wr"],
  [2, "ex"],
  [3, "sh"],
  [4, "mr"],
  [5, "mw"],
  [6, "me"],
  [7, "ms"],
  [8, "gd"],
  [9, "um"],
  [10, "pf"],
  [11, "gu"],
  [12, "uw"],
  [13, "lo"],
  [14, "io"],
  [15, "sr"],
  [16, "rr"],
  [17, "dc"],
  [18, "de"],
  [19, "lf"],
  [20, "ac"],
  [21, "nr"],
  [22, "ht"],
  [23, "sf"],
  [24, "ar"],
  [25, "wf"],
  [26, "dd"],
  [27, "sd"],
  [28, "mm"],
  [29, "hg"],
  [30, "nh"],
  [31, "mg"]
]
/** The same of the high half. Bits 32..36 are the protection key, which has a line of its own where there are keys. */
const HIGH: readonly (readonly [number, string])[] = [
  [37 - 32, "ss"],
  [39 - 32, "??"], // VM_ALLOW_ANY_UNCACHED has no letters
  [40 - 32, "dp"],
  [41 - 32, "ui"],
  [42 - 32, "sl"]
]

/** The VmFlags line's letters, separated by single spaces, no space at the end. */
export function flagLetters(lo: number, hi: number): string {
  let out = ""
  for (const [bit, letters] of LOW) if (((lo >>> bit) & 1) === 1) out += ` ${letters}`
  for (const [bit, letters] of HIGH) if (((hi >>> bit) & 1) === 1) out += ` ${letters}`
  return out.slice(1)
}

/** A number as it stands behind its label: eight columns. */
const column8 = (n: number): string => String(n).padStart(8)
const line = (label: string, kib: number): string => `${label.padEnd(16)}${column8(kib)} kB\n`

/** What this machine never has: no samepage merging; no huge pages, no swap. Between them stands `LazyFree`. */
const KSM = line("KSM:", 0)
const NEVER = [
  "AnonHugePages",
  "ShmemPmdMapped",
  "FilePmdMapped",
  "Shared_Hugetlb",
  "Private_Hugetlb",
  "Swap",
  "SwapPss"
]
  .map((label) => line(`${label}:`, 0))
  .join("")

/** What smaps and smaps_rollup have in common; `kinds` stands in the latter only. */
const statsText = (mss: MemSizeStats, kinds: string): string =>
  `Rss:            ${column8(kibOf(mss.resident))} kB\n` +
  `Pss:            ${column8(kibOfPss(mss.pss))} kB\n` +
  `Pss_Dirty:      ${column8(kibOfPss(mss.pssDirty))} kB\n${kinds}` +
  `Shared_Clean:   ${column8(kibOf(mss.sharedClean))} kB\n` +
  `Shared_Dirty:   ${column8(kibOf(mss.sharedDirty))} kB\n` +
  `Private_Clean:  ${column8(kibOf(mss.privateClean))} kB\n` +
  `Private_Dirty:  ${column8(kibOf(mss.privateDirty))} kB\n` +
  `Referenced:     ${column8(kibOf(mss.referenced))} kB\n` +
  `Anonymous:      ${column8(kibOf(mss.anonymous))} kB\n${KSM}` +
  `LazyFree:       ${column8(kibOf(mss.lazyfree))} kB\n${NEVER}` +
  `Locked:         ${column8(kibOfPss(mss.pssLocked))} kB\n`

const NOTHING = statsText(new MemSizeStats(), "")

/** One area: its line of maps, sizes, pages, flags. This machine makes no huge pages, so no area is eligible for them. */
const entryText = (head: string, pages: number, stats: string, letters: string): string =>
  `${head}\nSize:           ${column8(pages * 4)} kB\n` +
  "KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n" +
  `${stats}THPeligible:           0\nVmFlags: ${letters} \n`

/** Lettering of flag words, each spelled once. */
class Letters {
  private readonly known = new Map<number, string>()

  of(lo: number, hi: number): string {
    const key = hi * 2 ** 32 + (lo >>> 0)
    const known = this.known.get(key)
    if (known !== undefined) return known
    const letters = flagLetters(lo, hi)
    this.known.set(key, letters)
    return letters
  }
}

/** The whole of /proc/PID/smaps: an entry an area.
 * @locks takes mmap read for all of it
 */
export function* smaps(k: Kernel, mm: Mm): Verb<"NEED_LOCK" | "PREEMPT", string> {
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  const letters = new Letters()
  const entries: string[] = []
  for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
    entries.push(smapText(k, v, letters))
    if (k.runs.preempt) yield k.runs.point()
  }
  mmapUnlock(k, mm, READ)
  const gate = gateLine(k)
  if (gate !== undefined) entries.push(entryText(gate, 1, NOTHING, "ex"))
  return entries.join("")
}

function smapText(k: Kernel, v: Vma, letters: Letters): string {
  const mss = new MemSizeStats()
  gatherStats(k, v, mss)
  const stats = mss.resident === 0 ? NOTHING : statsText(mss, "")
  return entryText(mapsLine(k, v), k.vmas.pages(v), stats, letters.of(k.vmas.flags(v), k.vmas.flagsHi(v)))
}

/** The whole of /proc/PID/smaps_rollup: every area added up, under one line from the first to the last.
 * @locks takes mmap read, and lets go of it between two areas where a writer waits: an area that has grown meanwhile is
 *   looked at from where the last one ended
 */
export function* smapsRollup(k: Kernel, mm: Mm): Verb<"NEED_LOCK" | "PREEMPT", string> {
  if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
  const mss = new MemSizeStats()
  let v = k.maple.find(mm, 0)
  const start: Vpn = v === 0 ? 0 : k.vmas.startOf(v)
  let end: Vpn = 0
  while (v !== 0) {
    gatherStats(k, v, mss, Math.max(end, k.vmas.startOf(v)))
    end = k.vmas.endOf(v)
    if (k.runs.preempt) yield k.runs.point()
    if (k.runs.waiters(k.runs.mmapLock(mm)) !== 0) {
      mmapUnlock(k, mm, READ)
      if (!tryMmap(k, mm, READ)) yield needMmap(k, mm, READ)
    }
    v = k.maple.find(mm, end)
  }
  mmapUnlock(k, mm, READ)
  const kinds =
    line("Pss_Anon:", kibOfPss(mss.pssAnon)) +
    line("Pss_File:", kibOfPss(mss.pssFile)) +
    line("Pss_Shmem:", kibOfPss(mss.pssShmem))
  return `${named(columns(start, end, 0, 0, "00:00 0"), "[rollup]")}\n${statsText(mss, kinds)}`
}
