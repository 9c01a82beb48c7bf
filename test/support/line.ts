/** A process drawn as a line of pages: calls by page number, pictures for answers. */
import * as MAP from "../../lib/flags/MapFlags.ts"
import { READ, WRITE } from "../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../lib/mm/area/check.ts"
import type { KernelConfig } from "../../lib/mm/base/config.ts"
import type { Kernel, Ops } from "../../lib/mm/kernel.ts"
import { registerOps } from "../../lib/mm/area/ops.ts"
import { createDevice, createFile, installFd, openPath, writeObject } from "../../lib/mm/object/file.ts"
import { FILE_REGULAR, FMODE_READ, FMODE_WRITE } from "../../lib/mm/store/files.ts"
import { mmap } from "../../lib/mm/sys/mmap.ts"
import { mprotect } from "../../lib/mm/sys/mprotect.ts"
import { munmap } from "../../lib/mm/sys/munmap.ts"
import { fork } from "../../lib/mm/sys/process.ts"
import type { SyncHook } from "../../lib/mm/sys/run-now.ts"
import { userLoad8, userStore8 } from "../../lib/mm/sys/trap.ts"
import { bootTiny, call, endTask, HERE, spawnTask } from "../../lib/proof/testing/calls.ts"
import { drawAreas, drawPages, type Legend, mapPicture } from "../../lib/proof/testing/picture.ts"

export const RW = READ | WRITE
export { READ }

/** One process; page numbers count from the start of its picture. */
export class Line {
  readonly k: Kernel
  readonly task: number
  /** Answers drivers' hooks. */
  hook: SyncHook | undefined

  constructor(k: Kernel = bootTiny(), task: number = spawnTask(k)) {
    this.k = k
    this.task = task
  }

  /** A process on a machine of its own. */
  static on(config: Partial<KernelConfig>): Line {
    return new Line(bootTiny(config))
  }

  get mm(): number {
    return this.k.tasks.mm(this.task)
  }

  /** Maps a picture; see lib/proof/testing/picture.ts. */
  map(picture: string, legend?: Legend): this {
    const r = mapPicture(this.k, this.task, picture, legend, HERE, this.hook)
    if (r < 0) throw new Error(`mapping "${picture}" failed with ${r}`)
    return this
  }

  /** mmap with MAP_FIXED: an errno, or 0. */
  mmap(
    page: number,
    pages: number,
    prot = RW,
    flags: number = MAP.PRIVATE | MAP.ANONYMOUS,
    fd = -1,
    pgoff = 0
  ): number {
    const { k, task } = this
    const at = (HERE + page) * 4096
    const r = call(k, () => mmap(k, task, at, pages * 4096, prot, flags | MAP.FIXED, fd, pgoff * 4096), this.hook)
    return Math.min(r, 0)
  }

  munmap(page: number, pages: number): number {
    return call(this.k, () => munmap(this.k, this.task, (HERE + page) * 4096, pages * 4096), this.hook)
  }

  mprotect(page: number, pages: number, prot: number): number {
    return call(this.k, () => mprotect(this.k, this.task, (HERE + page) * 4096, pages * 4096, prot), this.hook)
  }

  /** Writes a byte to the first byte of each page named: 0, or minus the fault's code for the last that failed. */
  write(...pages: readonly number[]): number {
    return Math.min(0, ...pages.map((page) => userStore8(this.k, this.mm, (HERE + page) * 4096, 1 + page)))
  }

  /** The first byte of a page, or minus a fault's code. */
  read(page: number): number {
    return userLoad8(this.k, this.mm, (HERE + page) * 4096)
  }

  fork(): Line {
    const child = call(this.k, () => fork(this.k, this.task, "child"), this.hook)
    if (child < 0) throw new Error(`fork failed with ${child}`)
    const line = new Line(this.k, child)
    line.hook = this.hook
    return line
  }

  exit(): void {
    endTask(this.k, this.task)
  }

  /** The areas. Everything is checked first: a picture is what a test ends with. */
  draw(pages?: number): string {
    checkIdle(this.k)
    return drawAreas(this.k, this.mm, pages === undefined ? undefined : HERE, pages)
  }

  /** What the page tables have. */
  drawPages(pages?: number): string {
    checkIdle(this.k)
    return drawPages(this.k, this.mm, pages === undefined ? undefined : HERE, pages)
  }

  /** Row of the area at a page; 0 none. */
  area(page: number): number {
    return this.k.maple.lookup(this.mm, HERE + page)
  }

  anonOf(page: number): number {
    return this.k.vmas.anon(this.area(page))
  }

  /** Opens a file of `pages`, each filled with its own number plus 1: its descriptor. Made by the first who opens it. */
  open(path: string, pages = 4, mode = FMODE_READ | FMODE_WRITE): number {
    if (!this.k.paths.has(path)) {
      createFile(this.k, path, FILE_REGULAR, 0)
      const bytes = Uint8Array.from({ length: pages * 4096 }, (_, i) => 1 + (i >> 12))
      writeObject(this.k, this.k.paths.get(path)!.obj, 0, bytes)
    }
    return installFd(this.k, this.task, openPath(this.k, path, mode))
  }

  /** Opens a device with these operations: its descriptor. Its mmap hook is `hook`'s. */
  device(ops: Ops): number {
    createDevice(this.k, `/dev/${ops.name}`, registerOps(this.k, ops))
    return installFd(this.k, this.task, openPath(this.k, `/dev/${ops.name}`, FMODE_READ | FMODE_WRITE))
  }
}
