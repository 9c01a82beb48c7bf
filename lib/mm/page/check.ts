/** Invariants of page tables, frames and the TLB. Floor 4. */
import { PRESENT, SPECIAL, WRITE, ZERO } from "../../flags/PteFlags.ts"
import type { Check, Kernel } from "../kernel.ts"
import { F_ANON, F_CACHE, F_EXCLUSIVE, F_SWAPBACKED, ZERO_PFN } from "../store/frames.ts"
import { MM_LIVE, RSS_ANON, RSS_FILE, RSS_SHMEM } from "../store/mms.ts"
import { VMA_FREE } from "../store/vmas.ts"

/** Calls `f` for each used entry of `mm`. */
export function forEachEntry(k: Kernel, mm: number, f: (vpn: number, slot: number) => void): void {
  const pgd = k.mms.pgd(mm)
  for (let l = k.ptes.nextLeaf(pgd, 0, 1 << 26); l >= 0; l = k.ptes.nextLeaf(pgd, l + 1, 1 << 26)) {
    const t = k.ptes.leafTable(pgd, l)
    for (let i = 0; i < 512; i++) {
      const s = (t << 10) | (i << 1)
      if (!k.ptes.isNone(s)) f(l * 512 + i, s)
    }
  }
}

const liveMms = (k: Kernel): number[] => {
  const out: number[] = []
  for (let mm = 1; mm < k.mms.limit(); mm++) if (k.mms.state(mm) === MM_LIVE && k.mms.pgd(mm) !== 0) out.push(mm)
  return out
}

