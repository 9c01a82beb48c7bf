/** States of pages as recordings write them: run-length text, and one code a page. Floor 9.
 *
 *     . none   A anonymous, mapped once   a anonymous, mapped by several   F file, mapped once   f file, by several
 *     z page of zeroes   g guard   m other marker;   followed by w: write-protected by userfaultfd
 */
import { FormatError } from "./record.ts"

/** A page's code is its letter's character code, with this bit for `w`. */
export const WP = 0x80
/** More pages than that are not recorded. */
export const MOST_PAGES = 1024

const letters = ".AaFfzgm"
const isLetter = new Uint8Array(128)
for (const letter of letters) isLetter[letter.charCodeAt(0)] = 1

export const NONE = 0x2e
const W = 0x77

/** Codes of `n` pages, from run-length text.
 * Throws FormatError where the text is none, or is about another number of pages.
 */
export function codesOf(text: string, n: number): Uint8Array {
  const codes = new Uint8Array(n)
  let page = 0
  for (let at = 0; at < text.length;) {
    const letter = text.charCodeAt(at++)
    if (letter >= 128 || isLetter[letter] === 0) throw new FormatError(`no page state ${text.slice(at - 1, at)}`)
    let code = letter
    if (text.charCodeAt(at) === W) {
      code |= WP
      at++
    }
    let count = 0
    for (let digit; (digit = text.charCodeAt(at) - 48) >= 0 && digit <= 9; at++) count = count * 10 + digit
    if (count === 0) count = 1
    if (page + count > n) throw new FormatError(`page states run past the ${n} pages of their area`)
    codes.fill(code, page, page + count)
    page += count
  }
  if (page !== n) throw new FormatError(`states of ${page} pages in an area of ${n}`)
  return codes
}

/** The text of the first `n` codes. */
export function textOfCodes(codes: Uint8Array, n: number): string {
  let text = ""
  for (let from = 0; from < n;) {
    let to = from + 1
    while (to < n && codes[to] === codes[from]) to++
    text += letterOf(codes[from]!) + (to - from > 1 ? to - from : "")
    from = to
  }
  return text
}

const letterOf = (code: number): string => String.fromCharCode(code & ~WP) + ((code & WP) === 0 ? "" : "w")

/** One character a page: write-protected ones are `W`. */
export const pictureOf = (code: number): string => ((code & WP) === 0 ? String.fromCharCode(code) : "W")
