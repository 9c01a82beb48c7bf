/** The built library, as plain node runs it, with the sources' types: what a compiler or a test runner makes of the
 * sources costs 1.7 to 13 times as much.
 */
import type * as MmapLock from "../lib/mm/area/mmap-lock.ts"
import type * as Config from "../lib/mm/base/config.ts"
import type * as FileObject from "../lib/mm/object/file.ts"
import type * as Invalidate from "../lib/mm/object/invalidate.ts"
import type * as Fault from "../lib/mm/page/fault.ts"
import type * as Insert from "../lib/mm/page/insert.ts"
import type * as PageTlb from "../lib/mm/page/tlb.ts"
import type * as Zap from "../lib/mm/page/zap.ts"
import type * as Maps from "../lib/mm/proc/maps.ts"
import type * as Smaps from "../lib/mm/proc/smaps.ts"
import type * as Boot from "../lib/mm/sys/boot.ts"
import type * as Madvise from "../lib/mm/sys/madvise.ts"
import type * as Mmap from "../lib/mm/sys/mmap.ts"
import type * as Mprotect from "../lib/mm/sys/mprotect.ts"
import type * as Mremap from "../lib/mm/sys/mremap.ts"
import type * as Munmap from "../lib/mm/sys/munmap.ts"
import type * as Process from "../lib/mm/sys/process.ts"
import type * as RunNow from "../lib/mm/sys/run-now.ts"
import type * as UffdFill from "../lib/mm/sys/uffd-fill.ts"
import type * as UffdRead from "../lib/mm/sys/uffd-read.ts"
import type * as UffdRegister from "../lib/mm/sys/uffd-register.ts"
import type * as Userfaultfd from "../lib/mm/sys/userfaultfd.ts"

const built = (path: string): Promise<unknown> => import(new URL(`../dist/${path}`, import.meta.url).href)

export const { boot } = (await built("mm/sys/boot.js")) as typeof Boot
export const { tiny } = (await built("mm/base/config.js")) as typeof Config
export const { mmap } = (await built("mm/sys/mmap.js")) as typeof Mmap
export const { munmap } = (await built("mm/sys/munmap.js")) as typeof Munmap
export const { mprotect } = (await built("mm/sys/mprotect.js")) as typeof Mprotect
export const { mremap } = (await built("mm/sys/mremap.js")) as typeof Mremap
export const { exit, fork, reap, spawn } = (await built("mm/sys/process.js")) as typeof Process
export const { maps } = (await built("mm/proc/maps.js")) as typeof Maps
export const { smaps } = (await built("mm/proc/smaps.js")) as typeof Smaps
export const { runNow } = (await built("mm/sys/run-now.js")) as typeof RunNow
export const { createFile, installFd, openPath, writeObject } = (await built("mm/object/file.js")) as typeof FileObject
export const { invalidate } = (await built("mm/object/invalidate.js")) as typeof Invalidate
export const { vmInsertPage } = (await built("mm/page/insert.js")) as typeof Insert
export const { zapPageRangeSingle } = (await built("mm/page/zap.js")) as typeof Zap
export const { switchMm } = (await built("mm/page/tlb.js")) as typeof PageTlb
export const { mmapUnlock, tryMmap } = (await built("mm/area/mmap-lock.js")) as typeof MmapLock
export const { fault } = (await built("mm/page/fault.js")) as typeof Fault
export const { madvise } = (await built("mm/sys/madvise.js")) as typeof Madvise
export const { uffdApi, userfaultfd } = (await built("mm/sys/userfaultfd.js")) as typeof Userfaultfd
export const { uffdCopy, uffdCopyBytes } = (await built("mm/sys/uffd-fill.js")) as typeof UffdFill
export const { uffdRead } = (await built("mm/sys/uffd-read.js")) as typeof UffdRead
export const { uffdRegister } = (await built("mm/sys/uffd-register.js")) as typeof UffdRegister
