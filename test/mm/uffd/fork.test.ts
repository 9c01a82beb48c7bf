/** Forks that a userfaultfd is told of: the child's descriptor, who waits, who hears nothing. As seen on 6.18.44. */
import { describe, expect, it } from "vitest"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { uffdFdinfo } from "../../../lib/mm/sys/userfaultfd.ts"
import { at } from "../linux/words.ts"
import { Proc, world } from "../linux/world.ts"
import { begin, type Flight, MISSING, NONBLOCK, READ, seen, touch, Uffd, uffd, WP, WRITE } from "./uffd.ts"

const forking = (p: Proc): Flight => begin(p, () => fork(p.k, p.task, "child"))
const childOf = (p: Proc, f: Flight): Proc => new Proc(p.machine, Number(f.state))
/** The descriptor that a message of a fork carries, in the process that read it. */
const descriptorOf = (p: Proc, messages: string[] | string): Uffd => {
  const fork = [messages].flat().find((one) => one.startsWith("fork "))
  return new Uffd(p, Number(fork?.slice(5) ?? -1))
}
/** Takes all free descriptors. @returns what gives them back */
function fill(p: Proc, fd: number): () => void {
  const all: number[] = []
  while (p.k.tasks.freeFd(p.task) >= 0) all.push(p.dup(fd))
  return () => all.forEach((one) => p.close(one))
}

describe("a fork that is told of", () => {
  it("waits, and meanwhile pages neither come nor change; areas may be registered, and waiters woken", () => {
    const p = world("aa..ab")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_FORK)
    const f = forking(p)
    expect([f.state, u.poll]).toEqual(["waits", "IN"])
    expect([u.copy("a1", "a4"), u.out, u.wake("a0"), u.register("a4"), u.unregister("a4")]).toEqual([
      "EAGAIN",
      "EAGAIN",
      "ok",
      "ok",
      "ok"
    ])
    const child = descriptorOf(p, u.read())
    const c = childOf(p, f)
    expect([c.areas(), p.areas()]).toEqual([
      ["a0+2 rw-p um", "a4 rw-p", "a5 r--p"],
      ["a0+2 rw-p um", "a4 rw-p", "a5 r--p"]
    ])
    expect([child.poll, u.copy("a1", "a4")]).toEqual(["", "ok"])
  })
  it("gives the child the features, the flags and the registered areas of the parent's", () => {
    const p = world("aa..a")
    const features = UFFD.FEATURE_EVENT_FORK | UFFD.FEATURE_EXACT_ADDRESS | UFFD.FEATURE_EVENT_UNMAP
    const u = uffd(p, "a0+2", features, MISSING, NONBLOCK | UFFD.USER_MODE_ONLY)
    u.register("a4", MISSING | WP)
    u.zeropage("a0")
    const f = forking(p)
    const theirs = descriptorOf(p, u.read())
    const c = childOf(p, f)
    expect(c.areas()).toEqual(["a0+2 rw-p um", "a4 rw-p um uw"])
    expect(uffdFdinfo(p.k, p.k.tasks.file(p.task, theirs.fd))).toBe(uffdFdinfo(p.k, p.k.tasks.file(p.task, u.fd)))
    const w = touch(c, "a1", WRITE, 5)
    expect([u.read(), theirs.read()]).toEqual(["EAGAIN", ["fault 0x200000001005 write"]])
    expect([theirs.zeropage("a1"), w.state, seen(c, "a0+2"), seen(p, "a0+2")]).toEqual(["ok", "ok", "zA", "z."])
    expect(theirs.move("a1", "a0"), "of another address space than the caller's").toBe("EINVAL")
    const m = begin(c, () => munmap(c.k, c.task, at("a0"), 4096))
    expect([m.state, u.read(), theirs.read(), m.state]).toEqual(["waits", "EAGAIN", ["unmap a0 a1"], "ok"])
  })
  it("of a child with a child of its own is told of by the child's descriptor", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_FORK)
    const f = forking(p)
    const theirs = descriptorOf(p, u.read())
    const c = childOf(p, f)
    const g = forking(c)
    expect([g.state, u.read()]).toEqual(["waits", "EAGAIN"])
    const grandchilds = descriptorOf(p, theirs.read())
    const w = touch(childOf(p, g), "a1", READ)
    expect([u.read(), theirs.read(), grandchilds.read()]).toEqual(["EAGAIN", "EAGAIN", ["fault a1 read"]])
    grandchilds.zeropage("a1")
    expect([w.state, seen(c, "a0+2")]).toEqual(["ok", ".."])
  })
  it("is told of by one descriptor after another, in the order of the areas; each is changing until its own was read", () => {
    const p = world("aaaab")
    const u = uffd(p, "a1", UFFD.FEATURE_EVENT_FORK)
    const v = uffd(p, "a0", UFFD.FEATURE_EVENT_FORK)
    v.register("a2")
    const f = forking(p)
    expect([u.poll, v.poll, u.copy("a1", "a4"), v.copy("a0", "a4")]).toEqual(["", "IN", "EAGAIN", "EAGAIN"])
    expect(v.read()).toEqual([expect.stringMatching(/^fork/)])
    expect([f.state, u.poll, v.poll, u.copy("a1", "a4"), v.copy("a0", "a4")]).toEqual([
      "waits",
      "IN",
      "",
      "EAGAIN",
      "ok"
    ])
    expect(u.read()).toEqual([expect.stringMatching(/^fork/)])
    expect(childOf(p, f).areas()).toEqual(["a0 rw-p um", "a1 rw-p um", "a2 rw-p um", "a3 rw-p", "a4 r--p"])
  })
})

