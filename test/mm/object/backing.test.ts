import { describe, expect, it } from "vitest"
import { EPERM, OK } from "../../../lib/flags/Errno.ts"
import { PRIVATE, SHARED } from "../../../lib/flags/MapFlags.ts"
import { EXEC, READ } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { createFile, installFd, openAnonymous, openPath, RDWR } from "../../../lib/mm/object/file.ts"
import { punchHole, truncateObject } from "../../../lib/mm/object/truncate.ts"
import { FILE_PIPE, FILE_REGULAR } from "../../../lib/mm/store/files.ts"
import { BASE, machine, PAGE, Proc } from "../rows/world.ts"

/** A file of three pages of sevens that are read when they are touched, mapped shared at BASE. */
function backed(k: Kernel): { readonly p: Proc; readonly o: number } {
  const read = (_pgoff: number, into: Uint8Array): number => {
    into.fill(7)
    return OK
  }
  expect(createFile(k, "/f", FILE_REGULAR, 3 * PAGE, { read })).toBe(OK)
  const p = Proc.spawn(k)
  const file = openPath(k, "/f", RDWR)
  const fd = installFd(k, p.task, file)
  expect(p.map(BASE, 3, READ, SHARED, fd)).toBe(BASE)
  return { p, o: k.files.obj(file) }
}

describe("a file whose pages are read from elsewhere", () => {
  it("has zeroes where it was cut off and grew again, read before or not", () => {
    const k = machine()
    const { p, o } = backed(k)
    expect(p.load(BASE)).toBe(7)
    truncateObject(k, o, 100)
    truncateObject(k, o, 3 * PAGE)
    expect([p.load(BASE, 99), p.load(BASE, 100), p.load(BASE + 1), p.load(BASE + 2)]).toEqual([7, 0, 0, 0])
    checkIdle(k)
  })

  it("has zeroes in the page of its end, though that is read only after it grew again", () => {
    const k = machine()
    const { p, o } = backed(k)
    truncateObject(k, o, PAGE + 10)
    truncateObject(k, o, 3 * PAGE)
    expect([p.load(BASE + 1, 9), p.load(BASE + 1, 10), p.load(BASE)]).toEqual([7, 0, 7])
    checkIdle(k)
  })

  it("keeps a hole that was punched, whatever its backing says", () => {
    const k = machine()
    const { p, o } = backed(k)
    expect(p.load(BASE + 1)).toBe(7)
    punchHole(k, o, PAGE - 1, 2 * PAGE + 1)
    expect([p.load(BASE, PAGE - 2), p.load(BASE, PAGE - 1)]).toEqual([7, 0])
    expect([p.load(BASE + 1), p.load(BASE + 2), p.load(BASE + 2, 1)]).toEqual([0, 0, 7])
    checkIdle(k)
  })
})

it("a pipe is on a file system without execution", () => {
  const k = machine()
  const p = Proc.spawn(k)
  const fd = installFd(k, p.task, openAnonymous(k, FILE_PIPE, RDWR, "pipe"))
  expect(p.map(BASE, 1, READ | EXEC, PRIVATE, fd)).toBe(EPERM)
  checkIdle(k)
})
