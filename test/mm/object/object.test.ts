/** Objects of users, at the seam: what they are told of, what they are asked, what comes of their answers. */
import { afterEach, describe, expect, it } from "vitest"
import {
  FAULT_OK,
  FAULT_SIGBUS,
  type Access,
  READ as READING,
  WRITE as WRITING
} from "../../../lib/flags/FaultFlags.ts"
import { EAGAIN, EFAULT, EINVAL, EIO, EPERM } from "../../../lib/flags/Errno.ts"
import { EXEC, READ, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { putObject, T_MAPPED, T_SIGBUS } from "../../../lib/mm/area/object.ts"
import { registerOps } from "../../../lib/mm/area/ops.ts"
import {
  H_ADD_MAPPING,
  H_COPY_MAPPING,
  H_REMOVE_MAPPING,
  H_TRANSLATE_WRITE,
  hookNames
} from "../../../lib/mm/base/stop.ts"
import { installFd, RDWR } from "../../../lib/mm/object/file.ts"
import { invalidate, invalidateSpace } from "../../../lib/mm/object/invalidate.ts"
import { allocPages, createMemory, decRef, holders, mapInternal, pageOf } from "../../../lib/mm/object/memory.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { mapAhead } from "../../../lib/mm/page/fill.ts"
import { FILE_OBJECT } from "../../../lib/mm/store/files.ts"
import { RLIMIT_MEMLOCK } from "../../../lib/mm/store/tasks.ts"
import { mmapObject, type ObjectRequest } from "../../../lib/mm/sys/mmap-object.ts"
import { exit, reap } from "../../../lib/mm/sys/process.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { call, HERE } from "../../../lib/proof/testing/calls.ts"
import { Line } from "../../support/line.ts"

const HOOKS = (1 << H_ADD_MAPPING) | (1 << H_REMOVE_MAPPING) | (1 << H_COPY_MAPPING) | (1 << H_TRANSLATE_WRITE)

/** A process, and an object of 8 pages that keeps page `i` in page `i` of a memory file. */
class Scene extends Line {
  readonly memory: number
  readonly object: number
  readonly file: number
  /** What the object was told and asked, in order. */
  readonly heard: string[] = []
  /** Errno of its next add or copy; 0 agrees. */
  refusal = 0
  /** May whoever reads write, without being asked again? */
  generous = false

  constructor() {
    super()
    const { k } = this
    this.memory = createMemory(k)
    allocPages(k, this.memory, 8)
    for (let i = 0; i < 8; i++) mapInternal(k, this.memory, i * 4096, i * 4096 + 1)![0]!.fill(i + 1)
    const ops = registerOps(k, {
      name: "object",
      hooks: HOOKS,
      translate: (_, v, pgoff, access) => this.translate(v, pgoff, access)
    })
    this.object = k.files.allocObj(FILE_OBJECT, 0)
    this.file = k.files.allocFile(FILE_OBJECT, this.object, RDWR, "object")
    k.files.setOps(this.file, ops)
    installFd(k, this.task, this.file)
    this.hook = (hook, vma, _ops, vpn) => this.told(hook, vma, vpn)
  }

  private translate(v: number, pgoff: number, access: Access): number {
    const { k } = this
    this.heard.push(`translate ${pgoff} ${access === WRITING ? "rw" : access === READING ? "r" : "rx"}`)
    if (pgoff >= 8) return T_SIGBUS
    const p = pageOf(k, this.memory, pgoff)
    if (p === 0) return T_SIGBUS
    if (!this.generous) return p
    mapAhead(k, v, k.vmas.startOf(v) + pgoff - k.vmas.pgoff(v), p, true)
    return T_MAPPED
  }

  private told(hook: number, vma: number, vpn: number): number {
    const { k } = this
    const [end, pgoff, to, toEnd] = k.range
    const at = vpn - HERE
    if (hook === H_TRANSLATE_WRITE) {
      this.heard.push(`translate ${k.vmas.pgoff(vma) + vpn - k.vmas.startOf(vma)} rw`)
      return 0
    }
    const range = `[${at}, ${end! - HERE}) @${pgoff}`
    this.heard.push(
      `${hookNames[hook]} ${range}${hook === H_COPY_MAPPING ? ` to [${to! - HERE}, ${toEnd! - HERE})` : ""}`
    )
    const refusal = hook === H_REMOVE_MAPPING ? 0 : this.refusal
    return refusal
  }

  /** Maps `pages` of the object from its page `pgoff` on: an errno, or 0. */
  mapObject(page: number, pages: number, pgoff = 0, some: Partial<ObjectRequest> = {}): number {
    const { k, task } = this
    const request: ObjectRequest = {
      file: this.file,
      length: pages * 4096,
      offset: pgoff * 4096,
      addr: (HERE + page) * 4096,
      fixed: true,
      unmap: true,
      noReplace: false,
      map32Bit: false,
      perms: READ | WRITE,
      maxPerms: READ | WRITE | EXEC,
      private: false,
      growsDown: false,
      stack: false,
      precommit: false,
      required: false,
      mlock: 0,
      force: false,
      ...some
    }
    return Math.min(
      0,
      call(k, () => mmapObject(k, task, request), this.hook)
    )
  }

  /** A write fault, answered by the object. */
  press(page: number): number {
    return call(this.k, () => fault(this.k, this.mm, HERE + page, WRITING), this.hook)
  }

  /** What it heard since it was last asked. */
  news(): string[] {
    return this.heard.splice(0)
  }
}

describe("an object of a user's", () => {
  let scene: Scene
  const fresh = (): Scene => (scene = new Scene())
  afterEach(() => {
    const { k, memory } = scene
    checkIdle(k)
    call(k, () => exit(k, scene.task), scene.hook)
    reap(k, scene.task)
    expect(k.files.liveFiles, "its file goes with the last mapping and descriptor").toBe(0)
    for (let i = 0; i < 8; i++) if (holders(k, memory, i) > 0) decRef(k, memory, i, i + 1)
    putObject(k, memory)
    expect(k.files.liveObjects).toBe(0)
    checkIdle(k)
  })

  it("hears of each mapping, answers for its pages, and hears of each piece that is unmapped [G-MAP-02, G-MAP-07]", () => {
    const s = fresh()
    expect(s.mapObject(0, 4, 2)).toBe(0)
    expect([s.read(0), s.read(3)]).toEqual([3, 6])
    expect(s.munmap(1, 1)).toBe(0)
    expect(s.news()).toEqual(["add_mapping [0, 4) @2", "translate 2 r", "translate 5 r", "remove_mapping [1, 2) @3"])
  })

  it("hears of a mapping that merges into its neighbour, and of both as one when they go", () => {
    const s = fresh()
    s.mapObject(0, 2)
    s.mapObject(2, 2, 2)
    expect(s.area(0)).toBe(s.area(2))
    s.munmap(0, 4)
    expect(s.news()).toEqual(["add_mapping [0, 2) @0", "add_mapping [2, 4) @2", "remove_mapping [0, 4) @0"])
  })

  it("refuses a mapping: what MAP_FIXED replaced is gone, and nothing came [G-MAP-02, G-MM-02]", () => {
    const s = fresh()
    s.map("aa")
    s.refusal = EINVAL
    expect(s.mapObject(0, 2)).toBe(EINVAL)
    expect(s.area(0)).toBe(0)
    expect(s.news()).toEqual(["add_mapping [0, 2) @0"])
  })

  it("refuses a fork: the child is undone, and hears of what it had got [G-MAP-09, G-FK-01]", () => {
    const s = fresh()
    s.mapObject(0, 1)
    s.mapObject(4, 1, 3)
    s.news()
    let left = 1
    const { hook } = s
    s.hook = (h, ...rest) => (h === H_ADD_MAPPING && left-- === 0 ? EIO : hook!(h, ...rest))
    expect(() => s.fork()).toThrow(String(EIO))
    s.hook = hook
    expect(s.news()).toEqual(["add_mapping [0, 1) @0", "remove_mapping [0, 1) @0"])
  })

  it("is asked again before a page is written that was translated for reading [G-PF-09]", () => {
    const s = fresh()
    s.mapObject(0, 2)
    s.read(0)
    expect([s.press(0), s.write(0), s.write(1)]).toEqual([FAULT_OK, 0, 0])
    expect(s.news()).toEqual(["add_mapping [0, 2) @0", "translate 0 r", "translate 0 rw", "translate 1 rw"])
  })

  it("is not asked again where it allowed writing at once", () => {
    const s = fresh()
    s.generous = true
    s.mapObject(0, 1)
    s.read(0)
    expect(s.write(0)).toBe(0)
    expect(s.news()).toEqual(["add_mapping [0, 1) @0", "translate 0 r"])
    expect(mapInternal(s.k, s.memory, 0, 1)![0]![0]).toBe(1)
  })

  it("is only read for a private mapping, whose writes go to a copy [G-OPT-14, G-PF-04, G-MSP-04, G-MSP-05]", () => {
    const s = fresh()
    s.mapObject(0, 2, 0, { private: true })
    s.write(1)
    expect(s.news()).toEqual(["add_mapping [0, 2) @0", "translate 1 r"])
    invalidate(s.k, s.object, 0, 8, false)
    expect(s.read(1), "a private copy outlives an invalidation").toBe(2)
    expect(mapInternal(s.k, s.memory, 4096, 4097)![0]![0], "and the object never sees it").toBe(2)
    expect(s.news()).toEqual([])
    invalidate(s.k, s.object, 0, 8, true)
    s.read(1)
    expect(s.news(), "unless copies are to go too").toEqual(["translate 1 r"])
  })

  it("is asked again after an invalidation, by object or by address [G-MAP-14, G-MSP-06]", () => {
    const s = fresh()
    s.mapObject(0, 4)
    for (const page of [0, 1, 2, 3]) s.read(page)
    s.news()
    invalidate(s.k, s.object, 1, 2, true)
    invalidateSpace(s.k, s.mm, HERE + 3, HERE + 4, true)
    for (const page of [0, 1, 2, 3]) s.read(page)
    expect(s.news()).toEqual(["translate 1 r", "translate 3 r"])
  })

  it("answers that there is nothing: SIGBUS", () => {
    const s = fresh()
    s.mapObject(0, 9)
    expect(s.read(8)).toBe(-FAULT_SIGBUS)
  })

  it("hears of the second place before the first one goes, when a mapping moves [G-MAP-08, G-MAP-11, G-REM-05]", () => {
    const s = fresh()
    const { k, task } = s
    s.mapObject(0, 2, 1)
    s.news()
    const at = (page: number): number => (HERE + page) * 4096
    call(k, () => mremap(k, task, at(0), 8192, 12288, 3, at(8)), s.hook)
    expect(s.news()).toEqual(["copy_mapping [0, 2) @1 to [8, 11)", "remove_mapping [0, 2) @1"])
    call(k, () => mremap(k, task, at(8), 12288, 16384, 0, 0), s.hook)
    expect(s.news()).toEqual(["add_mapping [11, 12) @4"])
    s.refusal = EINVAL
    expect(call(k, () => mremap(k, task, at(8), 16384, 16384, 3, at(0)), s.hook)).toBe(EINVAL)
    expect(s.area(8)).not.toBe(0)
    s.refusal = 0
    s.news()
    call(k, () => mremap(k, task, at(8), 0, 8192, 1, 0), s.hook)
    expect(s.news()[0], "a second view of what is there: of length 0 at first").toMatch(/^copy_mapping \[8, 8\) @1 to/)
  })

  it("is asked for a copy of what is there, as writable as it is, and within its offsets [G-MAP-10]", () => {
    const s = fresh()
    const { k, task } = s
    const at = (page: number): number => (HERE + page) * 4096
    expect(s.mapObject(0, 2, 2 ** 51)).toBe(0)
    s.news()
    const far = (2 ** 52 - 2 ** 51) * 4096
    expect(call(k, () => mremap(k, task, at(0), 8192, far, 1, 0), s.hook)).toBeLessThan(0)
    expect(s.news(), "a length that its offsets cannot have is refused before it hears of it").toEqual([])
    expect(
      call(k, () => mremap(k, task, at(5), 8192, 8192, 3, at(8)), s.hook),
      "nothing is there"
    ).toBe(EFAULT)
    expect(s.news()).toEqual([])
  })

  it("is unmapped in order: pages, then the object is told, then its file goes, when no lock is held [G-UN-03, G-ID-05]", () => {
    const s = fresh()
    const { k } = s
    s.mapObject(0, 2)
    s.read(0)
    s.news()
    const seen: string[] = []
    const { hook } = s
    s.hook = (h, v, ...rest) => {
      const slot = k.ptes.slot(k.mms.pgd(s.mm), HERE)
      seen.push(
        `${hookNames[h]}: ${slot < 0 || k.ptes.isNone(slot) ? "no page" : "a page"}, ${k.files.fileRefs(s.file)} hold`
      )
      return hook!(h, v, ...rest)
    }
    s.munmap(0, 2)
    s.hook = hook
    expect(seen).toEqual(["remove_mapping: no page, 2 hold"])
    expect(k.files.fileRefs(s.file)).toBe(1)
  })

  it("has its pages out of page tables and TLBs before their frames are let go of [G-MSP-07]", () => {
    const s = fresh()
    const { k } = s
    s.mapObject(0, 1)
    s.read(0)
    const p = pageOf(k, s.memory, 0)
    decRef(k, s.memory, 0, 1)
    expect(k.frames.refcount(p)).toBe(1)
    invalidate(k, s.object, 0, 1, false)
    expect([k.frames.refcount(p), s.read(0)]).toEqual([0, -FAULT_SIGBUS])
  })

  it("tells a fork that is under way: what it invalidates meanwhile, the child does not have either [G-MSP-09]", () => {
    const s = fresh()
    s.mapObject(0, 1)
    s.mapObject(2, 1, 2, { private: true })
    s.read(0)
    s.write(2)
    const { hook } = s
    let told = false
    s.hook = (h, ...rest) => {
      const r = hook!(h, ...rest)
      if (h === H_ADD_MAPPING && !told) {
        told = true
        invalidate(s.k, s.object, 0, 8, true)
      }
      return r
    }
    const child = s.fork()
    s.hook = hook
    expect([child.read(2), s.read(2)], "the private copies are gone on both sides").toEqual([3, 3])
    child.hook = hook
    call(s.k, () => exit(s.k, child.task), hook)
    reap(s.k, child.task)
  })

  it("counts against RLIMIT_MEMLOCK: none at all is EPERM, too much EAGAIN; a privileged task has no limit [G-OPT-19]", () => {
    const s = fresh()
    const { k, task } = s
    k.tasks.setRlimit(task, RLIMIT_MEMLOCK, 0, 0)
    expect(s.mapObject(0, 1, 0, { mlock: 1 }), "privileged").toBe(0)
    k.tasks.setCaps(task, 0)
    expect(s.mapObject(0, 1, 0, { mlock: 1 })).toBe(EPERM)
    k.tasks.setRlimit(task, RLIMIT_MEMLOCK, 8192, 8192)
    expect(s.mapObject(2, 2, 0, { mlock: 2 })).toBe(EAGAIN)
    expect(s.mapObject(2, 1, 0, { mlock: 2 })).toBe(0)
  })

  it("lies below the lowest address only by force, with fixed and unmap [G-OPT-22]", () => {
    const s = fresh()
    s.k.tasks.setCaps(s.task, 0)
    const low = -HERE
    expect(s.mapObject(low, 1)).toBe(EPERM)
    expect(s.mapObject(low, 1, 0, { unmap: false, force: true })).toBe(EPERM)
    expect(s.mapObject(low, 1, 0, { force: true })).toBe(0)
    expect(s.read(low)).toBe(1)
  })

  it("keeps a frame that somebody maps when its page has left the memory file", () => {
    const s = fresh()
    s.mapObject(0, 1)
    s.read(0)
    decRef(s.k, s.memory, 0, 1)
    expect(s.read(0)).toBe(1)
    expect([holders(s.k, s.memory, 0), pageOf(s.k, s.memory, 0)]).toEqual([0, 0])
  })
})
