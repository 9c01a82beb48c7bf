import { describe, expect, it } from "vitest"
import { readCases, transcriptOf } from "./diagnostics.ts"

// The prototype's catalogue: what must be refused at compile time, without M24 and M52 (refused at run time), M42 (the
// reference's no-op) and M54..M63, M66, M71 (not caught by types, or not of this surface).
const numbered = Array.from({ length: 53 }, (_, i) => `M${String(i + 1).padStart(2, "0")}`)
const catalogue = [...numbered.filter((id) => !["M24", "M42", "M52"].includes(id)), "M24b", "M51b", "M70", "M72"]

const cases = readCases()

describe("diagnostics", () => {
  it("every misuse of the catalogue has a case that is refused", () => {
    const refused = new Set(cases.filter((one) => one.refused !== undefined).map((one) => one.id))
    expect(catalogue.filter((id) => !refused.has(id))).toEqual([])
  })
  it("no id is used twice", () => {
    const ids = cases.map((one) => one.id)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  })
  it.each(cases.map((one) => [`${one.id} ${one.title}`, one] as const))("%s", (_, one) => {
    expect(one.accepted).toEqual({ code: one.accepted.code, errors: [] })
    expect(one.refused).not.toEqual({ code: one.refused?.code, errors: [] })
  })
  it("TypeScript 7 says to each what messages.txt keeps; vitest -u writes it anew, a person reads the diff", async () => {
    await expect(transcriptOf(cases)).toMatchFileSnapshot("../../types-tests/diagnostics/messages.txt")
  })
})
