/** What a world has, counted and written down: for leaks, and for "as if never called". Floor 9, internal. */
import { PRESENT, PROTNONE, SPECIAL, ZERO } from "../../flags/PteFlags.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { forEachEntry } from "../../mm/page/check.ts"
import { BRK, DATA_VM, EXEC_VM, LOCKED_VM, MM_LIVE, STACK_VM, TOTAL_VM } from "../../mm/store/mms.ts"
import { TASK_FREE } from "../../mm/store/tasks.ts"

/** How many rows of each table are in use. */
export type Counts = Readonly<Record<string, number>>

/** Counts what is in use: none of it, the page of zeroes aside, when all who asked for it have ended. */
export const countsOf = (k: Kernel): Counts => ({
  "frame(s)": k.frames.limit - 1 - k.frames.free(),
  "page table(s)": k.ptes.live,
  "VMA(s)": k.vmas.live,
  "tree node(s)": k.maple.live,
  "anon_vma(s)": k.anon.live,
  "anon_vma link(s)": k.anon.links,
  "open file(s)": k.files.liveFiles,
  "System V segment(s)": k.shm.live,
  "object(s)": k.files.liveObjects,
  "userfaultfd(s)": k.uffds.live,
  "page cache node(s)": k.xarray.live,
  "address space(s)": k.mms.live,
  "process(es)": k.tasks.live,
  "verb(s) in flight": k.runs.live,
  "committed page(s)": k.committed
})

/** What there is more of (or less) than `before`, in sentences. */
export function leaksSince(k: Kernel, before: Counts): string[] {
  const out: string[] = []
  for (const [what, n] of Object.entries(countsOf(k))) {
    const more = n - before[what]!
    if (more !== 0) out.push(`${Math.abs(more)} ${what} ${more > 0 ? "leaked" : "freed twice"}`)
  }
  return out
}

const hex = (n: number): string => n.toString(16)

const liveMms = (k: Kernel): number[] => {
  const out: number[] = []
  for (let mm = 1; mm < k.mms.limit(); mm++) if (k.mms.state(mm) === MM_LIVE && k.mms.pgd(mm) !== 0) out.push(mm)
  return out
}

/** The state that processes can see, line by line: areas, statistics, pages with their bytes, files and their sizes. What
 * they cannot see (spare page tables, anon_vmas without pages, cached pages nobody has mapped) is left out.
 */
export function visibleOf(k: Kernel): string {
  const out: string[] = [`committed ${k.committed}`]
  for (let t = 1; t < k.tasks.limit(); t++) {
    if (k.tasks.state(t) === TASK_FREE) continue
    const fds = Array.from({ length: 256 }, (_, fd) => k.tasks.file(t, fd)).filter((f) => f !== 0)
    out.push(`task ${t} mm ${k.tasks.mm(t)} files ${fds.join(" ")}`)
  }
  for (const s of k.shm.all())
    out.push(
      `segment ${s.id} key ${s.key} mode ${s.mode} attached ${s.attached} locked ${k.shm.lockedPages.get(s.uid)}`
    )
  for (const mm of liveMms(k)) {
    const stats = [TOTAL_VM, LOCKED_VM, DATA_VM, STACK_VM, EXEC_VM, BRK].map((s) => k.mms.stat(mm, s))
    out.push(`mm ${mm} users ${k.mms.users(mm)} stats ${stats.join(" ")}`)
    for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) out.push(areaLine(k, v))
    forEachEntry(k, mm, (vpn, slot) => {
      const bits = k.ptes.bits(slot)
      const pfn = k.ptes.pfn(slot)
      const kind = bits & (PRESENT | PROTNONE | ZERO | SPECIAL) // whether a write faults once more is not seen
      out.push(`  page ${hex(vpn)} ${hex(kind)} ${kind === PRESENT ? bytesOf(k, pfn) : pfn}`)
    })
  }
  for (let o = 1; o < k.files.objLimit(); o++)
    if (k.files.objKind(o) !== 0) out.push(`object ${o} kind ${k.files.objKind(o)} size ${k.files.size[o]}`)
  return out.join("\n")
}

const areaLine = (k: Kernel, v: number): string =>
  `  area ${hex(k.vmas.startOf(v))}-${hex(k.vmas.endOf(v))} flags ${hex(k.vmas.flags(v) >>> 0)} ${k.vmas.flagsHi(v)} file ${k.vmas.file(v)} object ${k.vmas.obj(v)} offset ${hex(k.vmas.pgoff(v))}`

/** Non-zero words of a frame. */
function bytesOf(k: Kernel, pfn: number): string {
  let out = ""
  for (let i = 0; i < 1024; i++) {
    const w = k.frames.words[pfn * 1024 + i]!
    if (w !== 0) out += `${hex(i * 4)}:${hex(w >>> 0)} `
  }
  return out === "" ? "zeroes" : out.trimEnd()
}

/** Everything, row numbers and frame numbers included: two worlds that did the same have the same tables. */
export function tablesOf(k: Kernel): string {
  const out: string[] = [visibleOf(k), JSON.stringify(countsOf(k))]
  for (const mm of liveMms(k)) {
    out.push(`mm ${mm} rss ${[0, 1, 2].map((kind) => k.mms.rss(mm, kind)).join(" ")}`)
    for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v))
      out.push(`  area row ${v} anon ${k.vmas.anon(v)} links ${k.vmas.chain(v)}`)
    forEachEntry(k, mm, (vpn, slot) =>
      out.push(`  page ${hex(vpn)} slot ${slot} bits ${hex(k.ptes.bits(slot))} frame ${k.ptes.pfn(slot)}`)
    )
  }
  k.frames.forEachUsed((p) =>
    out.push(
      `frame ${p} refs ${k.frames.refcount(p)} maps ${k.frames.mapcount(p)} flags ${hex(k.frames.flags(p))} of ${k.frames.mapping(p)} at ${k.frames.index(p)}`
    )
  )
  return out.join("\n")
}
