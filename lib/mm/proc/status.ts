/** The memory lines of /proc/PID/status, and /proc/PID/statm: counts that an address space keeps, byte for byte. Floor 6.
 *
 * Nothing is locked: the counts are read as they are. Names, credentials, signals and threads are not memory, and not here.
 * @source fs/proc/task_mmu.c task_mem, task_statm; fs/proc/array.c proc_pid_statm (v6.18)
 */
import { PAGE_SIZE } from "../base/units.ts"
import type { Kernel } from "../kernel.ts"
import {
  DATA_VM,
  END_CODE,
  EXEC_VM,
  LOCKED_VM,
  type Mm,
  RSS_ANON,
  RSS_FILE,
  RSS_SHMEM,
  STACK_VM,
  START_CODE,
  TOTAL_VM
} from "../store/mms.ts"

/** What the lines are made of. Pages. */
export interface TaskMem {
  readonly peakVm: number
  readonly totalVm: number
  readonly lockedVm: number
  readonly peakRss: number
  readonly anon: number
  readonly file: number
  readonly shmem: number
  readonly dataVm: number
  readonly stackVm: number
  /** The program's own code, as exec laid it out. */
  readonly text: number
  /** Executable memory that is neither writable nor a stack. */
  readonly execVm: number
}

/** Reads the counts of `mm`.
 * UNLIKE LINUX: the peak of resident pages is exact; Linux reads approximate counters for it, off by up to 32 pages a kind and processor,
 * either way.
 */
export function taskMem(k: Kernel, mm: Mm): TaskMem {
  const { mms } = k
  const firstCode = Math.floor(mms.stat(mm, START_CODE) / PAGE_SIZE)
  return {
    peakVm: mms.hiwaterVm(mm),
    totalVm: mms.stat(mm, TOTAL_VM),
    lockedVm: mms.stat(mm, LOCKED_VM),
    peakRss: mms.hiwaterRss(mm),
    anon: mms.rss(mm, RSS_ANON),
    file: mms.rss(mm, RSS_FILE),
    shmem: mms.rss(mm, RSS_SHMEM),
    dataVm: mms.stat(mm, DATA_VM),
    stackVm: mms.stat(mm, STACK_VM),
    text: Math.ceil(mms.stat(mm, END_CODE) / PAGE_SIZE) - firstCode,
    execVm: mms.stat(mm, EXEC_VM)
  }
}

/** Pages of the program's own code that are executable still; the rest of what is executable is its libraries'. */
export const vmExe = (m: TaskMem): number => Math.min(m.text, m.execVm)

const line = (label: string, pages: number): string => `${label}:\t${String(pages * 4).padStart(8)} kB\n`

/** The lines from VmPeak to HugetlbPages. Nothing pins pages on this machine, and it has neither swap nor hugetlb pages. */
export function status(k: Kernel, mm: Mm): string {
  const m = taskMem(k, mm)
  return [
    line("VmPeak", m.peakVm),
    line("VmSize", m.totalVm),
    line("VmLck", m.lockedVm),
    line("VmPin", 0),
    line("VmHWM", m.peakRss),
    line("VmRSS", m.anon + m.file + m.shmem),
    line("RssAnon", m.anon),
    line("RssFile", m.file),
    line("RssShmem", m.shmem),
    line("VmData", m.dataVm),
    line("VmStk", m.stackVm),
    line("VmExe", vmExe(m)),
    line("VmLib", m.execVm - vmExe(m)),
    line("VmPTE", k.ptes.tablesOf(k.mms.pgd(mm)) - 1), // the top one does not count
    line("VmSwap", 0),
    line("HugetlbPages", 0)
  ].join("")
}

/** The one line of statm, in pages: size, resident, shared, text, 0, data and stack, 0. */
export function statm(k: Kernel, mm: Mm): string {
  const m = taskMem(k, mm)
  const shared = m.file + m.shmem
  return `${m.totalVm} ${shared + m.anon} ${shared} ${m.text} 0 ${m.dataVm + m.stackVm} 0\n`
}
