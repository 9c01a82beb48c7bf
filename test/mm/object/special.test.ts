import { expect, it } from "vitest"
import { world } from "../linux/world.ts"

it("[vvar] can be read where a clock or getrandom's state is, and nothing of it is counted", () => {
  const p = world("....").placeSpecial("vvar", "a0+4")
  expect(p.read("a0+4")).toBe("0 SIGBUS 0 SIGBUS")
  expect(p.write("a0")).toBe("SEGV_ACCERR")
  expect(p.counts()).not.toMatch(/anon|file|shmem/)
  const child = p.fork()
  expect(child.read("a0+4")).toBe("0 SIGBUS 0 SIGBUS")
  expect(p.munmap("a0+4")).toBe("ok")
})
