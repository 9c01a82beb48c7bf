/** Areas of a simulated process as recordings show them. Floor 9. */
import { GUARD, POISON, PRESENT, SPECIAL, UFFD_WP, ZERO } from "../../flags/PteFlags.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { nameOf, permsText } from "../../mm/proc/maps.ts"
import { forEachPage, gatherStats, kibOf, kibOfPss, MemSizeStats } from "../../mm/proc/mem-size-stats.ts"
import { flagLetters } from "../../mm/proc/smaps.ts"
import { taskMem, vmExe } from "../../mm/proc/status.ts"
import { F_ANON } from "../../mm/store/frames.ts"
import type { Mm } from "../../mm/store/mms.ts"
import type { Vma } from "../../mm/store/vmas.ts"
import { MOST_PAGES, NONE, WP } from "./pages.ts"
import type { Seen } from "./world.ts"

/** What one flag word reads like. */
export interface FlagTexts {
  readonly perms: string
  readonly flags: string
}

const [ANON, ANON_SHARED, FILE, FILE_SHARED, ZEROES, GUARDED, MARKED] = ["A", "a", "F", "f", "z", "g", "m"].map((c) =>
  c.charCodeAt(0)
) as [number, number, number, number, number, number, number]

/** Looks at areas; files are named in the order in which they are seen first. */
export class View {
  private seen: Uint8Array = new Uint8Array(0)
  private start = 0
  private shared = 0

  constructor(
    private readonly k: Kernel,
    /** Names of files by `k.files.ids` of their objects. */
    private readonly labels: Map<string, string>,
    /** What was seen of flag words before, by both halves of them. */
    private readonly texts: Map<number, FlagTexts>
  ) {}

  /** Fills `seen` from area `v`. */
  look(v: Vma, seen: Seen, isWhole: boolean): void {
    const { k } = this
    const { flags, perms } = this.textsOf(k.vmas.flags(v), k.vmas.flagsHi(v))
    const file = k.vmas.file(v)
    seen.start = k.vmas.startOf(v)
    seen.end = k.vmas.endOf(v)
    seen.perms = perms
    seen.flags = flags
    seen.offset = file === 0 ? 0 : k.vmas.pgoff(v)
    seen.file = file === 0 ? "-" : this.labelOf(k.files.obj(file))
    seen.name = nameOf(k, v)
    if (!isWhole) return
    this.lookAtPages(v, seen.pages)
    const mss = new MemSizeStats()
    gatherStats(k, v, mss)
    const { numbers } = seen
    numbers[0] = kibOf(mss.resident)
    numbers[1] = kibOfPss(mss.pss)
    numbers[2] = kibOf(mss.sharedClean)
    numbers[3] = kibOf(mss.sharedDirty)
    numbers[4] = kibOf(mss.privateClean)
    numbers[5] = kibOf(mss.privateDirty)
    numbers[6] = kibOf(mss.anonymous)
    numbers[7] = kibOfPss(mss.pssLocked)
  }

  /** Puts VmSize, VmLck, VmData, VmStk, VmExe, in kB, into `sizes`. */
  stats(mm: Mm, sizes: Float64Array): void {
    const m = taskMem(this.k, mm)
    sizes[0] = m.totalVm * 4
    sizes[1] = m.lockedVm * 4
    sizes[2] = m.dataVm * 4
    sizes[3] = m.stackVm * 4
    sizes[4] = vmExe(m) * 4
  }

  private lookAtPages(v: Vma, pages: Uint8Array): void {
    const n = this.k.vmas.pages(v)
    if (n > MOST_PAGES) return
    pages.fill(NONE, 0, n)
    this.seen = pages
    this.start = this.k.vmas.startOf(v)
    forEachPage(this.k, v, this.mark)
  }

  private readonly mark = (vpn: number, pfn: number, bits: number): void => {
    this.seen[vpn - this.start] = this.codeOf(pfn, bits)
  }

  /** As the recorder reads /proc/PID/pagemap. */
  private codeOf(pfn: number, bits: number): number {
    if ((bits & GUARD) !== 0) return GUARDED
    const wp = (bits & UFFD_WP) !== 0 ? WP : 0
    if ((bits & PRESENT) === 0) return (bits & (UFFD_WP | POISON)) === 0 ? NONE : MARKED | wp
    if ((bits & ZERO) !== 0) return ZEROES | wp
    if ((bits & SPECIAL) !== 0) return ANON_SHARED // a raw frame number: neither a file's nor exclusive
    const once = this.k.frames.mapcount(pfn) === 1
    return wp | (this.k.frames.has(pfn, F_ANON) ? (once ? ANON : ANON_SHARED) : once ? FILE : FILE_SHARED)
  }

  private textsOf(lo: number, hi: number): FlagTexts {
    const key = hi * 2 ** 32 + (lo >>> 0)
    const known = this.texts.get(key)
    if (known !== undefined) return known
    const texts = { perms: permsText(lo), flags: flagLetters(lo, hi) }
    this.texts.set(key, texts)
    return texts
  }

  /** An object nobody named is shared anonymous memory: numbered as it appears. */
  private labelOf(o: number): string {
    const id = this.k.files.ids[o]!
    const known = this.labels.get(id)
    if (known !== undefined) return known
    const label = `s${this.shared++}`
    this.labels.set(id, label)
    return label
  }
}
