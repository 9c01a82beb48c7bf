import { describe, expect, it } from "vitest"
import {
  VM_DONTCOPY,
  VM_EXEC,
  VM_MAYEXEC,
  VM_MAYREAD,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_READ,
  VM_SHARED,
  VM_WRITE
} from "../../../lib/flags/bits.ts"
import { EACCES, EIO, ENODEV, EPERM, OK } from "../../../lib/flags/Errno.ts"
import { FIXED, PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { EXEC, READ as PROT_READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { assertMmapWrite } from "../../../lib/mm/area/mmap-lock.ts"
import { closeFile } from "../../../lib/mm/area/object.ts"
import { vmFlagsMod } from "../../../lib/mm/area/vm-flags.ts"
import { H_CLOSE, H_MMAP, NEED_HOOK } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { vmInsertPage } from "../../../lib/mm/page/insert.ts"
import { FILE_NOEXEC, FMODE_READ, FMODE_WRITE } from "../../../lib/mm/store/files.ts"
import { TOTAL_VM } from "../../../lib/mm/store/mms.ts"
import { VMA_DETACHED } from "../../../lib/mm/store/vmas.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { BASE, device, driverPage, Hand, machine, onMmap, PAGE, Proc, RW } from "./world.ts"

/** Everything that a failed mmap must leave as it was. */
const snapshot = (k: Kernel, p: Proc) => ({
  areas: k.vmas.live,
  frames: k.frames.free(),
  tables: k.ptes.live,
  files: k.files.liveFiles,
  total: k.mms.stat(p.mm, TOTAL_VM),
  committed: k.committed,
  rss: p.rss()
})

describe("the mmap hook", () => {
  it("a device without one cannot be mapped [R-MISC-01]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k, { hooks: 0 }))
    expect(p.map(BASE, 1, RW, SHARED, fd)).toBe(ENODEV)
    expect(p.areas(BASE, BASE + 1)).toBe(".")
    checkIdle(k)
  })

  it("runs once, under the write lock, before anybody sees the area, with everything prepared [R-MISC-04, R-NEW-01]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    const seen: unknown[] = []
    const hook = onMmap((v) => {
      assertMmapWrite(k, p.mm)
      seen.push([k.vmas.startOf(v) - BASE, k.vmas.endOf(v) - BASE, k.vmas.pgoff(v), k.vmas.flags(v) & 0xff])
      seen.push([k.vmas.mmOf(v) === p.mm, k.vmas.file(v) === k.tasks.file(p.task, fd)])
      expect(k.vmas.state(v)).toBe(VMA_DETACHED)
      expect(k.maple.lookup(p.mm, BASE)).toBe(0)
      return OK
    })
    expect(p.map(BASE, 3, PROT_READ, SHARED, fd, 5, hook)).toBe(BASE)
    const flags = VM_READ | VM_SHARED | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC | VM_MAYSHARE
    expect(seen).toEqual([
      [0, 3, 5, flags],
      [true, true]
    ])
    checkIdle(k)
  })

  it("flags that it leaves are the area's, and count from then on [R-MISC-04]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    p.map(
      BASE,
      1,
      RW,
      SHARED,
      fd,
      0,
      onMmap((v) => (vmFlagsMod(k, v, VM_DONTCOPY, VM_MAYEXEC), OK))
    )
    expect(p.flags(BASE) & (VM_DONTCOPY | VM_MAYEXEC)).toBe(VM_DONTCOPY)
    expect(p.fork().areas(BASE, BASE + 1)).toBe(".")
    expect(p.protect(BASE, 1, EXEC)).toBe(EACCES)
    checkIdle(k)
  })

  it.each([EPERM, EIO, -12])("its error %d is mmap's, and no trace of the area is left [R-MISC-03]", (errno) => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    const page = driverPage(k, 1)
    p.map(BASE + 64, 1, RW) // the tables next to it exist
    p.store(BASE + 64, 1)
    const before = snapshot(k, p)
    const hook = onMmap((v) => {
      expect(vmInsertPage(k, v, BASE, page)).toBe(OK)
      expect(vmInsertPage(k, v, BASE + 1, page)).toBe(OK)
      expect(k.frames.refcount(page)).toBe(3)
      return errno
    })
    expect(p.map(BASE, 2, RW, SHARED, fd, 0, hook)).toBe(errno)
    expect(p.areas(BASE, BASE + 2)).toBe("..")
    expect(p.pages(BASE, BASE + 2)).toBe("..")
    expect([k.frames.refcount(page), k.frames.mapcount(page)]).toEqual([1, 0])
    expect(snapshot(k, p)).toEqual(before)
    k.frames.put(page)
    checkIdle(k)
  })

  it("page tables that only the failed mapping needed go as well [R-MISC-03]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    const page = driverPage(k)
    const before = snapshot(k, p)
    const hook = onMmap((v) => (vmInsertPage(k, v, BASE, page), EPERM))
    expect(p.map(BASE, 2, RW, SHARED, fd, 0, hook)).toBe(EPERM)
    expect(snapshot(k, p)).toEqual(before)
    k.frames.put(page)
    checkIdle(k)
  })

  it("the owner of a mapping that failed is not told of its end [R-MISC-03]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k, { hooks: (1 << H_MMAP) | (1 << H_CLOSE) }))
    const hooks: number[] = []
    p.map(BASE, 1, RW, SHARED, fd, 0, (hook) => (hooks.push(hook), hook === H_MMAP ? EPERM : OK))
    expect(hooks).toEqual([H_MMAP])
    checkIdle(k)
  })

  it("an error leaves a hole where MAP_FIXED was to replace something [R-MISC-03, L-VMA-34]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(BASE, 4, RW)
    const fd = p.open(device(k))
    expect(
      p.map(
        BASE + 1,
        2,
        RW,
        SHARED,
        fd,
        0,
        onMmap(() => EPERM)
      )
    ).toBe(EPERM)
    expect(p.areas(BASE, BASE + 4)).toBe("a..b")
    checkIdle(k)
  })

  it("killed while it runs, it leaves nothing either [R-MISC-03]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    const page = driverPage(k)
    const before = snapshot(k, p)
    const call = new Hand(k, () => mmap(k, p.task, BASE * PAGE, PAGE, RW, SHARED | FIXED, fd, 0)).to(NEED_HOOK)
    const vma = k.runs.a[call.row]!
    k.runs.current = call.row
    expect(vmInsertPage(k, vma, BASE, page)).toBe(OK)
    call.kill()
    expect(snapshot(k, p)).toEqual(before)
    k.frames.put(page)
    checkIdle(k)
  })
})

