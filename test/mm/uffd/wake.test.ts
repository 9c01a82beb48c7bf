/** Who is woken by what, and what a woken fault does then. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import { DONTNEED, GUARD_INSTALL } from "../../../lib/flags/AdviceFlags.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { ONFAULT } from "../../../lib/flags/MlockFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { uffdCopy } from "../../../lib/mm/sys/uffd-fill.ts"
import { uffdFdinfo } from "../../../lib/mm/sys/userfaultfd.ts"
import { at, NONE, type Pages, parse, RO, RW } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, MINOR, MISSING, NONBLOCK, READ, seen, touch, Uffd, uffd, WP, WRITE } from "./uffd.ts"

const states = (...all: Flight[]): string => all.map((w) => w.state).join(" ")
/** Faults that nobody has read, and all that wait. */
const waiting = (u: Uffd): string =>
  /pending:\t(\d+)\ntotal:\t(\d+)/
    .exec(uffdFdinfo(u.p.k, u.p.k.tasks.file(u.p.task, u.fd)))!
    .slice(1)
    .join(" of ")
const copying = (u: Uffd, to: Pages, from: Pages): Flight => {
  const [page, pages] = parse(to)
  const { p } = u
  return begin(p, () => uffdCopy(p.k, p.task, u.fd, page * 4096, parse(from)[0] * 4096, pages * 4096, 0))
}

describe("UFFDIO_WAKE", () => {
  it("wakes faults whose address lies in the range, read or not; each is told of again if nothing has come", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", UFFD.FEATURE_EXACT_ADDRESS)
    const all = [touch(p, "a1", READ, 0x800), touch(p, "a1"), touch(p, "a2")]
    expect(u.read(1)).toEqual(["fault 0x200000001800 read"])
    expect([u.wake("a0"), states(...all), u.read()]).toEqual([
      "ok",
      "waits waits waits",
      ["fault a1 read", "fault a2 read"]
    ])
    expect([u.wake("a1"), states(...all), waiting(u)]).toEqual(["ok", "waits waits waits", "2 of 3"])
    expect(u.read()).toHaveLength(2)
    expect(u.zeropage("a0+4")).toBe("ok")
    expect([states(...all), waiting(u)]).toEqual(["ok ok ok", "0 of 0"])
  })
  it("puts a fault that nobody had read yet behind those that came after it", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2")
    const all = [touch(p, "a0"), touch(p, "a1")]
    u.wake("a0")
    expect(states(...all)).toBe("waits waits")
    expect(u.read()).toEqual(["fault a1 read", "fault a0 read"])
    u.zeropage("a0+2")
    expect(states(...all)).toBe("ok ok")
  })
  it("of another descriptor does not wake", () => {
    const p = world("aa")
    const [u, v] = [uffd(p, "a0"), uffd(p, "a1")]
    const w = touch(p, "a0")
    expect([u.read(), v.wake("a0"), w.state, u.read()]).toEqual([["fault a0 read"], "ok", "waits", "EAGAIN"])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
})

describe("pages that come", () => {
  it("wake all that wait for them, whether their messages were read or not, and the unread ones are gone", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2")
    const all = [touch(p, "a0"), touch(p, "a0")]
    u.read(1)
    all.push(touch(p, "a0", WRITE))
    expect([waiting(u), u.copy("a0", "a2")]).toEqual(["2 of 3", "ok"])
    expect([states(...all), u.read(), waiting(u)]).toEqual(["ok ok ok", "EAGAIN", "0 of 0"])
  })
  it("with DONTWAKE wake nobody, and the message can still be read; coming again they are EEXIST and do not wake either", () => {
    const p = world("ab")
    const u = uffd(p, "a0")
    const w = touch(p, "a0")
    expect([u.copy("a0", "a1", UFFD.COPY_MODE_DONTWAKE), w.state, u.poll, u.read()]).toEqual([
      "ok",
      "waits",
      "IN",
      ["fault a0 read"]
    ])
    expect([u.copy("a0", "a1"), w.state, u.wake("a0"), w.state]).toEqual(["EEXIST", "waits", "ok", "ok"])
  })
  it("as far as they came wake; the one that could not come does not", () => {
    const p = world("aaaab")
    const u = uffd(p, "a0+4")
    u.zeropage("a2")
    const all = [touch(p, "a0"), touch(p, "a1"), touch(p, "a3")]
    expect([u.zeropage("a0+4"), u.out, states(...all)]).toEqual(["EAGAIN", "8192", "ok ok waits"])
    expect([u.zeropage("a2+2"), states(...all)]).toEqual(["EEXIST", "ok ok waits"])
    expect([u.zeropage("a3+2"), states(...all)], "beyond the area").toEqual(["ENOENT", "ok ok waits"])
    expect([u.zeropage("a3"), states(...all)]).toEqual(["ok", "ok ok ok"])
  })
})

