/** The invariants of a world, each a sentence; the list that every floor appends to. Floor 3.
 *
 * `checkMm(k)` holds at every yield, also in the middle of a split; `checkIdle(k)` when nothing is going on.
 */
import { VM_ACCOUNT, VM_LOCKED, VM_MAYWRITE, VM_SHARED } from "../../flags/bits.ts"
import { KernelBug } from "../base/debug.ts"
import { TASK_PAGES } from "../base/units.ts"
import type { Check, Kernel } from "../kernel.ts"
import { F_CACHE, F_DRIVER } from "../store/frames.ts"
import { DATA_VM, EXEC_VM, LOCKED_ASTRAY, LOCKED_VM, MM_LIVE, STACK_VM, TOTAL_VM } from "../store/mms.ts"
import { MAX_FDS } from "../store/tasks.ts"
import { VMA_ATTACHED, VMA_FREE } from "../store/vmas.ts"
import { isDataMapping, isExecMapping, isStackMapping } from "./account.ts"
import { uffdsAreIdle } from "./check-uffd.ts"
import { isChargedByPage } from "./object.ts"

const SHARED_MAYWRITE = VM_SHARED | VM_MAYWRITE

/** Everything that is wrong with the world, in sentences; empty when nothing is. */
export function findings(k: Kernel): string[] {
  const wrong: string[] = []
  for (const check of k.checks) check(k, wrong)
  return wrong
}

/** Throws with every broken invariant of the world. Ends each test that changed something. */
export function checkMm(k: Kernel): void {
  const wrong = findings(k)
  if (wrong.length > 0) throw new KernelBug(`the world is broken:\n  ${wrong.join("\n  ")}`)
}

/** The same for a world in which nothing is going on: no lock held, nobody waiting, statistics settled. */
export function checkIdle(k: Kernel): void {
  const wrong = findings(k)
  if (wrong.length === 0) {
    // sums over broken trees say nothing, and may never end
    statistics(k, wrong)
    nothingIsLost(k, wrong)
    uffdsAreIdle(k, wrong)
  }
  k.runs.check(wrong)
  if (k.deferredMmput.length > 0) wrong.push(`${k.deferredMmput.length} address spaces wait for their teardown`)
  if (wrong.length > 0) throw new KernelBug(`the world is broken:\n  ${wrong.join("\n  ")}`)
}

const liveMms = (k: Kernel): number[] => {
  const out: number[] = []
  for (let mm = 1; mm < k.mms.limit(); mm++) if (k.mms.state(mm) === MM_LIVE && k.mms.pgd(mm) !== 0) out.push(mm)
  return out
}

/** Areas of each mm are sorted, disjoint and inside user space, and the tree's keys and gaps say so. */
const treesAreRight: Check = (k, wrong) => {
  let nodes = 0
  for (const mm of liveMms(k)) {
    nodes += k.maple.nodes(mm)
    for (const v of k.maple.check(mm, wrong)) {
      if (k.vmas.state(v) !== VMA_ATTACHED) wrong.push(`area ${v} is in the tree of mm ${mm} but not attached`)
      if (k.vmas.mmOf(v) !== mm) wrong.push(`area ${v} is in the tree of mm ${mm} and says mm ${k.vmas.mmOf(v)}`)
      if (!(k.vmas.startOf(v) < k.vmas.endOf(v)) || k.vmas.endOf(v) > TASK_PAGES)
        wrong.push(`area ${v} has bounds [${k.vmas.startOf(v)}, ${k.vmas.endOf(v)})`)
      if (k.vmas.anon(v) !== 0 && !k.anon.isLinked(v, k.vmas.anon(v)))
        wrong.push(`area ${v} has anon_vma ${k.vmas.anon(v)} but no link to it`)
      if (!k.anon.isOneFamily(v)) wrong.push(`area ${v} is linked to anon_vmas of two families`)
      if (k.vmas.anon(v) === 0 && k.vmas.chain(v) !== 0) wrong.push(`area ${v} has links but no anon_vma`)
    }
  }
  if (nodes !== k.maple.live) wrong.push(`${k.maple.live} tree nodes are in use, the trees have ${nodes}`)
}

