import { expect, it } from "vitest"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { assertVmaStable } from "../../../lib/mm/area/vma-lock.ts"
import { notifierRegister } from "../../../lib/mm/page/notifier.ts"
import { BASE, machine, Proc, RW, withVma } from "../rows/world.ts"

it("a neighbour's read lock does not keep an area where it is, even while somebody else reads that area", () => {
  const k = machine()
  const p = Proc.spawn(k)
  p.map(BASE, 1, RW)
  p.map(BASE + 2, 1, RW)
  const other = p.area(BASE + 2)
  withVma(k, p.mm, BASE + 2, () =>
    withVma(k, p.mm, BASE, (own) => {
      expect(() => assertVmaStable(k, own)).not.toThrow()
      expect(() => assertVmaStable(k, other)).toThrow("is used without a lock")
    })
  )
  checkIdle(k)
})

it("watchers are told once that their address space goes, before its pages do", () => {
  const k = machine()
  const p = Proc.spawn(k)
  p.map(BASE, 1, RW)
  expect(p.store(BASE, 1)).toBe(0)
  const heard: string[] = []
  const { mm } = p
  notifierRegister(k, mm, {
    start: () => {},
    end: () => {},
    release: () => heard.push(`release at ${k.mms.rssTotal(mm)} page`)
  })
  p.exit()
  expect(heard).toEqual(["release at 1 page"])
  checkIdle(k)
})
