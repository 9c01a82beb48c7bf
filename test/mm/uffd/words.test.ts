/** The numbers of userfaultfd's interface. */
import { describe, expect, it } from "vitest"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { uffdRead } from "../../../lib/mm/sys/uffd-read.ts"
import { userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { at, outcome } from "../linux/words.ts"
import { world } from "../linux/world.ts"
import { begin, MINOR, MISSING, touch, uffd, WP, WRITE } from "./uffd.ts"

const bit = (n: number): number => 1 << n

describe("numbers", () => {
  it("ioctls are bits of a mask, REGISTER 0 to POISON 8, and API 63 [U-CON-02]", () => {
    const { API_IOCTL, CONTINUE, COPY, MOVE, POISON, REGISTER, UNREGISTER, WAKE, WRITEPROTECT, ZEROPAGE } = UFFD
    expect([REGISTER, UNREGISTER, WAKE, COPY, ZEROPAGE, MOVE, WRITEPROTECT, CONTINUE, POISON, API_IOCTL]).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 0x3f
    ])
  })
  it("a descriptor's own ioctls are REGISTER, UNREGISTER and API [U-CON-03]", () => {
    expect(UFFD.API_IOCTLS).toBe((1n << 0n) | (1n << 1n) | (1n << 0x3fn))
  })
  it("features are bits 0 to 16, in this order, and there is no other [U-CON-07]", () => {
    const inOrder = [
      UFFD.FEATURE_PAGEFAULT_FLAG_WP,
      UFFD.FEATURE_EVENT_FORK,
      UFFD.FEATURE_EVENT_REMAP,
      UFFD.FEATURE_EVENT_REMOVE,
      UFFD.FEATURE_MISSING_HUGETLBFS,
      UFFD.FEATURE_MISSING_SHMEM,
      UFFD.FEATURE_EVENT_UNMAP,
      UFFD.FEATURE_SIGBUS,
      UFFD.FEATURE_THREAD_ID,
      UFFD.FEATURE_MINOR_HUGETLBFS,
      UFFD.FEATURE_MINOR_SHMEM,
      UFFD.FEATURE_EXACT_ADDRESS,
      UFFD.FEATURE_WP_HUGETLBFS_SHMEM,
      UFFD.FEATURE_WP_UNPOPULATED,
      UFFD.FEATURE_POISON,
      UFFD.FEATURE_WP_ASYNC,
      UFFD.FEATURE_MOVE
    ]
    expect(inOrder).toEqual(inOrder.map((_, i) => bit(i)))
    expect(UFFD.FEATURES).toBe(inOrder.reduce((all, one) => all | one))
  })
  it("modes of registering are MISSING 1, WP 2, MINOR 4 [U-CON-08]", () => {
    expect([MISSING, WP, MINOR]).toEqual([1, 2, 4])
  })
  it("DONTWAKE is bit 0, but bit 1 for WRITEPROTECT, whose WP is bit 0 and COPY's and CONTINUE's bit 1 [U-CON-09, U-CON-10]", () => {
    const { COPY_MODE_DONTWAKE, CONTINUE_MODE_DONTWAKE, MOVE_MODE_DONTWAKE, POISON_MODE_DONTWAKE } = UFFD
    const dontWake = [COPY_MODE_DONTWAKE, CONTINUE_MODE_DONTWAKE, MOVE_MODE_DONTWAKE, POISON_MODE_DONTWAKE]
    expect([...dontWake, UFFD.ZEROPAGE_MODE_DONTWAKE]).toEqual([1, 1, 1, 1, 1])
    expect([UFFD.WRITEPROTECT_MODE_WP, UFFD.WRITEPROTECT_MODE_DONTWAKE]).toEqual([1, 2])
    expect([UFFD.COPY_MODE_WP, UFFD.CONTINUE_MODE_WP, UFFD.MOVE_MODE_ALLOW_SRC_HOLES]).toEqual([2, 2, 2])
  })
  it("events are 0x12 to 0x16 [U-CON-11]", () => {
    const { EVENT_FORK, EVENT_PAGEFAULT, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP } = UFFD
    expect([EVENT_PAGEFAULT, EVENT_FORK, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP]).toEqual([
      0x12, 0x13, 0x14, 0x15, 0x16
    ])
  })
  it("a fault's flags are WRITE 1, WP 2, MINOR 4 [U-CON-12]", () => {
    expect([UFFD.PAGEFAULT_FLAG_WRITE, UFFD.PAGEFAULT_FLAG_WP, UFFD.PAGEFAULT_FLAG_MINOR]).toEqual([1, 2, 4])
  })
  it("userfaultfd(2) knows CLOEXEC, NONBLOCK and USER_MODE_ONLY, and refuses every other bit [U-CON-14]", () => {
    const p = world()
    const known = [UFFD.CLOEXEC, UFFD.NONBLOCK, UFFD.USER_MODE_ONLY]
    expect(known).toEqual([0o2000000, 0o4000, 1])
    for (let i = 0; i < 32; i++) {
      const r = userfaultfd(p.k, p.task, bit(i) >>> 0)
      if (known.includes(bit(i))) expect(r).toBeGreaterThanOrEqual(0)
      else expect(outcome(r), `bit ${i}`).toBe("EINVAL")
    }
  })
})

