/** /proc/PID/smaps and smaps_rollup, byte for byte. Floor 6.
 * @source fs/proc/task_mmu.c show_smap, show_smaps_rollup, show_smap_vma_flags (v6.18)
 */
import { VM_HUGETLB } from "../../flags/bits.ts"
import { mmapUnlock, needMmap, READ, tryMmap } from "../area/mmap-lock.ts"
import type { Verb } from "../base/stop.ts"
import type { Vpn } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import type { Mm } from "../store/mms.ts"
import { putColumns, putGate, putLine, putName } from "./maps.ts"
import { gatherStats, kibOf, kibOfPss, MemSizeStats } from "./mem-size-stats.ts"
import { Text } from "./text.ts"

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

const LABELS = [
  "Rss",
  "Pss",
  "Pss_Dirty",
  "Pss_Anon",
  "Pss_File",
  "Pss_Shmem",
  "Shared_Clean",
  "Shared_Dirty",
  "Private_Clean",
  "Private_Dirty",
  "Referenced",
  "Anonymous",
  "LazyFree",
  "Locked"
] as const
/** Sixteen columns each. */
const labels = new Map(LABELS.map((label) => [label, `${label}:`.padEnd(16)]))

/** Label, number in eight columns, unit. */
function putLine8(t: Text, label: string, kib: number): void {
  t.put(label)
  t.room(32)
  t.putNumber(kib, 8)
  t.put(" kB\n")
}

/** What this machine never has: samepage merging; huge pages, swap. */
const never = (...names: readonly string[]): string =>
  names.map((name) => `${`${name}:`.padEnd(16)}${"0".padStart(8)} kB\n`).join("")
const KSM = never("KSM")
const HUGE_AND_SWAP = never(
  "AnonHugePages",
  "ShmemPmdMapped",
  "FilePmdMapped",
  "Shared_Hugetlb",
  "Private_Hugetlb",
  "Swap",
  "SwapPss"
)

/** What smaps and smaps_rollup have in common; the shares by kind stand in the latter only. */
function putStats(t: Text, mss: MemSizeStats, isRollup: boolean): void {
  const put = (label: (typeof LABELS)[number], kib: number): void => putLine8(t, labels.get(label)!, kib)
  put("Rss", kibOf(mss.resident))
  put("Pss", kibOfPss(mss.pss))
  put("Pss_Dirty", kibOfPss(mss.pssDirty))
  if (isRollup) {
    put("Pss_Anon", kibOfPss(mss.pssAnon))
    put("Pss_File", kibOfPss(mss.pssFile))
    put("Pss_Shmem", kibOfPss(mss.pssShmem))
  }
  put("Shared_Clean", kibOf(mss.sharedClean))
  put("Shared_Dirty", kibOf(mss.sharedDirty))
  put("Private_Clean", kibOf(mss.privateClean))
  put("Private_Dirty", kibOf(mss.privateDirty))
  put("Referenced", kibOf(mss.referenced))
  put("Anonymous", kibOf(mss.anonymous))
  t.put(KSM)
  put("LazyFree", kibOf(mss.lazyfree))
  t.put(HUGE_AND_SWAP)
  put("Locked", kibOfPss(mss.pssLocked))
}

/** The same of an area without pages, which most are. */
const NOTHING = bytesOf((t) => putStats(t, new MemSizeStats(), false))
const PAGE_SIZES = bytesOf((t) => t.put("KernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"))
/** This machine makes no huge pages, so no area is eligible for them. */
const FLAGS_LINE = bytesOf((t) => t.put("THPeligible:           0\nVmFlags: "))

function bytesOf(put: (t: Text) => void): Uint8Array {
  const t = new Text()
  put(t)
  return t.copy()
}

/** What follows an area's line of maps; its pages are those of hugetlbfs where `unit`, in pages, is not 0. */
function putEntry(t: Text, pages: number, unit: number, mss: MemSizeStats, letters: string): void {
  putLine8(t, "Size:           ", pages * 4)
  if (unit === 0) t.putBytes(PAGE_SIZES)
  else {
    putLine8(t, "KernelPageSize: ", unit * 4)
    putLine8(t, "MMUPageSize:    ", unit * 4)
  }
  if (mss.resident === 0) t.putBytes(NOTHING)
  else putStats(t, mss, false)
  t.putBytes(FLAGS_LINE)
  t.put(`${letters} \n`)
}

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
  const t = new Text()
  for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
    const mss = new MemSizeStats()
    gatherStats(k, v, mss)
    putLine(t, k, v)
    const lo = k.vmas.flags(v)
    const unit = (lo & VM_HUGETLB) !== 0 ? k.files.unit(k.vmas.obj(v)) : 0
    putEntry(t, k.vmas.pages(v), unit, mss, letters.of(lo, k.vmas.flagsHi(v)))
    if (k.runs.preempt) yield k.runs.point()
  }
  mmapUnlock(k, mm, READ)
  if (putGate(t, k)) putEntry(t, 1, 0, new MemSizeStats(), "ex")
  return t.read()
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
  const t = new Text()
  putColumns(t, start, end, 0, 0, "00:00 0")
  putName(t, 0, "[rollup]")
  putStats(t, mss, true)
  return t.read()
}
