/** A userfaultfd's descriptor: who gets one, the handshake, reading, polling, closing. */
import { describe, expect, it } from "vitest"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { fget } from "../../../lib/mm/area/object.ts"
import { installFd } from "../../../lib/mm/object/file.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { uffdApi, uffdFdinfo, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { at, outcome } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"
import { begin, type Flight, MISSING, NONBLOCK, READ, touch, Uffd, uffd, WRITE } from "./uffd.ts"

const open = (p: Proc, flags: number): string => outcome(Math.min(0, userfaultfd(p.k, p.task, flags)))
/** A descriptor before the handshake. */
const fresh = (p: Proc, flags: number = NONBLOCK): Uffd => new Uffd(p, userfaultfd(p.k, p.task, flags))
const api = (u: Uffd, features = 0, version: number = UFFD.API): string =>
  outcome(uffdApi(u.p.k, u.p.task, u.fd, version, features))

describe("userfaultfd(2)", () => {
  it("answers kernel faults too for CAP_SYS_PTRACE or if the machine lets everybody; user faults for all [UK-NEW-01]", () => {
    const root = world()
    const user = world().asUser()
    const lax = world("", { unprivilegedUserfaultfd: 1 }).asUser()
    expect([root, user, lax].map((p) => open(p, 0))).toEqual(["ok", "EPERM", "ok"])
    expect([root, user, lax].map((p) => open(p, UFFD.USER_MODE_ONLY))).toEqual(["ok", "ok", "ok"])
  })
  it("looks at the caller's rights before the flags, and ends in ENOMEM where there is no memory [UK-NEW-02]", () => {
    const p = world()
    expect(open(p, 2)).toBe("EINVAL")
    expect(open(world().asUser(), 2)).toBe("EPERM")
    expect(open(world().asUser(), 2 | UFFD.USER_MODE_ONLY)).toBe("EINVAL")
    p.k.fail.arm(1)
    expect(open(p, 0)).toBe("ENOMEM")
    p.k.fail.arm(0)
  })
  it("keeps no address space in use: its creator's exit waits for nobody, and its ioctls find that out [UK-NEW-03, UK-RG-03]", () => {
    const p = world("a")
    const q = p.fork()
    const u = uffd(q, "a0")
    const { mm } = q
    const f = q.k.tasks.file(q.task, u.fd)
    fget(p.k, f)
    const fd = installFd(p.k, p.task, f)
    q.exit()
    expect(p.k.mms.users(mm)).toBe(0)
    const v = new Uffd(p, fd)
    expect([v.register("a0"), v.unregister("a0"), v.zeropage("a0"), v.protect("a0")]).toEqual([
      "ENOMEM",
      "ENOMEM",
      "ESRCH",
      "ESRCH"
    ])
    v.close()
  })
})