describe("UFFDIO_UNREGISTER", () => {
  it("wakes who waits for missing pages of the range, not for others", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const all = [touch(p, "a0"), touch(p, "a1", WRITE), touch(p, "a2")]
    u.read(2)
    expect([u.unregister("a0+2"), states(...all), p.areas()]).toEqual([
      "ok",
      "ok ok waits",
      ["a0+2 rw-p", "a2 rw-p um"]
    ])
    expect(u.read()).toEqual(["fault a2 read"])
    u.zeropage("a2")
    expect(states(...all)).toBe("ok ok ok")
  })
  it("leaves asleep who waits for protection to go, or for a page of the object: only WAKE helps", () => {
    const p = world("as")
    p.write("a0+2")
    const u = uffd(p, "a0", 0, WP)
    u.protect("a0")
    const w = touch(p, "a0", WRITE)
    expect([u.read(), u.unregister("a0"), w.state]).toEqual([["fault a0 wp write"], "ok", "waits"])
    expect([u.wake("a0"), w.state]).toEqual(["ok", "ok"])
    u.register("a1", MINOR)
    p.madvise("a1", DONTNEED)
    const m = touch(p, "a1")
    expect([u.read(), u.unregister("a1"), m.state]).toEqual([["fault a1 minor read"], "ok", "waits"])
    expect([u.wake("a1"), m.state]).toEqual(["ok", "ok"])
  })
})

describe("UFFDIO_WRITEPROTECT", () => {
  it("lets a write go on that was woken, or tells of it again where it is protected once more", () => {
    const p = world("aa")
    p.write("a0+2")
    const u = uffd(p, "a0+2", 0, MISSING | WP)
    u.protect("a0+2")
    const all = [touch(p, "a0", WRITE), touch(p, "a1", WRITE)]
    expect(u.read()).toHaveLength(2)
    expect([u.protect("a0+2", UFFD.WRITEPROTECT_MODE_DONTWAKE), states(...all)]).toEqual(["ok", "waits waits"])
    expect([u.protect("a1", 0), states(...all)]).toEqual(["ok", "waits ok"])
    expect([u.protect("a0"), states(...all)], "protecting wakes nobody").toEqual(["ok", "waits ok"])
    expect([u.wake("a0"), states(...all), u.read()]).toEqual(["ok", "waits ok", ["fault a0 wp write"]])
    expect([u.protect("a0", 0), states(...all)]).toEqual(["ok", "ok ok"])
  })
  it("a write that waited for a page that is dropped waits for a missing page next", () => {
    const p = world("a")
    p.write("a0")
    const u = uffd(p, "a0", 0, MISSING | WP)
    u.protect("a0")
    const w = touch(p, "a0", WRITE)
    expect([u.read(), p.madvise("a0", DONTNEED), w.state]).toEqual([["fault a0 wp write"], "ok", "waits"])
    expect([u.wake("a0"), w.state, u.read()]).toEqual(["ok", "waits", ["fault a0 write"]])
    expect([u.zeropage("a0"), w.state]).toEqual(["ok", "ok"])
  })
  it("a write that waited for a missing page waits for its protection next, where it comes protected", () => {
    const p = world("ab")
    const u = uffd(p, "a0")
    const w = touch(p, "a0", WRITE)
    expect([u.read(), u.register("a0", MISSING | WP)]).toEqual([["fault a0 write"], "ok"])
    expect([u.copy("a0", "a1", UFFD.COPY_MODE_WP), w.state, u.read()]).toEqual(["ok", "waits", ["fault a0 wp write"]])
    expect([u.protect("a0", 0), w.state]).toEqual(["ok", "ok"])
  })
})

describe("what happens under a fault that waits comes out when it is woken", () => {
  const cases: readonly (readonly [string, (p: Proc, u: Uffd) => unknown, string, string])[] = [
    ["munmap", (p) => p.munmap("a1"), "waits", "SEGV_MAPERR"],
    ["other memory in its place", (p) => p.mmap("a1", RW), "waits", "ok"],
    ["mprotect to nothing", (p) => p.mprotect("a1", NONE), "waits", "SEGV_ACCERR"],
    ["mprotect to read-only", (p) => p.mprotect("a1", RO), "waits", "SEGV_ACCERR"],
    ["a guard", (p) => p.madvise("a1", GUARD_INSTALL), "waits", "SEGV_MAPERR"],
    ["poison", (_, u) => u.poison("a1"), "SIGBUS_POISON", "SIGBUS_POISON"],
    ["poison that does not wake", (_, u) => u.poison("a1", 1), "waits", "SIGBUS_POISON"],
    ["DONTNEED", (p) => p.madvise("a1", DONTNEED), "waits", "waits"],
    [
      "a page that comes without waking, and goes again",
      (p, u) => [u.zeropage("a1", 1), p.madvise("a1", DONTNEED)],
      "waits",
      "waits"
    ],
    ["mlock on fault", (p) => p.mlock("a1", ONFAULT), "waits", "waits"],
    ["a fork", (p) => p.fork(), "waits", "waits"],
    ["its neighbour unregistered", (_, u) => u.unregister("a0"), "waits", "waits"]
  ]
  it.each(cases)("%s", (_, change, before, after) => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const w = touch(p, "a1", WRITE)
    expect(u.read()).toEqual(["fault a1 write"])
    change(p, u)
    expect([w.state, u.wake("a1"), w.state]).toEqual([before, "ok", after])
    expect(u.read()).toEqual(after === "waits" ? ["fault a1 write"] : "EAGAIN")
    u.zeropage("a1")
    expect(w.state).toBe(after === "waits" ? "ok" : after)
  })
  it("a read goes on waiting where only writes were forbidden", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    const w = touch(p, "a1", READ)
    u.read()
    p.mprotect("a1", RO)
    expect([u.wake("a1"), w.state, u.read(), u.zeropage("a1"), w.state]).toEqual([
      "ok",
      "waits",
      ["fault a1 read"],
      "ok",
      "ok"
    ])
  })
})

