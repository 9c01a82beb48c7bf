import { Effect, Exit } from "effect"
import { Fail, Lockdep } from "pagewright"
import { describe, expect, it } from "vitest"
import { lockClasses, lockOrder, mayNest } from "../../lib/mm/base/lockdep.ts"

/** The keys of the interfaces that drivers extend, claimed one by one: a key too few or too many does not compile. */
const classes: Record<keyof typeof lockClasses, "sleeps" | "spins"> &
  Partial<Record<Lockdep.LockClass, "sleeps" | "spins">> = {
  mmap_lock: "sleeps",
  vma_lock: "sleeps",
  i_mmap_rwsem: "sleeps",
  anon_vma: "sleeps",
  page_table_lock: "spins"
}
const names = Object.keys(lockClasses) as Array<keyof typeof lockClasses>
const edges = Object.keys(lockOrder)

describe("Lockdep", () => {
  it("types and run time know the same classes", () => {
    expect(lockClasses).toEqual(classes)
  })
  it("every edge is between two classes, none is its own", () => {
    for (const edge of edges) {
      const [outer, inner, ...more] = edge.split(" > ")
      expect([names, more]).toEqual([expect.arrayContaining([outer, inner]), []])
      expect(outer).not.toBe(inner)
    }
  })
  it("the order has no circle", () => {
    const reach = (from: string, seen: ReadonlyArray<string>): void => {
      expect(seen).not.toContain(from)
      for (const to of names) if (mayNest(from, to)) reach(to, [...seen, from])
    }
    for (const name of names) reach(name, [])
  })
  it("what follows from two edges stands there too", () => {
    const missing = names.flatMap((a) =>
      names.flatMap((b) =>
        names.filter((c) => mayNest(a, b) && mayNest(b, c) && !mayNest(a, c)).map((c) => `${a} > ${c}`)
      )
    )
    expect(missing).toEqual([])
  })
  it("nothing that sleeps may be taken inside what spins", () => {
    const spinning = names.filter((name) => lockClasses[name] === "spins")
    const inside = spinning.flatMap((outer) =>
      names.filter((name) => mayNest(outer, name) && lockClasses[name] === "sleeps")
    )
    expect(inside).toEqual([])
  })
  it("runTask gives a task's result, runTaskExit how it ended", async () => {
    expect(await Lockdep.runTask(Effect.succeed(3))).toBe(3)
    expect(await Lockdep.runTaskExit(Fail.fail("EIO"))).toEqual(Exit.fail(Fail.make("EIO")))
  })
})
