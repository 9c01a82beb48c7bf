/** What can be seen of our machine after a step, as `threads.c` says it. */
import * as POLL from "../../../lib/flags/PollFlags.ts"
import { PRESENT, UFFD_WP } from "../../../lib/flags/PteFlags.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { bitsAt } from "../../../lib/mm/page/walk.ts"
import { permsText } from "../../../lib/mm/proc/maps.ts"
import { pageLetters } from "../../../lib/mm/proc/mem-size-stats.ts"
import { flagLetters } from "../../../lib/mm/proc/smaps.ts"
import { poll } from "../../../lib/mm/sys/poll.ts"
import { uffdFdinfo } from "../../../lib/mm/sys/userfaultfd.ts"

/** First page of the arena, and how much of it is shown. */
export const ARENA = 0x200000000
const ARENA_PAGES = 36
const SHOWN_PAGES = 24

const shownFlags = ["um", "uw", "ui", "lo", "lf", "dc"]

/** Address `addr` in bytes: a page of the arena, with the offset in hexadecimal where there is one. */
export function placeText(addr: number): string {
  const page = Math.floor(addr / 4096) - ARENA
  if (page < 0 || page >= ARENA_PAGES) return "far"
  return addr % 4096 === 0 ? `a${page}` : `a${page}:${(addr % 4096).toString(16)}`
}

/** Each userfaultfd: can it be read, how many faults wait to be read, and how many wait. */
export function uffdsText(k: Kernel, task: number, uffds: readonly number[]): string {
  let out = ""
  for (const [i, fd] of uffds.entries()) {
    if (fd < 0) continue
    const events = poll(k, task, fd, POLL.IN)
    const [, pending, total] = /pending:\t(\d+)\ntotal:\t(\d+)/.exec(uffdFdinfo(k, k.tasks.file(task, fd))) ?? []
    out += ` u${i}=${(events & POLL.IN) !== 0 ? "IN" : ""}${(events & POLL.ERR) !== 0 ? "ERR" : ""},${pending}/${total}`
  }
  return out
}

/** A letter a page. */
export function pagesText(k: Kernel, mm: number): string {
  let out = " "
  for (let page = ARENA; page < ARENA + SHOWN_PAGES; page++) {
    const bits = bitsAt(k, mm, page)
    const v = k.maple.lookup(mm, page)
    const letter = v === 0 ? "." : pageLetters(k, v)[page - k.vmas.startOf(v)]!
    out += (bits & PRESENT) === 0 && letter === "p" ? "m" : letter
    if ((bits & UFFD_WP) !== 0) out += "!"
  }
  return out
}

/** Each area: first page, pages, permissions, and some of its VmFlags. */
export function areasText(k: Kernel, mm: number): string {
  let out = ""
  for (let v = k.maple.find(mm, ARENA); v !== 0; v = k.maple.next(mm, v)) {
    const start = k.vmas.startOf(v)
    if (start >= ARENA + ARENA_PAGES) break
    const letters = flagLetters(k.vmas.flags(v), k.vmas.flagsHi(v)).split(" ")
    const shown = shownFlags.filter((each) => letters.includes(each))
    out += ` [${[`a${start - ARENA}+${k.vmas.pages(v)}`, permsText(k.vmas.flags(v)), ...shown].join(" ")}]`
  }
  return out
}
