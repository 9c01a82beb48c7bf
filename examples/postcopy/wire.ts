/**
 * The messages of a migration, and how they travel: frames over one TCP connection.
 *
 *     source       -> destination   Advise, Run, Pages, Zeros, Bye
 *     destination  -> source        Listening, Running, Request, Placed, Received, Arrived, Halted
 *
 *     frame   kind u8 | urgent u8 | - u16 | first u32 | count u32 | length u32 | body of `length` bytes    (little endian)
 */
import { Data, Result, Schema } from "effect"
import { Area } from "./layout.ts"

/** What is said seldom travels as JSON. */
const Words = Schema.Union([
  /** The areas that will come. */
  Schema.TaggedStruct("Advise", { areas: Schema.Array(Area) }),
  /** The destination has these areas, with nothing in them, and waits for their faults. */
  Schema.TaggedStruct("Listening", {}),
  /** The task has stopped at the source; it goes on at the destination. */
  Schema.TaggedStruct("Run", {}),
  /** Its first instruction has been performed there. */
  Schema.TaggedStruct("Running", {}),
  /** Every page is there: the fingerprint of what came, and how many came because they were asked for. */
  Schema.TaggedStruct("Arrived", { fingerprint: Schema.String, urgent: Schema.Int, background: Schema.Int }),
  /** The task has ended there: the fingerprint of its memory, and how many instructions it ran there. */
  Schema.TaggedStruct("Halted", { fingerprint: Schema.String, instructions: Schema.Int }),
  /** The source has heard everything. */
  Schema.TaggedStruct("Bye", {})
])
type Words = typeof Words.Type

/** What is said often is binary. */
type Binary =
  /** Contents of pages from `first` on. Urgent: they were asked for. */
  | { readonly _tag: "Pages"; readonly urgent: boolean; readonly first: number; readonly bytes: Uint8Array }
  /** So many pages from `first` on have nothing but zeroes. */
  | { readonly _tag: "Zeros"; readonly urgent: boolean; readonly first: number; readonly count: number }
  /** The task waits for this page. */
  | { readonly _tag: "Request"; readonly page: number }
  /** How many pages were placed so far, because they were asked for and otherwise; after each message with pages. */
  | { readonly _tag: "Placed"; readonly urgent: number; readonly background: number }
  /** After a lost connection: the pages that are there, as the bits of a `PageSet`, and how many came how. */
  | { readonly _tag: "Received"; readonly bits: Uint8Array; readonly urgent: number; readonly background: number }

export type Message = Words | Binary

/** What came is no message of this protocol. */
export class Garbled extends Data.TaggedError("Garbled")<{ readonly message: string }> {}

const HEADER = 16
/** Bytes of a body; more is no message of ours. */
const LONGEST = 1 << 20
const WORDS = 0
const PAGES = 1
const ZEROS = 2
const REQUEST = 3
const PLACED = 4
const RECEIVED = 5

const json = Schema.fromJsonString(Words)
const wordsTo = Schema.encodeSync(json)
const wordsFrom = Schema.decodeUnknownResult(json)
const nothing = new Uint8Array(0)

/** The bytes of a message: its header, and its body, which is not copied. */
export const encode = (message: Message): readonly [header: Uint8Array, body: Uint8Array] => {
  switch (message._tag) {
    case "Pages":
      return frame(PAGES, message.bytes, message.first, 0, message.urgent)
    case "Zeros":
      return frame(ZEROS, nothing, message.first, message.count, message.urgent)
    case "Request":
      return frame(REQUEST, nothing, message.page)
    case "Placed":
      return frame(PLACED, nothing, message.urgent, message.background)
    case "Received":
      return frame(RECEIVED, message.bits, message.urgent, message.background)
    case "Advise":
    case "Listening":
    case "Run":
    case "Running":
    case "Arrived":
    case "Halted":
    case "Bye":
      return frame(WORDS, new TextEncoder().encode(wordsTo(message)))
  }
}

const frame = (kind: number, body: Uint8Array, first = 0, count = 0, urgent = false): [Uint8Array, Uint8Array] => {
  const header = new Uint8Array(HEADER)
  const view = new DataView(header.buffer)
  view.setUint8(0, kind)
  view.setUint8(1, urgent ? 1 : 0)
  view.setUint32(4, first, true)
  view.setUint32(8, count, true)
  view.setUint32(12, body.length, true)
  return [header, body]
}

const messageOf = (header: DataView, body: Uint8Array): Message | Garbled => {
  const urgent = header.getUint8(1) === 1
  const first = header.getUint32(4, true)
  const count = header.getUint32(8, true)
  switch (header.getUint8(0)) {
    case WORDS: {
      const words = wordsFrom(new TextDecoder().decode(body))
      return Result.isSuccess(words) ? words.success : new Garbled({ message: `no words: ${words.failure.message}` })
    }
    case PAGES:
      return { _tag: "Pages", urgent, first, bytes: body }
    case ZEROS:
      return { _tag: "Zeros", urgent, first, count }
    case REQUEST:
      return { _tag: "Request", page: first }
    case PLACED:
      return { _tag: "Placed", urgent: first, background: count }
    case RECEIVED:
      return { _tag: "Received", bits: body, urgent: first, background: count }
    default:
      return new Garbled({ message: `a message of kind ${header.getUint8(0)}` })
  }
}

/** Puts messages together from bytes, wherever these are cut. */
export class Decoder {
  readonly #header = new Uint8Array(HEADER)
  readonly #view = new DataView(this.#header.buffer)
  /** The body that is being filled; none while the header is. */
  #body: Uint8Array | undefined
  #filled = 0

  /** Hands the messages that these bytes complete to `got`, in their order. @returns what is wrong with them, if anything */
  push(bytes: Uint8Array, got: (message: Message) => void): Garbled | undefined {
    for (let at = 0; at < bytes.length;) {
      const into: Uint8Array = this.#body ?? this.#header
      const part = bytes.subarray(at, at + into.length - this.#filled)
      into.set(part, this.#filled)
      this.#filled += part.length
      at += part.length
      if (this.#filled < into.length) return undefined
      const whole = this.#next()
      if (whole instanceof Garbled) return whole
      if (whole !== undefined) got(whole)
    }
    return undefined
  }

  /** Something is full: the header, then the body. */
  #next(): Message | Garbled | undefined {
    this.#filled = 0
    const length = this.#view.getUint32(12, true)
    if (this.#body === undefined && length > 0) {
      if (length > LONGEST) return new Garbled({ message: `a message of ${length} bytes` })
      this.#body = Buffer.allocUnsafeSlow(length)
      return undefined
    }
    const body = this.#body ?? nothing
    this.#body = undefined
    return messageOf(this.#view, body)
  }
}
