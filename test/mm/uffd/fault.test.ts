/** Faults that a userfaultfd answers: who waits, what it is told, who never waits. */
import { describe, expect, it } from "vitest"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { fget, fput } from "../../../lib/mm/area/object.ts"
import { mmget } from "../../../lib/mm/area/mm.ts"
import { exit, mmput, reap } from "../../../lib/mm/sys/process.ts"
import { mincore } from "../../../lib/mm/sys/mincore.ts"
import { at, RO } from "../linux/words.ts"
import { world } from "../linux/world.ts"
import { begin, MINOR, MISSING, NONBLOCK, READ, touch, uffd, WP, WRITE } from "./uffd.ts"

describe("a fault", () => {
  it("on a missing page is told of, read or write, and waits until it is woken [UK-FT-01]", () => {
    const p = world("aas")
    const u = uffd(p, "a0+3")
    const all = [touch(p, "a0", READ), touch(p, "a1", WRITE), touch(p, "a2", WRITE)]
    expect(all.map((w) => w.state)).toEqual(["waits", "waits", "waits"])
    expect(u.read()).toEqual(["fault a0 read", "fault a1 write", "fault a2 write"])
    expect(p.pages("a0+3")).toBe("...")
    expect(u.zeropage("a0+2")).toBe("ok")
    expect(u.zeropage("a2")).toBe("ok")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok", "ok"])
    expect(p.pages("a0+3"), "the write found the page of zeroes and made its own").toBe("zAF")
  })
  it("of a write to a protected page says WP and WRITE; reads go through [UK-FT-02]", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", UFFD.FEATURE_PAGEFAULT_FLAG_WP, WP)
    expect(u.protect("a0+2")).toBe("ok")
    expect(p.read("a0+2")).toBe("101 102")
    const w = touch(p, "a1", WRITE)
    expect(u.read()).toEqual(["fault a1 wp write"])
    expect(u.protect("a1", 0)).toBe("ok")
    expect([w.state, p.write("a1")]).toEqual(["ok", "ok"])
  })
  it("on a page that the object has says MINOR, where that is asked for", () => {
    const p = world("ss")
    p.write("a0+2")
    const u = uffd(p, "a0+2", 0, MINOR)
    p.madvise("a0+2", 4)
    const w = touch(p, "a1", READ)
    expect(u.read()).toEqual(["fault a1 minor read"])
    expect(u.continue("a1")).toBe("ok")
    expect([w.state, p.read("a1")]).toEqual(["ok", "102"])
  })
  it("is told of with its page's address, with EXACT_ADDRESS with its own [UK-FT-03]", () => {
    for (const features of [0, UFFD.FEATURE_EXACT_ADDRESS]) {
      const p = world("a")
      const u = uffd(p, "a0", features)
      const w = touch(p, "a0", READ, 0x123)
      expect(address(u.bytes())).toBe(at("a0") + (features === 0 ? 0 : 0x123))
      u.zeropage("a0")
      expect(w.state).toBe("ok")
    }
  })
  it("names its thread with THREAD_ID only [UK-FT-04]", () => {
    for (const features of [0, UFFD.FEATURE_THREAD_ID]) {
      const p = world("a")
      const u = uffd(p, "a0", features)
      const w = touch(p, "a0")
      const bytes = u.bytes()
      expect(typeof bytes === "string" ? bytes : bytes[24]).toBe(features === 0 ? 0 : p.task)
      u.zeropage("a0")
      expect(w.state).toBe("ok")
    }
  })
  it("is SIGBUS at once where the descriptor wants that, and nobody is told [UK-FT-05]", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_SIGBUS)
    expect([p.read("a0"), p.write("a1"), u.read()]).toEqual(["SIGBUS", "SIGBUS", "EAGAIN"])
  })
  it("of the kernel is not answered under USER_MODE_ONLY: the call is EFAULT [UK-FT-06]", () => {
    const p = world("a")
    const u = uffd(p, "a0", 0, MISSING, NONBLOCK | UFFD.USER_MODE_ONLY)
    const call = begin(p, () => mincore(p.k, p.task, at("a0"), 4096, at("a0")))
    expect([call.state, u.read()]).toEqual(["EFAULT", "EAGAIN"])
    const w = touch(p, "a0")
    expect(u.read()).toEqual(["fault a0 read"])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
  it("of the kernel is answered as any other without USER_MODE_ONLY: the call waits", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    const call = begin(p, () => mincore(p.k, p.task, at("a0"), 4096, at("a0")))
    expect([call.state, u.read()]).toEqual(["waits", ["fault a0 write"]])
    u.zeropage("a0")
    expect(call.state).toBe("ok")
  })
  it("waits without a lock, so that whoever answers can take any, and then looks again [UK-FT-08]", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2")
    const w = touch(p, "a0", WRITE)
    expect(p.mprotect("a0", RO)).toBe("ok")
    expect(p.munmap("a1")).toBe("ok")
    u.zeropage("a0")
    expect(w.state, "the area forbids writes now").toBe("SEGV_ACCERR")
  })
  it("of a task that ends does not wait: SIGBUS [UK-FT-09]", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    const f = p.k.tasks.file(p.task, u.fd)
    fget(p.k, f) // another process has the descriptor too
    mmget(p.k, p.mm)
    const { mm } = p
    begin(p, () => exit(p.k, p.task))
    const w = touch(p, "a0", READ, 0, mm)
    expect(w.state).toBe("SIGBUS")
    reap(p.k, p.task)
    fput(p.k, f)
    begin(p, () => mmput(p.k, mm))
  })
  it("of a write under WP_ASYNC takes the protection away itself, and nobody is told [UK-FT-10]", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", UFFD.FEATURE_WP_ASYNC, WP)
    expect(u.protect("a0+2")).toBe("ok")
    expect([p.write("a0"), u.read(), p.pages("a0+2")]).toEqual(["ok", "EAGAIN", "AA"])
  })
})

const address = (bytes: Uint8Array | string): number =>
  typeof bytes === "string" ? -1 : Number(new DataView(bytes.buffer, bytes.byteOffset, 32).getBigUint64(16, true))
