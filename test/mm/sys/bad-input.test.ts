/** Every door takes anything: what it gets is the 64 bits of a register, and it answers with an errno or does its work. */
import { describe, expect, it } from "vitest"
import { nameOf } from "../../../lib/flags/Errno.ts"
import { checkIdle } from "../../../lib/mm/area/check.ts"
import { registerOf, type Word } from "../../../lib/mm/base/units.ts"
import { tablesOf, visibleOf } from "../../../lib/proof/testing/tables.ts"
import { doors, type Door, room } from "../../support/doors.ts"

/** Numbers that no caller should pass, and some that are only unlucky. */
const bad: readonly Word[] = [
  -1,
  -0.5,
  -4096,
  0,
  0.5,
  1.5,
  1,
  4095,
  4097,
  NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 32 + 4096,
  2 ** 47 - 4096,
  2 ** 47,
  2 ** 52,
  2 ** 53,
  2 ** 53 + 2,
  2 ** 62,
  2 ** 63,
  2 ** 64 - 4096,
  2 ** 64,
  1e300,
  Number.MIN_VALUE,
  -1n,
  4096n,
  0xffff_8000_0000_0000n,
  2n ** 63n,
  2n ** 64n - 4097n,
  2n ** 64n - 4096n,
  2n ** 64n - 1n,
  2n ** 64n,
  2n ** 64n + 4096n,
  2n ** 64n + 0x10000005n,
  -(2n ** 64n),
  -(2n ** 70n) + 3n
]

const isErrno = (r: number): boolean => r < 0 && r > -4096

/** Runs a door with word `i` replaced; the answer, and the world afterwards. */
function through(
  door: Door,
  i: number,
  word: Word
): { result: number; visible: string; tables: string; left: boolean } {
  const r = room()
  const before = visibleOf(r.k)
  const words = [...door.good]
  words[i] = word
  const result = door.run(r, ...words)
  checkIdle(r.k)
  const visible = visibleOf(r.k)
  return { result, visible, tables: tablesOf(r.k), left: visible !== before }
}

/** Each word in each place of a door. */
function holdsFor(door: Door): void {
  for (let i = 0; i < door.good.length; i++)
    for (const word of bad) {
      const what = `${door.name}, argument ${i} is ${String(word)}${typeof word === "bigint" ? "n" : ""}`
      let got
      try {
        got = through(door, i, word)
      } catch (cause) {
        throw new Error(what, { cause })
      }
      if (!Number.isInteger(got.result)) expect.fail(`${what}: answers ${got.result}`)
      const canonical = through(door, i, registerOf(word))
      if (got.result !== canonical.result) expect.fail(`${what}: answers ${got.result}, its bits ${canonical.result}`)
      if (got.tables !== canonical.tables) expect.fail(`${what}: the world is another than with its bits`)
      if (!isErrno(got.result)) continue
      const isSignal = door.name.startsWith("a ")
      if (!isSignal && nameOf(got.result) === undefined) expect.fail(`${what}: ${got.result} is no errno`)
      if (got.left && door.partial?.includes(got.result) !== true)
        expect.fail(`${what}: answers ${nameOf(got.result) ?? got.result} and left traces`)
    }
}

describe("a door of the kernel, given anything", { timeout: 60_000 }, () => {
  for (const door of doors) {
    it(`${door.name}: works with what it is meant for`, () => {
      const r = room()
      const result = door.run(r, ...door.good)
      expect(isErrno(result), `${result}`).toBe(false)
      checkIdle(r.k)
    })

    it(`${door.name}: answers an errno or works, as with the register's 64 bits; an errno changes nothing`, () => {
      holdsFor(door)
    })
  }
})