describe("a COPY whose source is missing itself", () => {
  it("waits for its source like any other, and looks at the target again when it has come", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4")
    const c = copying(u, "a0", "a1")
    expect([c.state, u.read(), u.zeropage("a1"), c.state]).toEqual(["waits", ["fault a1 read"], "ok", "ok"])
    const own = copying(u, "a2", "a2")
    expect([own.state, u.read(), u.zeropage("a2"), own.state]).toEqual(["waits", ["fault a2 read"], "ok", "EEXIST"])
    const gone = copying(u, "a3", "a3")
    expect(gone.state).toBe("waits")
    p.munmap("a3")
    u.wake("a3")
    expect(gone.state).toBe("EFAULT")
  })
  it("is EFAULT where nobody asks for the kernel", () => {
    const p = world("aab")
    p.read("a2")
    const u = uffd(p, "a0+2", 0, MISSING, NONBLOCK | UFFD.USER_MODE_ONLY)
    expect([u.copy("a0", "a1"), u.out]).toEqual(["EFAULT", "EFAULT"])
    expect([u.copy("a0+2", "a2"), u.out, seen(p, "a0+2")]).toEqual(["EAGAIN", "4096", "A."])
  })
  it("finds that the target is gone, registered no longer, or changing, in the part that is left", () => {
    const p = world("aaaaaab")
    const u = uffd(p, "a0+3", UFFD.FEATURE_EVENT_UNMAP)
    const v = uffd(p, "a4", 0)
    p.write("a3")
    const partly = copying(u, "a0+2", "a3")
    expect([partly.state, v.read(), u.unregister("a0+2"), v.zeropage("a4")]).toEqual([
      "waits",
      ["fault a4 read"],
      "ok",
      "ok"
    ])
    expect([partly.state, p.k.out[0], seen(p, "a0+5")]).toEqual(["EAGAIN", 4096, "A..Az"])
    v.register("a5")
    const changed = copying(u, "a2", "a5")
    expect(changed.state).toBe("waits")
    u.register("a0+2")
    const m = begin(p, () => munmap(p.k, p.task, at("a0"), 4096))
    expect([m.state, v.zeropage("a5"), changed.state, u.read(), m.state]).toEqual([
      "waits",
      "ok",
      "EAGAIN",
      ["unmap a0 a1"],
      "ok"
    ])
  })
  it("holds its descriptor's file: faults wait though the descriptor is closed, until it is done", () => {
    const p = world("aa")
    const [u, v] = [uffd(p, "a0"), uffd(p, "a1")]
    const c = copying(u, "a0", "a1")
    u.close()
    const w = touch(p, "a0")
    expect([c.state, w.state, v.zeropage("a1"), c.state, w.state]).toEqual(["waits", "waits", "ok", "ok", "ok"])
    expect(p.areas()).toEqual(["a0 rw-p", "a1 rw-p um"])
  })
})

describe("one descriptor in two processes", () => {
  it("answers for its creator's memory in both: copies from the caller's, moves in neither but the creator's own", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2")
    const child = p.fork()
    child.write("a2")
    child.mmap("a3", RW, MAP.PRIVATE | MAP.ANONYMOUS)
    child.write("a3", 9)
    const theirs = new Uffd(child, u.fd)
    const w = touch(p, "a0")
    expect([theirs.read(), theirs.copy("a0", "a3"), w.state, p.read("a0")]).toEqual([
      ["fault a0 read"],
      "ok",
      "ok",
      "9"
    ])
    expect([theirs.move("a0", "a3"), theirs.register("a0"), theirs.protect("a0")]).toEqual(["EINVAL", "ok", "ENOENT"])
    u.close()
    const x = touch(p, "a1")
    expect(x.state, "the child has the file too").toBe("waits")
    child.exit()
    expect([x.state, p.areas()]).toEqual(["ok", ["a0+2 rw-p", "a2 r--p"]])
  })
})