describe("masks of a registered range", () => {
  it("have WAKE, COPY, ZEROPAGE, MOVE and POISON; WRITEPROTECT with WP, and CONTINUE with MINOR [U-CON-04, U-CON-06]", () => {
    const p = world("as")
    const u = uffd(p)
    const always = [UFFD.WAKE, UFFD.COPY, UFFD.ZEROPAGE, UFFD.MOVE, UFFD.POISON].map(bit).reduce((a, b) => a | b)
    const both = always | bit(UFFD.WRITEPROTECT) | bit(UFFD.CONTINUE)
    expect(UFFD.RANGE_IOCTLS).toBe(both)
    const maskOf = (mode: number): string => {
      expect(u.register("a1", mode)).toBe("ok")
      return u.out
    }
    expect(maskOf(MISSING)).toBe(String(always))
    expect(maskOf(WP)).toBe(String(always | bit(UFFD.WRITEPROTECT)))
    expect(maskOf(MINOR)).toBe(String(always | bit(UFFD.CONTINUE)))
    expect(maskOf(MISSING | WP | MINOR)).toBe(String(both))
  })
})

describe("messages", () => {
  it("are 32 bytes: event, flags, address, thread; or up to three words; the rest is zero [U-CON-13]", () => {
    const p = world("aa...a")
    const u = uffd(p, "a0+2", UFFD.FEATURE_THREAD_ID | UFFD.FEATURE_EVENT_REMAP)
    const words = (bytes: Uint8Array | string): bigint[] => {
      if (typeof bytes === "string") throw new Error(bytes)
      expect(bytes.length).toBe(32)
      const view = new DataView(bytes.buffer, bytes.byteOffset, 32)
      return [0, 8, 16, 24].map((i) => view.getBigUint64(i, true))
    }
    const w = touch(p, "a1", WRITE)
    const dirty = new Uint8Array(32).fill(0xff)
    p.sys((k, task) => uffdRead(k, task, u.fd, dirty))
    expect(words(dirty)).toEqual([0x12n, 1n, BigInt(at("a1")), BigInt(p.task)])
    u.zeropage("a1")
    expect(w.state).toBe("ok")
    const m = begin(p, () => mremap(p.k, p.task, at("a0"), 8192, 8192, 3, at("a10")))
    expect(words(u.bytes())).toEqual([0x14n, BigInt(at("a0")), BigInt(at("a10")), 8192n])
    expect(m.state).toBe("a10")
  })
})