describe("release", () => {
  const mapped = () => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k))
    const file = k.tasks.file(p.task, fd)
    p.map(
      BASE,
      2,
      RW,
      SHARED,
      fd,
      0,
      onMmap(() => OK)
    )
    return { k, p, fd, file }
  }
  const released = (k: Kernel) => {
    const files = k.released.splice(0)
    for (const f of files) closeFile(k, f)
    return files
  }

  it("comes at close if nothing maps the file [R-MISC-05]", () => {
    const { k, p, fd, file } = mapped()
    p.unmap(BASE, 2)
    expect(released(k)).toEqual([])
    p.close(fd)
    expect(released(k)).toEqual([file])
    checkIdle(k)
  })

  it("waits for the last mapping after close: a part that is left keeps the file open [R-MISC-05]", () => {
    const { k, p, fd, file } = mapped()
    p.close(fd)
    expect(released(k)).toEqual([])
    p.unmap(BASE, 1)
    expect(released(k)).toEqual([])
    p.unmap(BASE + 1, 1)
    expect(released(k)).toEqual([file])
    checkIdle(k)
  })

  it("waits for a child's mapping and descriptor too [R-MISC-05]", () => {
    const { k, p, fd, file } = mapped()
    const child = p.fork()
    p.close(fd)
    p.exit()
    expect(released(k)).toEqual([])
    child.close(fd)
    expect(released(k)).toEqual([])
    child.exit()
    expect(released(k)).toEqual([file])
    checkIdle(k)
  })
})

describe("before the hook is asked", () => {
  const R = FMODE_READ
  const W = FMODE_WRITE
  const noexec = FILE_NOEXEC
  const may = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
  const share = VM_SHARED | VM_MAYSHARE
  const cases: ReadonlyArray<readonly [string, number, number, number, number, number]> = [
    ["a descriptor that is not readable", W, 0, PROT_READ, SHARED, EACCES],
    ["a descriptor that is not readable, private", W, 0, PROT_READ, PRIVATE, EACCES],
    ["a shared writable mapping of a descriptor that is not writable", R, 0, RW, SHARED, EACCES],
    ["a private writable mapping of it", R, 0, RW, PRIVATE, VM_READ | VM_WRITE | may],
    ["a shared readable mapping of it", R, 0, PROT_READ, SHARED, VM_READ | VM_MAYREAD | VM_MAYEXEC | VM_MAYSHARE],
    ["a shared readable mapping of a writable one", R | W, 0, PROT_READ, SHARED, VM_READ | may | share],
    ["an executable mapping from a noexec mount", R | W, noexec, PROT_READ | EXEC, SHARED, EPERM],
    ["a readable mapping from a noexec mount", R | W, noexec, PROT_READ, PRIVATE, VM_READ | VM_MAYREAD | VM_MAYWRITE],
    ["an executable mapping from elsewhere", R | W, 0, PROT_READ | EXEC, PRIVATE, VM_READ | VM_EXEC | may]
  ]
  it.each(cases)("%s is judged [R-MISC-07]", (_, mode, flags, prot, map, want) => {
    const k = machine()
    const p = Proc.spawn(k)
    const fd = p.open(device(k), mode)
    k.files.setFlags(k.tasks.file(p.task, fd), flags)
    let asked = 0
    const r = p.map(
      BASE,
      1,
      prot,
      map,
      fd,
      0,
      onMmap(() => (asked++, OK))
    )
    if (want < 0) expect([r, asked, p.areas(BASE, BASE + 1)]).toEqual([want, 0, "."])
    else expect([r, asked, p.flags(BASE) & 0xff]).toEqual([BASE, 1, want])
    checkIdle(k)
  })

  it("a shared mapping of a read-only descriptor never becomes writable [R-MISC-07]", () => {
    const k = machine()
    const p = Proc.spawn(k)
    p.map(
      BASE,
      1,
      PROT_READ,
      SHARED,
      p.open(device(k), FMODE_READ),
      0,
      onMmap(() => OK)
    )
    expect(p.protect(BASE, 1, RW)).toBe(EACCES)
    expect(p.flags(BASE) & VM_WRITE).toBe(0)
    checkIdle(k)
  })
})
