/**
 * A fingerprint of memory, 128 bits, that is the same in whichever order its pages are added: on one side they come as the network has
 * it. It is the sum of all pages' hashes, in four lanes; that of a page goes over its words as xxHash does, and begins with
 * the number of the page.
 */
import { Effect } from "effect"
import { Task } from "pagewright"
import { type Layout, PAGE } from "./layout.ts"

const WORDS = PAGE / 4
/** Pages that are read at once. */
const BATCH = 64
const PRIME1 = 0x9e3779b1 | 0
const PRIME2 = 0x85ebca77 | 0

const round = (lane: number, word: number): number => {
  const sum = (lane + Math.imul(word, PRIME2)) | 0
  return Math.imul((sum << 13) | (sum >>> 19), PRIME1)
}

export class Fingerprint {
  readonly #lanes = new Uint32Array(4)

  /** Adds pages from `first` on; each once. */
  add(first: number, bytes: Uint8Array): void {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    for (let at = 0; at < words.length; at += WORDS) this.#addPage(first + at / WORDS, words, at)
  }

  #addPage(page: number, words: Int32Array, start: number): void {
    let [a, b, c, d] = [round(PRIME1, page), round(PRIME2, page), round(0, page), round(-PRIME1, page)]
    for (let at = start; at < start + WORDS; at += 4) {
      a = round(a, words[at]!)
      b = round(b, words[at + 1]!)
      c = round(c, words[at + 2]!)
      d = round(d, words[at + 3]!)
    }
    this.#lanes[0]! += a
    this.#lanes[1]! += b
    this.#lanes[2]! += c
    this.#lanes[3]! += d
  }

  toString(): string {
    return Array.from(this.#lanes, (lane) => lane.toString(16).padStart(8, "0")).join("")
  }
}

/** The fingerprint of the current process's memory as it is now. */
export const ofMemory = (layout: Layout) =>
  Effect.gen(function* () {
    const sum = new Fingerprint()
    for (let page = 0; page < layout.pages;) {
      const { address, room } = layout.at(page)
      const pages = Math.min(BATCH, room)
      sum.add(page, yield* Task.loadBytes(address, pages * PAGE))
      page += pages
      yield* Effect.yieldNow
    }
    return sum.toString()
  })
