import { describe, expect, it } from "vitest"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import { READ, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { createFile, openAnonymous, installFd, RDWR } from "../../../lib/mm/object/file.ts"
import { FILE_REGULAR, FILE_SHMEM } from "../../../lib/mm/store/files.ts"
import { boot } from "../../../lib/mm/sys/boot.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { mremap } from "../../../lib/mm/sys/mremap.ts"
import { mlock } from "../../../lib/mm/sys/mlock.ts"
import { madvise } from "../../../lib/mm/sys/madvise.ts"
import { restoreKernel, saveKernel, unsavable } from "../../../lib/mm/sys/save.ts"
import { call, HERE, spawnTask } from "../../../lib/proof/testing/calls.ts"
import { tablesOf } from "../../../lib/proof/testing/tables.ts"
import { Line, RW } from "../../support/line.ts"
import { forSeeds } from "../../support/random.ts"

type Random = (n: number) => number
const PAGES = 12
const SHARED = MAP.SHARED | MAP.ANONYMOUS
const PRIVATE = MAP.PRIVATE | MAP.ANONYMOUS

/** One step of a program that meets every table: the same for two machines that get the same numbers. */
function step(line: Line, random: Random): number {
  const { k, task } = line
  const at = random(PAGES)
  const pages = 1 + random(4)
  const addr = (HERE + at) * 4096
  switch (random(9)) {
    case 0:
      return line.mmap(at, pages, random(3) === 0 ? READ : RW, random(2) === 0 ? PRIVATE : SHARED)
    case 1:
      return line.mmap(at, pages, RW, random(2) === 0 ? MAP.PRIVATE : MAP.SHARED, random(2), random(3))
    case 2:
      return line.munmap(at, pages)
    case 3:
      return line.mprotect(at, pages, random(2) === 0 ? READ : READ | WRITE)
    case 4:
      return call(k, () =>
        mremap(k, task, addr, pages * 4096, (1 + random(4)) * 4096, 3, (HERE + random(PAGES)) * 4096)
      )
    case 5:
      return call(k, () => mlock(k, task, addr, pages * 4096))
    case 6:
      return call(k, () => madvise(k, task, addr, pages * 4096, [4, 8, 102, 18][random(4)]!))
    default:
      return random(2) === 0 ? line.read(at) : line.write(at)
  }
}

function machine(): Line {
  const line = Line.on({ frames: 256, maxMms: 4 })
  const { k, task } = line
  createFile(k, "/file", FILE_REGULAR, 0)
  line.open("/file", 4)
  installFd(k, task, openAnonymous(k, FILE_SHMEM, RDWR, "/memfd:m (deleted)", 4 * 4096))
  return line
}

/** A machine like `k`; or the test fails with the reason why there is none. */
function again(k: Kernel): Kernel {
  const restored = restoreKernel(saveKernel(k, "the rest"))
  if (typeof restored === "string") throw new Error(restored)
  expect(restored.rest).toBe("the rest")
  return restored.k
}

describe("a saved machine", () => {
  it("is restored to the same tables, and goes on like the machine that was never saved", () => {
    forSeeds(25, (random) => {
      const line = machine()
      const { k, task } = line
      for (let i = 0; i < 40; i++) step(line, random)
      const child = call(k, () => fork(k, task, "child"))
      for (let i = 0; i < 10; i++) step(new Line(k, random(2) === 0 && child > 0 ? child : task), random)
      const other = again(k)
      expect(tablesOf(other)).toBe(tablesOf(k))
      for (let i = 0; i < 40; i++) {
        const numbers = Array.from({ length: 12 }, () => random(1 << 20))
        const who = random(2) === 0 && child > 0 ? child : task
        const same = (): Random => {
          let n = 0
          return (below) => numbers[n++ % numbers.length]! % below
        }
        expect(step(new Line(other, who), same())).toBe(step(new Line(k, who), same()))
        expect(tablesOf(other)).toBe(tablesOf(k))
      }
      checkIdle(other)
    })
  })

  it("is a small file where little was used", () => {
    const k = boot({ frames: 1 << 14 })
    spawnTask(k)
    const bytes = saveKernel(k)
    expect(bytes.length).toBeLessThan(k.frames.bytes.length / 100)
  })

  it("is refused whole where it is damaged: any byte of it", () => {
    const line = machine()
    line.mmap(0, 4)
    line.write(0, 1)
    const bytes = saveKernel(line.k)
    forSeeds(300, (random, seed) => {
      const broken = bytes.slice()
      const at = seed <= 20 ? seed : random(bytes.length)
      broken[at] = broken[at]! ^ (1 << random(8))
      expect(typeof restoreKernel(broken), `byte ${at}`).toBe("string")
    })
  })

  it("is refused whole where it is cut short, empty, newer, or something else", () => {
    const bytes = saveKernel(machine().k)
    for (const n of [0, 7, 15, 16, 100, bytes.length - 1])
      expect(typeof restoreKernel(bytes.subarray(0, n))).toBe("string")
    const newer = bytes.slice()
    newer[11] = newer[11]! + 1
    expect(restoreKernel(newer)).toBe("it is of version 2, this is version 1")
    expect(restoreKernel(new TextEncoder().encode("something else entirely"))).toBe(
      "it is no saved machine of Pagewright"
    )
  })

  it("is not made while a system call is in flight, a driver's file is open, or a file is read from outside", () => {
    const line = machine()
    expect(unsavable(line.k)).toEqual([])
    line.device({ name: "d", hooks: 0 })
    createFile(line.k, "/slow", FILE_REGULAR, 4096, { read: () => 0 })
    const row = line.k.runs.alloc(0)
    expect(unsavable(line.k).join("\n")).toMatch(
      /in flight[\s\S]*\/dev\/d is open: its driver has the rest of its state[\s\S]*file \/slow is read from outside/
    )
    line.k.runs.release(row)
  })
})
