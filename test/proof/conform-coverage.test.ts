import { expect, it } from "vitest"
import { Coverage } from "../../lib/proof/conform/coverage.ts"
import { parseRecord } from "../../lib/proof/conform/parse.ts"
import type { Op } from "../../lib/proof/conform/record.ts"
import { Session } from "../../lib/proof/conform/session.ts"
import { header, Puppet } from "./puppet.ts"

const op = (name: string, a: ReadonlyArray<number | string>, answer: object = { r: 0 }): Op =>
  parseRecord(JSON.stringify({ op: name, a, ...answer })) as Op

it("an operation counts once for its call, and once for each of its flags, by its outcome", () => {
  const coverage = new Coverage()
  coverage.note(op("mlock2", [0, 0, 1]), true)
  coverage.note(op("mlock2", [0, 0, 1]), false)
  coverage.note(op("mlock2", [0, 0, 0]), true)
  coverage.note(op("mlock2", [0, 0, 6], { r: -1, e: "EINVAL" }), true)
  coverage.note(op("rd", [0], { sig: "SIGSEGV", code: "SEGV_MAPERR", addr: "0x0" }), true)
  coverage.note(op("__proto__", []), true)
  expect(JSON.parse(JSON.stringify(coverage.table()))).toEqual({
    mlock2: {
      all: { OK: [3, 2], EINVAL: [1, 1] },
      MLOCK_ONFAULT: { OK: [2, 1] },
      "0": { OK: [1, 1] },
      "other values": { EINVAL: [1, 1] }
    },
    rd: { all: { SEGV_MAPERR: [1, 1] } },
    ["__proto__"]: { all: { OK: [1, 1] } }
  })
})

it("what two are told of adds up", () => {
  const one = new Coverage()
  const two = new Coverage()
  one.note(op("munmap", [0, 1]), true)
  two.note(op("munmap", [0, 1]), false)
  two.note(op("brk", [0]), true)
  one.merge(two)
  expect(one.table()).toEqual({ munmap: { all: { OK: [2, 1] } }, brk: { all: { OK: [1, 1] } } })
})

it("a session counts what agrees: not what differs, is skipped, or comes later; sequences that were dropped not at all", () => {
  const zero = { kind: "value", value: 0 } as const
  const session = new Session(
    () =>
      new Puppet({
        brk: () => ({ result: zero }),
        munmap: () => ({ result: { kind: "errno", errno: "EINVAL" } })
      }),
    { coverage: true }
  )
  const end = { kind: "end", sweep: new Map() } as const
  const dead = { kind: "dead" } as const
  const failed = op("madvise", [0, 1, 4], { r: -1, e: "ENOMEM" })
  const brk = op("brk", [0])
  const records = [header, brk, failed, brk, op("munmap", [0, 1]), brk, end, header, brk, dead]
  for (const record of records) {
    session.take("kind" in record ? record : parseRecord(JSON.stringify(record)), 1)
  }
  expect(session.tally.coverage.table()).toEqual({
    brk: { all: { OK: [3, 2] } },
    madvise: { all: { ENOMEM: [1, 0] }, MADV_DONTNEED: { ENOMEM: [1, 0] } },
    munmap: { all: { OK: [1, 0] } }
  })
})