describe("a reader without a free descriptor", () => {
  it("is EMFILE, and the event stays; faults go before it all the same", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_FORK)
    const f = forking(p)
    const free = fill(p, u.fd)
    expect([u.read(), u.poll, u.read(), f.state]).toEqual(["EMFILE", "IN", "EMFILE", "waits"])
    const w = touch(p, "a1", WRITE)
    expect(u.read(), "what was read already counts").toEqual(["fault a1 write"])
    expect(u.read()).toBe("EMFILE")
    free()
    expect(u.read()).toEqual([expect.stringMatching(/^fork/)])
    expect(childOf(p, f).areas()).toEqual(["a0+2 rw-p um"])
    u.zeropage("a1")
    expect(w.state).toBe("ok")
  })
  it("finds the events behind it next time: it goes to the end", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", UFFD.FEATURE_EVENT_FORK | UFFD.FEATURE_EVENT_UNMAP)
    const f = forking(p)
    const m = begin(p, () => munmap(p.k, p.task, at("a3"), 4096))
    const free = fill(p, u.fd)
    expect([u.read(), f.state, m.state]).toEqual(["EMFILE", "waits", "waits"])
    expect([u.read(), f.state, m.state]).toEqual([["unmap a3 a4"], "waits", "ok"])
    free()
    expect(u.read()).toEqual([expect.stringMatching(/^fork/)])
    expect(childOf(p, f).areas()).toEqual(["a0+4 rw-p um"])
  })
})

describe("nobody hears of a fork", () => {
  it("when the descriptor is closed: the parent goes on, and the child's memory is as any other", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_FORK)
    p.k.tasks.setCloexec(p.task, u.fd)
    const f = forking(p)
    expect(f.state).toBe("waits")
    const childs = new Proc(p.machine, p.task + 1)
    childs.close(u.fd) // who forks with a table of files of its own gives the child one, too
    u.close()
    const c = childOf(p, f)
    expect([c.areas(), p.areas(), c.read("a1")]).toEqual([["a0+2 rw-p"], ["a0+2 rw-p"], "0"])
  })
  it("when the parent is killed: its event is gone, and nothing is changing any longer", () => {
    const p = world("aab")
    const u = uffd(p, "a0+2", UFFD.FEATURE_EVENT_FORK)
    const f = forking(p)
    f.kill()
    expect([u.poll, u.read(), u.copy("a0", "a2")]).toEqual(["", "EAGAIN", "ok"])
  })
})

describe("a fork that is not told of", () => {
  it("leaves a fault that waits where it is, and the child's pages are missing as usual", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2")
    const w = touch(p, "a0", WRITE)
    const c = p.fork()
    expect([c.areas(), c.write("a0"), c.read("a0"), w.state]).toEqual([["a0+2 rw-p"], "ok", "101", "waits"])
    u.zeropage("a0")
    expect([w.state, u.poll]).toEqual(["ok", ""])
  })
})