describe("handshake", () => {
  it("comes first: no other ioctl, no read, and polls end in an error [UK-API-01]", () => {
    const p = world("aa")
    const u = fresh(p)
    const each = (): string[] => [
      u.register("a0"),
      u.unregister("a0"),
      u.wake("a0"),
      u.copy("a0", "a1"),
      u.zeropage("a0"),
      u.protect("a0"),
      u.continue("a0"),
      u.poison("a0"),
      u.move("a0", "a1"),
      String(u.read())
    ]
    expect(new Set(each())).toEqual(new Set(["EINVAL"]))
    expect(u.poll).toBe("ERR")
    expect(api(u)).toBe("ok")
    expect([u.register("a0"), String(u.read()), u.poll]).toEqual(["ok", "EAGAIN", ""])
  })
  it("knows version 0xaa only, and stores zeroes for others and for unknown features [U-CON-01, UK-API-02, UK-API-04]", () => {
    expect(UFFD.API).toBe(0xaa)
    const u = fresh(world())
    for (const version of [0, 0xa9, 0xab, 0x1aa]) {
      expect(api(u, 0, version)).toBe("EINVAL")
      expect(u.out).toBe("0")
    }
    for (let i = 17; i < 32; i++) {
      expect(api(u, (1 << i) >>> 0), `feature ${i}`).toBe("EINVAL")
      expect(u.out).toBe("0")
    }
    expect(outcome(uffdApi(u.p.k, u.p.task, u.fd, UFFD.API, 2 ** 40)), "bits of the high half count").toBe("EINVAL")
    expect(api(u)).toBe("ok")
  })
  it("gives EVENT_FORK to CAP_SYS_PTRACE only, and says so before it says that a feature is unknown [UK-API-03]", () => {
    const u = fresh(world().asUser(), UFFD.USER_MODE_ONLY)
    expect(api(u, UFFD.FEATURE_EVENT_FORK)).toBe("EPERM")
    expect(api(u, UFFD.FEATURE_EVENT_FORK | (1 << 20))).toBe("EPERM")
    expect(api(u, 1 << 20)).toBe("EINVAL")
    expect(api(fresh(world()), UFFD.FEATURE_EVENT_FORK)).toBe("ok")
  })
  it("turns WP_UNPOPULATED on along with WP_ASYNC [UK-API-05]", () => {
    const p = world()
    const featuresOf = (u: Uffd): number => p.k.uffds.features(p.k.files.private(p.k.tasks.file(p.task, u.fd)))
    expect(featuresOf(uffd(p, "", UFFD.FEATURE_WP_ASYNC))).toBe(UFFD.FEATURE_WP_ASYNC | UFFD.FEATURE_WP_UNPOPULATED)
    expect(featuresOf(uffd(p, "", UFFD.FEATURE_SIGBUS))).toBe(UFFD.FEATURE_SIGBUS)
  })
  it("stores all features there are, and turns on those that were asked for [UK-API-06]", () => {
    const p = world("a")
    const u = fresh(p)
    expect(api(u, UFFD.FEATURE_SIGBUS)).toBe("ok")
    expect(u.out).toBe(String(UFFD.FEATURES))
    expect(u.register("a0")).toBe("ok")
    expect(p.read("a0")).toBe("SIGBUS")
    const other = fresh(world())
    expect(api(other)).toBe("ok")
    expect(other.out, "asked for or not").toBe(String(UFFD.FEATURES))
  })
  it("is for once: a second one is EINVAL and stores zeroes, one that failed does not count [UK-API-07]", () => {
    const u = fresh(world())
    expect([api(u, 1 << 30), api(u), api(u)]).toEqual(["EINVAL", "ok", "EINVAL"])
    expect(u.out).toBe("0")
  })
})

