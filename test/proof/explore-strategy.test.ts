/** Strategies by themselves, over toy tasks that count their steps. */
import { describe, expect, it } from "vitest"
import { type Choice, playAll, tell } from "../../lib/proof/explore/search.ts"
import { dfs, ENVIRONMENT, pct, random, replay, type Strategy } from "../../lib/proof/explore/strategy.ts"

/** Plays tasks of so many steps each, and records each schedule as a word: `aabab`. */
function words(strategy: Strategy, steps: readonly number[], fail?: (word: string) => boolean) {
  const seen: string[] = []
  const outcome = playAll((table) => {
    const left = [...steps]
    let word = ""
    for (;;) {
      const from: Choice[] = left.flatMap((n, who) => {
        const name = String.fromCharCode(97 + who)
        const go = (): void => {
          left[who]!--
          word += name
        }
        return n === 0 ? [] : [{ who, what: () => name, go }]
      })
      if (from.length === 0) break
      table.choose(from)
    }
    seen.push(word)
    if (fail?.(word) === true) throw new Error(`${word} is wrong`)
  }, strategy)
  return { outcome, seen }
}
const switches = (word: string): number =>
  word.split("").filter((c, i) => i > 0 && word[i - 1] !== c && word.slice(i).includes(word[i - 1]!)).length

describe("depth first", () => {
  it("no pre-emption: each order of whole tasks, once", () => {
    const { outcome, seen } = words(dfs(0), [3, 3, 3])
    expect(seen.length).toBe(6)
    expect(new Set(seen).size).toBe(6)
    expect(outcome.isComplete).toBe(true)
  })
  it("at most b pre-emptions: exactly the schedules that have no more, each once", () => {
    const all = words(dfs(Infinity), [3, 3]).seen
    expect(all.length).toBe(20)
    for (const bound of [0, 1, 2, 3, 4, 5]) {
      const { seen } = words(dfs(bound), [3, 3])
      expect(new Set(seen).size).toBe(seen.length)
      expect([...seen].sort()).toEqual(all.filter((word) => switches(word) <= bound).sort())
    }
  })
  it("says how many choices were known before: what a step led to need not be looked at twice", () => {
    const strategy = dfs(1)
    let looked = 0
    let steps = 0
    playAll((table) => {
      const left = [4, 4]
      for (;;) {
        const from = left.flatMap((n, who) => (n === 0 ? [] : [{ who, what: () => "", go: () => void left[who]!-- }]))
        if (from.length === 0) break
        table.choose(from)
        steps++
        if (table.isNew()) looked++
      }
    }, strategy)
    expect(looked).toBeLessThan(steps)
    // each prefix is looked at once
    const { seen } = words(dfs(1), [4, 4])
    const prefixes = new Set(seen.flatMap((word) => word.split("").map((_, i) => word.slice(0, i + 1))))
    expect(looked).toBe(prefixes.size)
  })
})

describe("failures", () => {
  const isWrong = (word: string): boolean => word.includes("aba")

  it("end the search, and play again from what differs from the first choice", () => {
    const { outcome } = words(dfs(2), [3, 2], isWrong)
    expect(outcome.failure?.message).toMatch(/is wrong/)
    expect(outcome.isComplete).toBe(false)
    const again = words(replay(outcome.failure!.choices), [3, 2], isWrong)
    expect(again.outcome.failure).toEqual(outcome.failure)
    expect(tell(outcome)).toContain(`replay(${JSON.stringify(outcome.failure!.choices)})`)
  })
  it("that do not come again are told as that", () => {
    let n = 0
    const { outcome } = words(dfs(0), [1], () => n++ === 0)
    expect(outcome.failure?.message).toContain("but played again it ends so: nothing is wrong")
  })
  it("are found by dice and by random priorities", () => {
    expect(words(random(1, 200), [6, 6], isWrong).outcome.failure).toBeDefined()
    expect(words(pct(1, 200, 12, 3), [6, 6], isWrong).outcome.failure).toBeDefined()
  })
})

describe("random schedules", () => {
  it("are the same for the same seed, and as many as asked for", () => {
    expect(words(random(5, 50), [4, 4]).seen).toEqual(words(random(5, 50), [4, 4]).seen)
    expect(words(random(5, 50), [4, 4]).seen).not.toEqual(words(random(6, 50), [4, 4]).seen)
    expect(words(pct(5, 50, 8, 2), [4, 4]).seen.length).toBe(50)
  })
  it("a search ends at the number of schedules that it was given", () => {
    const play = (table: { choose: (from: Choice[]) => void }): void =>
      table.choose([
        { who: 0, what: () => "", go: () => {} },
        { who: ENVIRONMENT, what: () => "", go: () => {} }
      ])
    const outcome = playAll(play, random(1, 1000), 7)
    expect(outcome.schedules).toBe(7)
    expect(outcome.isComplete).toBe(false)
  })
  it("an endless schedule is taken for a livelock", () => {
    const outcome = playAll((table) => {
      for (;;) table.choose([{ who: 0, what: () => "again", go: () => {} }])
    }, dfs(0))
    expect(outcome.failure?.message).toContain("livelock")
  })
})
