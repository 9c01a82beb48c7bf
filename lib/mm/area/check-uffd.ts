/** Invariants of userfaultfds: who holds a context, which areas it answers for, who waits. Floor 3.
 *
 *     references  =  open files  +  faults that wait, or were woken and have not looked again  +  changes announced
 *                    +  1 of a fork's child, until somebody has read of it
 */
import { VM_UFFD, VMH_UFFD_MINOR } from "../../flags/bits.ts"
import { EVENT_FORK, EVENT_PAGEFAULT } from "../../flags/UffdFlags.ts"
import type { Check, Kernel } from "../kernel.ts"
import { FILE_PROC, FILE_UFFD } from "../store/files.ts"
import { MM_FREE, MM_LIVE } from "../store/mms.ts"
import { Q_EVENTS, Q_PENDING, Q_READ } from "../store/uffds.ts"
import { VMA_ATTACHED } from "../store/vmas.ts"

/** How many there are of each. */
class Tally extends Map<number, number> {
  of(one: number): number {
    return this.get(one) ?? 0
  }
  add(one: number, n = 1): void {
    this.set(one, this.of(one) + n)
  }
}

/** Open files of each context; one whose last descriptor is closed is there until its release is over. */
function filesOf(k: Kernel): Tally {
  const files = new Tally()
  if (k.uffds.limit() === 1) return files
  for (let f = 1; f < k.files.fileLimit(); f++) if (k.files.kind(f) === FILE_UFFD) files.add(k.files.private(f))
  return files
}

/** Each context has as many references as holders, and only those are in use. */
const contextsAreHeld: Check = (k, wrong) => {
  if (k.uffds.limit() === 1) return
  const held = filesOf(k)
  for (let r = 1; r < k.runs.limit(); r++) {
    const [c, which] = k.runs.uffdWait(r)
    if (which === Q_PENDING || which === Q_READ) held.add(c)
  }
  let live = 0
  for (let c = 1; c < k.uffds.limit(); c++) {
    if (k.uffds.isLive(c)) live++
    held.add(c, k.uffds.isLive(c) ? k.uffds.changing(c) + (k.uffds.isUnheard(c) ? 1 : 0) : 0)
    if (!k.uffds.isLive(c) && held.of(c) > 0) wrong.push(`userfaultfd ${c} is freed and ${held.of(c)} still hold it`)
    else if (k.uffds.isLive(c) && k.uffds.refs(c) !== held.of(c))
      wrong.push(`userfaultfd ${c} has ${k.uffds.refs(c)} references and ${held.of(c)} holders`)
  }
  if (k.uffds.live !== live) wrong.push(`${k.uffds.live} userfaultfds are counted, there are ${live}`)
}

/** Whoever waits for a userfaultfd waits for a live one, with a message if it is to be read. */
const waitersAreRight: Check = (k, wrong) => {
  for (let r = 1; r < k.runs.limit(); r++) {
    const [c, which] = k.runs.uffdWait(r)
    if (c === 0) continue
    if (!k.uffds.isLive(c)) wrong.push(`run ${r} waits for userfaultfd ${c}, which is freed`)
    if (!k.runs.isQueued(r)) continue
    const event = k.uffds.event(r)
    const isFault = which === Q_PENDING || which === Q_READ
    if (isFault && event !== EVENT_PAGEFAULT) wrong.push(`run ${r} waits for a fault's answer with message ${event}`)
    if (which === Q_EVENTS && (event === 0 || event === EVENT_PAGEFAULT))
      wrong.push(`run ${r} waits to be heard with message ${event}`)
    if (which === Q_EVENTS && event === EVENT_FORK && !k.uffds.isUnheard(k.uffds.word(r, 0)))
      wrong.push(`run ${r} tells of userfaultfd ${k.uffds.word(r, 0)}, which somebody has`)
  }
}

/** An area has a userfaultfd if and only if its flags say what for, and it is one of its own address space that is not
 * released. Areas of an address space without users are past asking.
 */
const areasAreAnswered: Check = (k, wrong) => {
  const files = filesOf(k)
  for (let v = 1; v < k.vmas.limit(); v++) {
    const mm = k.vmas.mmOf(v)
    if (k.vmas.state(v) !== VMA_ATTACHED || k.mms.users(mm) === 0) continue
    const c = k.vmas.uffd(v)
    const isArmed = (k.vmas.flags(v) & VM_UFFD) !== 0 || (k.vmas.flagsHi(v) & VMH_UFFD_MINOR) !== 0
    if (c === 0 && isArmed) wrong.push(`area ${v} has flags of a userfaultfd, and none`)
    if (c === 0) continue
    if (!isArmed) wrong.push(`area ${v} has userfaultfd ${c}, and no flag of one`)
    if (!k.uffds.isLive(c)) wrong.push(`area ${v} names userfaultfd ${c}, which is freed`)
    else if (files.of(c) === 0 && !k.uffds.isUnheard(c))
      wrong.push(`area ${v} names userfaultfd ${c}, which is released`)
    else if (k.uffds.mm(c) !== mm) wrong.push(`area ${v} of mm ${mm} names userfaultfd ${c} of mm ${k.uffds.mm(c)}`)
  }
}

/** The row of an address space has as many holders as its users together, userfaultfds and files of /proc say, never
 * fewer.
 */
const addressSpacesAreHeld: Check = (k, wrong) => {
  const held = new Tally()
  for (let c = 1; c < k.uffds.limit(); c++) if (k.uffds.isLive(c)) held.add(k.uffds.mm(c))
  for (let f = 1; f < k.files.fileLimit(); f++) if (k.files.kind(f) === FILE_PROC) held.add(k.files.private(f))
  for (let mm = 1; mm < k.mms.limit(); mm++) if (k.mms.state(mm) === MM_LIVE) held.add(mm)
  held.delete(0) // files of a process that had no address space
  for (const [mm, n] of held) {
    if (k.mms.state(mm) === MM_FREE) wrong.push(`mm ${mm} is freed and ${n} still hold it`)
    else if (k.mms.count(mm) < n) wrong.push(`mm ${mm} has ${k.mms.count(mm)} references and ${n} holders`)
  }
}

/** When nothing is going on, no context waits for a change to be heard of. */
export const uffdsAreIdle: Check = (k, wrong) => {
  for (let c = 1; c < k.uffds.limit(); c++) {
    if (!k.uffds.isLive(c)) continue
    if (k.uffds.changing(c) !== 0)
      wrong.push(`userfaultfd ${c} awaits ${k.uffds.changing(c)} changes, nobody makes one`)
    if (k.uffds.isUnheard(c)) wrong.push(`userfaultfd ${c} is a child's, and nobody forks`)
  }
}

/** Invariants of userfaultfds, and of what they hold. */
export const checkUffds: readonly Check[] = [contextsAreHeld, waitersAreRight, areasAreAnswered, addressSpacesAreHeld]