describe("reading", () => {
  it("needs room for one message; what is over a multiple of 32 bytes stays as it is [UK-RD-01]", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3")
    for (const size of [0, 1, 31]) expect(u.bytes(1, size)).toBe("EINVAL")
    const all = [touch(p, "a0"), touch(p, "a1")]
    expect(u.bytes(1, 63)).toHaveLength(32)
    expect(u.bytes(1, 95)).toHaveLength(32)
    expect(u.zeropage("a0+3")).toBe("ok")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok"])
  })
  it("gives faults first, then events, each in the order in which they came [UK-RD-02]", () => {
    const p = world("aaaaaa")
    const u = uffd(p, "a0+6", UFFD.FEATURE_EVENT_UNMAP)
    const e = unmapping(p, "a5")
    const w = [touch(p, "a2"), touch(p, "a0")]
    const e2 = unmapping(p, "a4")
    expect(u.read()).toEqual(["fault a2 read", "fault a0 read", "unmap a5 a6", "unmap a4 a5"])
    expect([e.state, e2.state]).toEqual(["ok", "ok"])
    u.wake("a0+6")
    w.forEach((one) => expect(one.state).toBe("waits"))
    u.close()
    w.forEach((one) => expect(one.state).toBe("ok"))
  })
  it("tells of a fault once: it waits on, read [UK-RD-03]", () => {
    const p = world("a")
    const u = uffd(p, "a0")
    const w = touch(p, "a0")
    expect(u.read()).toEqual(["fault a0 read"])
    expect(u.read()).toBe("EAGAIN")
    expect(w.state).toBe("waits")
    expect(u.zeropage("a0")).toBe("ok")
    expect(w.state).toBe("ok")
  })
  it("waits for the first message only, and takes what else is there [UK-RD-04]", () => {
    const p = world("aaa")
    const u = uffd(p, "a0+3", 0, MISSING, 0)
    const into = new Uint8Array(96)
    const r = u.reader(into)
    expect(r.state).toBe("waits")
    const all = [touch(p, "a0"), touch(p, "a1")]
    expect(r.state, "two messages, though there is room for three").toBe("64")
    u.zeropage("a0+3")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok"])
  })
  it("ends where a signal comes while it waits, and nothing is lost [UK-RD-05]", () => {
    const p = world("a")
    const u = uffd(p, "a0", 0, MISSING, 0)
    const r = u.reader()
    r.kill()
    const w = touch(p, "a0")
    expect(u.read(1)).toEqual(["fault a0 read"])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
})

const unmapping = (p: Proc, page: "a4" | "a5"): Flight => begin(p, () => munmap(p.k, p.task, at(page), 4096))

describe("polling", () => {
  it("is an error where reads would wait [UK-PL-01]", () => {
    const p = world("a")
    const u = uffd(p, "a0", 0, MISSING, 0)
    expect(u.poll).toBe("ERR")
    const w = touch(p, "a0")
    expect(u.poll).toBe("ERR")
    u.zeropage("a0")
    expect([w.state, uffd(p).poll]).toEqual(["ok", ""])
  })
  it("finds faults and events that nobody has read, not those that were [UK-PL-02]", () => {
    const p = world("aaaaaa")
    const u = uffd(p, "a0+6", UFFD.FEATURE_EVENT_UNMAP)
    const w = touch(p, "a0", WRITE)
    expect(u.poll).toBe("IN")
    u.read()
    expect([u.poll, w.state]).toEqual(["", "waits"])
    const e = unmapping(p, "a5")
    expect(u.poll).toBe("IN")
    u.read()
    expect([u.poll, e.state]).toEqual(["", "ok"])
    u.zeropage("a0")
    expect(w.state).toBe("ok")
  })
})

describe("the last close", () => {
  it("unregisters every area and lets everybody go on, who then finds memory as usual [UK-CL-01]", () => {
    const p = world("aa.a")
    const u = uffd(p, "a0+2", 0, MISSING | UFFD.REGISTER_MODE_WP)
    u.register("a3")
    const before = [touch(p, "a0", WRITE), touch(p, "a3", READ)]
    u.read(1)
    u.zeropage("a1")
    u.protect("a1")
    const second = p.dup(u.fd)
    u.close()
    expect(
      before.map((w) => w.state),
      "another descriptor of the same file is open"
    ).toEqual(["waits", "waits"])
    new Uffd(p, second).close()
    expect(before.map((w) => w.state)).toEqual(["ok", "ok"])
    expect(p.areas()).toEqual(["a0+2 rw-p", "a3 rw-p"])
    expect([p.pages("a0+4"), p.write("a0+2")]).toEqual(["Az_z", "ok"])
  })
})

describe("fdinfo", () => {
  it("has the faults that nobody has read, all that wait, and the interface [UK-FD-01]", () => {
    const p = world("aa")
    const u = uffd(p, "a0+2", UFFD.FEATURE_THREAD_ID)
    const text = (): string => uffdFdinfo(p.k, p.k.tasks.file(p.task, u.fd))
    const all = [touch(p, "a0"), touch(p, "a1")]
    expect(text()).toMatch(/^pending:\t2\ntotal:\t2\nAPI:\taa:/)
    u.read(1)
    expect(text()).toMatch(/^pending:\t1\ntotal:\t2\n/)
    u.zeropage("a0+2")
    expect(all.map((w) => w.state)).toEqual(["ok", "ok"])
    expect(text()).toMatch(/^pending:\t0\ntotal:\t0\n/)
  })
})
