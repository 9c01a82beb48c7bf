/** Machines that are saved with userfaultfds: a descriptor is state, who waits for it is not. */
import { describe, expect, it } from "vitest"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { fdinfo } from "../../../lib/mm/proc/fdinfo.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { munmap } from "../../../lib/mm/sys/munmap.ts"
import { restoreKernel, saveKernel, unsavable } from "../../../lib/mm/sys/save.ts"
import { tablesOf } from "../../../lib/proof/testing/tables.ts"
import { at } from "../linux/words.ts"
import { twin, type Proc, world } from "../linux/world.ts"
import { begin, MINOR, MISSING, touch, Uffd, uffd, WP, WRITE } from "./uffd.ts"

/** The same process and descriptor on a machine that was restored. */
function restored(p: Proc, u: Uffd): readonly [Proc, Uffd] {
  expect(unsavable(p.k)).toEqual([])
  const other = restoreKernel(saveKernel(p.k))
  if (typeof other === "string") throw new Error(other)
  expect(tablesOf(other.k)).toBe(tablesOf(p.k))
  checkIdle(other.k)
  const q = twin(p, other.k)
  return [q, new Uffd(q, u.fd)]
}

describe("a machine with a userfaultfd that is saved", () => {
  it("has its descriptors, what was agreed, what is registered, protected and poisoned; and they go on answering", () => {
    const p = world("aaaassaa")
    p.write("a0+2")
    p.write("a4")
    const features = UFFD.FEATURE_WP_UNPOPULATED | UFFD.FEATURE_EXACT_ADDRESS | UFFD.FEATURE_EVENT_UNMAP
    const before = uffd(p, "a0+4", features, MISSING | WP)
    before.protect("a0+4")
    before.register("a4+2", MINOR | WP)
    before.protect("a4+2")
    const other = uffd(p, "a6", 0, MISSING, 0)
    other.poison("a6")
    const info = (q: Proc, u: Uffd): string => fdinfo(q.k, q.task, u.fd)!
    const [q, after] = restored(p, before)
    for (const u of [before, other]) expect(info(q, new Uffd(q, u.fd))).toBe(info(p, u))
    expect(q.areas()).toEqual(p.areas())
    expect([q.read("a6"), new Uffd(q, other.fd).poll, after.poll]).toEqual(["SIGBUS_POISON", "ERR", ""])

    const all = [touch(q, "a0", WRITE, 5), touch(q, "a3", WRITE), touch(q, "a4", WRITE)]
    expect(after.read()).toEqual([
      `fault 0x${(at("a0") + 5).toString(16)} wp write`,
      "fault a3 write",
      "fault a4 wp write"
    ])
    expect([after.protect("a0+4", 0), after.protect("a4+2", 0)]).toEqual(["ok", "ok"])
    expect(
      all.map((w) => w.state),
      "a3 is missing still, a4 is not mapped"
    ).toEqual(["ok", "waits", "ok"])
    expect(after.read()).toEqual(["fault a3 write"])
    expect([after.zeropage("a3"), all[1]!.state]).toEqual(["ok", "ok"])
    const e = begin(q, () => munmap(q.k, q.task, at("a2"), 4096))
    expect([e.state, after.read(), e.state]).toEqual(["waits", ["unmap a2 a3"], "ok"])

    after.close()
    expect(q.write("a0+2"), "nobody answers any longer").toBe("ok")
    before.close()
  })
  it("has one before its handshake, and one that a child has in common with its parent", () => {
    const p = world("a")
    const child = p.fork()
    const u = uffd(p, "a0")
    const [q, after] = restored(p, u)
    const other = twin(child, q.k)
    expect(other.areas()).toEqual(["a0 rw-p"])
    after.close()
    expect(q.areas()).toEqual(["a0 rw-p"])
  })
  it("has none of those who wait: each is a reason not to save it, in words", () => {
    const p = world("aaaa")
    const u = uffd(p, "a0+4", UFFD.FEATURE_EVENT_FORK | UFFD.FEATURE_EVENT_UNMAP)
    const blocking = uffd(p, "", 0, MISSING, 0)
    const reader = blocking.reader()
    const w = [touch(p, "a0"), touch(p, "a1", WRITE)]
    u.read(1)
    const forking = begin(p, () => fork(p.k, p.task, "child"))
    expect(unsavable(p.k)).toEqual([
      `process ${p.task} waits for a message of a userfaultfd`,
      `process ${p.task} waits for a userfaultfd's answer to its fault at 0x${at("a0").toString(16)}`,
      `process ${p.task} waits for a userfaultfd's answer to its fault at 0x${at("a1").toString(16)}`,
      `process ${p.task} waits until its userfaultfd has been read`
    ])
    forking.kill()
    reader.kill()
    u.close()
    expect(w.map((one) => one.state)).toEqual(["ok", "ok"])
    expect(unsavable(p.k)).toEqual([])
  })
})