/** Every area with an object is in that object's mapping set, once; the writable ones are counted. */
const mappingSetsAreRight: Check = (k, wrong) => {
  const listed = new Map<number, number>()
  for (let o = 1; o < k.files.objLimit(); o++) {
    if (k.files.objKind(o) === 0) continue
    let writable = 0
    for (const v of k.mappings.check(o, wrong)) {
      if ((k.vmas.flags(v) & SHARED_MAYWRITE) === SHARED_MAYWRITE) writable++
      listed.set(v, (listed.get(v) ?? 0) + 1)
      if (k.vmas.obj(v) !== o) wrong.push(`area ${v} is in the mapping set of object ${o} and says ${k.vmas.obj(v)}`)
    }
    if (writable !== k.files.writable(o))
      wrong.push(`object ${o} counts ${k.files.writable(o)} writable mappings and has ${writable}`)
  }
  for (let v = 1; v < k.vmas.limit(); v++) {
    if (k.vmas.state(v) !== VMA_ATTACHED || k.vmas.obj(v) === 0) continue
    if (listed.get(v) !== 1)
      wrong.push(
        `area ${v} is ${listed.get(v) ?? 0} times in the mapping set of object ${k.vmas.obj(v)}, expected once`
      )
  }
}

/** Each open file has exactly as many holders as descriptors, areas and verbs say, never fewer. */
const filesAreHeld: Check = (k, wrong) => {
  const held = new Map<number, number>()
  for (let v = 1; v < k.vmas.limit(); v++)
    if (k.vmas.state(v) !== VMA_FREE && k.vmas.file(v) !== 0)
      held.set(k.vmas.file(v), (held.get(k.vmas.file(v)) ?? 0) + 1)
  for (let i = MAX_FDS; i < k.tasks.limit() * MAX_FDS; i++) {
    const f = k.tasks.fd[i]!
    if (f !== 0) held.set(f, (held.get(f) ?? 0) + 1)
  }
  for (const [f, n] of held) {
    if (k.files.kind(f) === 0) wrong.push(`file ${f} is freed and ${n} still hold it`)
    else if (k.files.fileRefs(f) < n) wrong.push(`file ${f} has ${k.files.fileRefs(f)} references and ${n} holders`)
  }
}

/** Invariants of areas and their objects. */
export const checkAreas: readonly Check[] = [treesAreRight, mappingSetsAreRight, filesAreHeld]

/** Every area is in a tree, and every page has as many references as there are entries and caches that hold it; drivers'
 * pages aside, which drivers hold.
 */
function nothingIsLost(k: Kernel, wrong: string[]): void {
  let areas = 0
  for (const mm of liveMms(k)) areas += k.maple.size(mm)
  if (areas !== k.vmas.live) wrong.push(`${k.vmas.live} areas are in use, the trees have ${areas}`)
  k.frames.forEachUsed((p) => {
    if (k.frames.folio(p) !== p || k.frames.has(p, F_DRIVER)) return
    const held = k.frames.mapcount(p) + (k.frames.has(p, F_CACHE) ? 1 : 0)
    if (k.frames.refcount(p) > held)
      wrong.push(`frame ${p} has ${k.frames.refcount(p)} references, entries and caches hold ${held}`)
  })
}

/** total_vm, its classes and locked_vm are the sums over the areas; what is committed is what accountable areas and objects promise. */
function statistics(k: Kernel, wrong: string[]): void {
  let committed = 0
  for (const mm of liveMms(k)) {
    const sum = { total: 0, data: 0, stack: 0, exec: 0, locked: 0 }
    for (let v = k.maple.find(mm, 0); v !== 0; v = k.maple.next(mm, v)) {
      const n = k.vmas.pages(v)
      const lo = k.vmas.flags(v)
      sum.total += n
      if (isExecMapping(lo)) sum.exec += n
      else if (isStackMapping(lo)) sum.stack += n
      else if (isDataMapping(lo)) sum.data += n
      if ((lo & VM_ACCOUNT) !== 0) committed += n
      if ((lo & VM_LOCKED) !== 0) sum.locked += n
    }
    for (const [name, stat, want] of [
      ["total_vm", TOTAL_VM, sum.total],
      ["data_vm", DATA_VM, sum.data],
      ["stack_vm", STACK_VM, sum.stack],
      ["exec_vm", EXEC_VM, sum.exec],
      ["locked_vm", LOCKED_VM, sum.locked + k.mms.stat(mm, LOCKED_ASTRAY)]
    ] as const)
      if (k.mms.stat(mm, stat) !== want)
        wrong.push(`${name} of mm ${mm} is ${k.mms.stat(mm, stat)}, its areas have ${want}`)
  }
  for (let o = 1; o < k.files.objLimit(); o++)
    if (k.files.objKind(o) !== 0) committed += isChargedByPage(k, o) ? k.files.cached(o) : k.files.reserved(o)
  if (k.committed !== committed)
    wrong.push(`${k.committed} pages are committed, areas and objects account for ${committed}`)
}