/** Every entry lies inside an area (or one that is being taken out), maps a frame in use, and RSS is their number by kind. */
const entriesAreRight: Check = (k, wrong) => {
  const mapped = new Map<number, number>()
  const detached: number[] = []
  for (let v = 1; v < k.vmas.limit(); v++) if (k.vmas.state(v) !== VMA_FREE) detached.push(v)
  for (const mm of liveMms(k)) {
    const rss = [0, 0, 0]
    const pops = new Map<number, number>()
    forEachEntry(k, mm, (vpn, s) => {
      const bits = k.ptes.bits(s)
      pops.set(s >>> 10, (pops.get(s >>> 10) ?? 0) + 1)
      if (k.maple.lookup(mm, vpn) === 0 && !detached.some((v) => k.vmas.mmOf(v) === mm && k.vmas.covers(v, vpn)))
        wrong.push(`entry of page ${vpn} of mm ${mm} lies outside every area`)
      if ((bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0) return
      const p = k.ptes.pfn(s)
      mapped.set(p, (mapped.get(p) ?? 0) + 1)
      const f = k.frames.flags(p)
      rss[(f & F_ANON) !== 0 ? RSS_ANON : (f & F_SWAPBACKED) !== 0 ? RSS_SHMEM : RSS_FILE]!++
    })
    for (const [t, n] of pops)
      if (k.ptes.pop[t] !== n) wrong.push(`table ${t} of mm ${mm} says ${k.ptes.pop[t]} entries, it has ${n}`)
    for (const kind of [RSS_FILE, RSS_ANON, RSS_SHMEM])
      if (k.mms.rss(mm, kind) !== rss[kind])
        wrong.push(`rss kind ${kind} of mm ${mm} is ${k.mms.rss(mm, kind)}, its entries say ${rss[kind]}`)
  }
  const waiting = new Map<number, number>()
  for (let r = 0; r < k.runs.max; r++)
    for (let i = 1; i <= k.runs.gather[r << 9]!; i++) {
      const p = k.runs.gather[(r << 9) + i]!
      waiting.set(p, (waiting.get(p) ?? 0) + 1)
    }
  k.frames.forEachUsed((p) => {
    const n = mapped.get(p) ?? 0
    mapped.delete(p)
    if (k.frames.mapcount(p) !== n) wrong.push(`mapcount of frame ${p} is ${k.frames.mapcount(p)}, ${n} entries map it`)
    if (k.frames.folio(p) !== p) return
    const least = n + (waiting.get(p) ?? 0) + (k.frames.has(p, F_CACHE) ? 1 : 0)
    if (k.frames.refcount(p) < least)
      wrong.push(`frame ${p} has ${k.frames.refcount(p)} references, entries, caches and flushes hold ${least}`)
    if (k.frames.has(p, F_EXCLUSIVE) && n > 1) wrong.push(`frame ${p} is exclusive and mapped ${n} times`)
  })
  for (const [p, n] of mapped) if (p !== ZERO_PFN) wrong.push(`frame ${p} is free and ${n} entries map it`)
}

/** Every table hangs in the tree of a live address space. */
const tablesAreReachable: Check = (k, wrong) => {
  let n = 0
  for (const mm of liveMms(k)) n += k.ptes.tablesOf(k.mms.pgd(mm))
  if (n !== k.ptes.live) wrong.push(`${k.ptes.live} page tables are in use, address spaces reach ${n}`)
}

/** Reverse mapping finds every entry: an anonymous page knows an anon_vma that its area is linked to, a cached page its
 * object, and both the place where the area shows them.
 */
const rmapIsRight: Check = (k, wrong) => {
  for (const mm of liveMms(k))
    forEachEntry(k, mm, (vpn, s) => {
      const bits = k.ptes.bits(s)
      const v = k.maple.lookup(mm, vpn)
      if (v === 0 || (bits & PRESENT) === 0 || (bits & (ZERO | SPECIAL)) !== 0) return
      const p = k.ptes.pfn(s)
      const [of, at] = [k.frames.mapping(p), k.vmas.pgoff(v) + (vpn - k.vmas.startOf(v))]
      if (k.frames.has(p, F_ANON)) {
        if (!k.anon.isLinked(v, of))
          wrong.push(`frame ${p} belongs to anon_vma ${of}, area ${v} maps it without a link`)
      } else if (!k.frames.has(p, F_CACHE) || !k.files.hasCache(k.vmas.obj(v))) return // a driver maps what it likes
      else if (of !== k.vmas.obj(v))
        wrong.push(`frame ${p} belongs to object ${of}, area ${v} maps it and shows object ${k.vmas.obj(v)}`)
      if (k.frames.index(p) !== at)
        wrong.push(`frame ${p} is page ${k.frames.index(p)} of what it belongs to, area ${v} maps it as page ${at}`)
    })
}

/** The free lists of the frame allocator are what it counts, and the page of zeroes is zero. */
const framesAreRight: Check = (k, wrong) => {
  wrong.push(...k.frames.check())
  for (let i = 0; i < 1024; i++)
    if (k.frames.words[i] !== 0) return void wrong.push(`the page of zeroes has ${k.frames.words[i]} at byte ${i * 4}`)
}

/** No TLB line translates what no entry does, unless the frame still waits for its flush. A fork, which holds mmap_lock for
 * writing, takes write permission away area by area and flushes once at its end.
 */
const tlbIsRight: Check = (k, wrong) => {
  const waiting = new Set<number>()
  for (let r = 0; r < k.runs.max; r++)
    for (let i = 1; i <= k.runs.gather[r << 9]!; i++) waiting.add(k.runs.gather[(r << 9) + i]!)
  for (const mm of liveMms(k)) {
    const tag = k.mms.asn(mm)
    if (!k.tlb.isFresh(tag)) continue
    const isWritten = k.runs.lockState(k.runs.mmapLock(mm)) < 0
    k.tlb.forEachLine(tag, (vpn, pfn, write) => {
      const s = k.ptes.slot(k.mms.pgd(mm), vpn)
      const bits = s < 0 ? 0 : k.ptes.bits(s)
      if ((bits & PRESENT) !== 0 && k.ptes.pfn(s) === pfn && (!write || isWritten || (bits & WRITE) !== 0)) return
      // the page of zeroes waits in no batch: while a verb is taking the area out, its flush is still to come
      const isOnItsWay = pfn === ZERO_PFN && k.runs.live > 0 && k.maple.lookup(mm, vpn) === 0
      if (!waiting.has(pfn) && !isOnItsWay)
        wrong.push(
          `the TLB translates page ${vpn} of mm ${mm} to frame ${pfn}${write ? " for writing" : ""}, its entry does not`
        )
    })
  }
}

/** Invariants of pages. */
export const checkPages: readonly Check[] = [
  entriesAreRight,
  tablesAreReachable,
  rmapIsRight,
  framesAreRight,
  tlbIsRight
]
