/** Userfaultfds in the words of docs/spec/userfaultfd.md, over the worlds of ../linux/world.ts.
 *
 *     const p = world("aa")
 *     const u = uffd(p, "a0+2")                      // answers for missing pages
 *     const w = touch(p, "a1", WRITE)                // a thread writes there
 *     expect(w.state).toBe("waits")
 *     expect(u.read()).toEqual(["fault a1 write"])
 *     expect(u.zeropage("a1")).toBe("ok")
 *     expect(w.state).toBe("ok")
 *
 * A verb in flight goes on whenever it can, before anybody looks at it.
 */
import { expect } from "vitest"
import { EVENT_FORK, EVENT_PAGEFAULT, EVENT_REMAP, EVENT_REMOVE, EVENT_UNMAP } from "../../../lib/flags/UffdFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { FAULT_OK, READ, WRITE } from "../../../lib/flags/FaultFlags.ts"
import type { Access } from "../../../lib/flags/FaultFlags.ts"
import { POISON, UFFD_WP } from "../../../lib/flags/PteFlags.ts"
import { kindOf, stopNames } from "../../../lib/mm/base/stop.ts"
import type { StopName, Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { fault } from "../../../lib/mm/page/fault.ts"
import { RUN_RUNNING, RUN_WOKEN } from "../../../lib/mm/store/runs.ts"
import { close } from "../../../lib/mm/sys/fd.ts"
import { uffdContinue, uffdCopy, uffdPoison, uffdZeropage } from "../../../lib/mm/sys/uffd-fill.ts"
import { uffdMove } from "../../../lib/mm/sys/uffd-move.ts"
import { uffdRead } from "../../../lib/mm/sys/uffd-read.ts"
import { uffdRegister, uffdUnregister, uffdWake } from "../../../lib/mm/sys/uffd-register.ts"
import { uffdWriteprotect } from "../../../lib/mm/sys/uffd-wp.ts"
import { poll } from "../../../lib/mm/sys/poll.ts"
import { uffdApi, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import * as POLL from "../../../lib/flags/PollFlags.ts"
import { settle } from "../../../lib/proof/testing/calls.ts"
import { bitsAt } from "../../../lib/mm/page/walk.ts"
import { A0, byteOrSignal, outcome, type Pages, parse, placeName } from "../linux/words.ts"
import type { Proc } from "../linux/world.ts"

export { READ, WRITE }
export const { NONBLOCK } = UFFD
export const [MISSING, WP, MINOR] = [UFFD.REGISTER_MODE_MISSING, UFFD.REGISTER_MODE_WP, UFFD.REGISTER_MODE_MINOR]

/** A verb in flight. */
export class Flight {
  private readonly row: number
  private readonly verb: Verb<StopName>
  private stop = 0
  private result: number | undefined

  constructor(
    private readonly k: Kernel,
    make: () => Verb<StopName>,
    private readonly say: (r: number) => string = outcome,
    task = 0
  ) {
    this.row = k.runs.alloc(0)
    k.runs.task[this.row] = task
    k.runs.current = this.row
    this.verb = make()
    this.step(() => this.verb.next(0))
  }

  /** `waits`, for a userfaultfd; `waits for NEED_LOCK`; or what it answered. */
  get state(): string {
    while (this.result === undefined && this.k.runs.state[this.row] === RUN_WOKEN) {
      const reply = this.k.runs.reply[this.row]!
      this.k.runs.state[this.row] = RUN_RUNNING
      this.step(() => this.verb.next(reply))
    }
    if (this.result !== undefined) return this.say(this.result)
    const stop = stopNames[kindOf(this.stop)]!
    return stop === "WAIT_UFFD" ? "waits" : `waits for ${stop}`
  }

  /** Ends it where it waits. */
  kill(): void {
    expect(this.result).toBeUndefined()
    this.k.runs.withdraw(this.row, this.stop)
    this.step(() => this.verb.return(-4))
  }

  private step(next: () => IteratorResult<number, number>): void {
    const { k } = this
    k.runs.current = this.row
    const turn = next()
    k.runs.current = 0
    if (turn.done === true) {
      this.result = turn.value
      k.runs.release(this.row)
    } else this.stop = turn.value
    k.runs.flush()
    if (turn.done === true) settle(k)
  }
}

/** A thread of `p` touches byte `offset` of a page: `waits`, `ok` or a signal. */
export function touch(p: Proc, page: Pages, access: Access = READ, offset = 0, mm: number = p.mm): Flight {
  const say = (code: number): string => (code === FAULT_OK ? "ok" : byteOrSignal(-code))
  return new Flight(p.k, () => fault(p.k, mm, parse(page)[0], access, offset), say, p.task)
}

/** A system call that may wait. */
export const begin = (p: Proc, make: () => Verb<StopName>): Flight => new Flight(p.k, make, outcome, p.task)

/** A descriptor of a userfaultfd. Ranges are pages of the arena. */
export class Uffd {
  constructor(
    readonly p: Proc,
    readonly fd: number
  ) {}

  /** What the last ioctl stored: bytes done, a mask of ioctls, or an errno's name. */
  get out(): string {
    const n = this.p.k.out[0]!
    return n < 0 ? outcome(n) : String(n)
  }
  register(range: Pages, mode: number = MISSING): string {
    return this.range(uffdRegister, range, mode)
  }
  unregister(range: Pages): string {
    return this.range(uffdUnregister, range)
  }
  wake(range: Pages): string {
    return this.range(uffdWake, range)
  }
  zeropage(range: Pages, mode = 0): string {
    return this.range(uffdZeropage, range, mode)
  }
  /** Protects against writes, or with mode 0 no longer. */
  protect(range: Pages, mode: number = UFFD.WRITEPROTECT_MODE_WP): string {
    return this.range(uffdWriteprotect, range, mode)
  }
  continue(range: Pages, mode = 0): string {
    return this.range(uffdContinue, range, mode)
  }
  poison(range: Pages, mode = 0): string {
    return this.range(uffdPoison, range, mode)
  }
  /** Copies to `range` what lies at `from`. */
  copy(range: Pages, from: Pages, mode = 0): string {
    const [page, pages] = parse(range)
    return this.p.sys(uffdCopy, this.fd, page * 4096, parse(from)[0] * 4096, pages * 4096, mode)
  }
  /** Moves to `range` what lies at `from`. */
  move(range: Pages, from: Pages, mode = 0): string {
    const [page, pages] = parse(range)
    return this.p.sys(uffdMove, this.fd, page * 4096, parse(from)[0] * 4096, pages * 4096, mode)
  }
  private range<W extends readonly number[]>(
    verb: (k: Kernel, task: number, fd: number, start: number, len: number, ...mode: W) => Verb<StopName> | number,
    range: Pages,
    ...mode: W
  ): string {
    const [page, pages] = parse(range)
    return this.p.sys(verb, this.fd, page * 4096, pages * 4096, ...mode)
  }

  /** The bytes of so many messages, at most; or an errno's name. */
  bytes(most = 1, size = most * 32): Uint8Array | string {
    const into = new Uint8Array(size)
    const r = this.p.sys((k, task) => uffdRead(k, task, this.fd, into))
    return Number.isNaN(Number(r)) && r !== "ok" ? r : into.subarray(0, r === "ok" ? 0 : Number(r))
  }
  /** So many messages, at most, in words: `fault a1 write`, `unmap a0 a2`; or an errno's name. */
  read(most = 8): string[] | string {
    const all = this.bytes(most)
    if (typeof all === "string") return all
    return Array.from({ length: all.length / 32 }, (_, i) => inWords(all.subarray(i * 32, i * 32 + 32)))
  }
  /** A thread that reads one message. */
  reader(into = new Uint8Array(32)): Flight {
    return begin(this.p, () => uffdRead(this.p.k, this.p.task, this.fd, into))
  }
  /** `IN`, `ERR`, or nothing. */
  get poll(): string {
    const bits = poll(this.p.k, this.p.task, this.fd, POLL.IN)
    const names = { IN: POLL.IN, ERR: POLL.ERR, NVAL: POLL.NVAL }
    return Object.entries(names)
      .filter(([, bit]) => (bits & bit) !== 0)
      .map(([name]) => name)
      .join("")
  }
  close(): void {
    expect(close(this.p.k, this.p.task, this.fd)).toBe(0)
    settle(this.p.k)
  }
}

/** A userfaultfd of `p`, handshake done; and these pages are registered. */
export function uffd(
  p: Proc,
  range: Pages | "" = "",
  features = 0,
  mode: number = MISSING,
  flags: number = NONBLOCK
): Uffd {
  const u = new Uffd(p, userfaultfd(p.k, p.task, flags))
  expect(u.fd).toBeGreaterThanOrEqual(0)
  expect(uffdApi(p.k, p.task, u.fd, UFFD.API, features)).toBe(0)
  if (range !== "") expect(u.register(range, mode)).toBe("ok")
  return u
}

/** What the page tables have, as Proc.pages writes it, `!` behind what is protected, `p` for
 * poison.
 */
export function seen(p: Proc, range: Pages): string {
  const [page, pages] = parse(range)
  return Array.from({ length: pages }, (_, i) => {
    const bits = bitsAt(p.k, p.mm, page + i)
    const letter = (bits & POISON) !== 0 ? "p" : p.pages(`a${page + i - A0}`)
    return letter + ((bits & UFFD_WP) !== 0 ? "!" : "")
  }).join("")
}

/** A message, as words. */
export function inWords(message: Uint8Array): string {
  const view = new DataView(message.buffer, message.byteOffset, 32)
  const word = (at: number): number => Number(view.getBigUint64(at, true))
  const place = (at: number): string => placeName(word(at))
  switch (view.getUint8(0)) {
    case EVENT_PAGEFAULT: {
      const flags = word(8)
      const how = [
        (flags & UFFD.PAGEFAULT_FLAG_WP) !== 0 ? "wp" : "",
        (flags & UFFD.PAGEFAULT_FLAG_MINOR) !== 0 ? "minor" : "",
        (flags & UFFD.PAGEFAULT_FLAG_WRITE) !== 0 ? "write" : "read"
      ]
      return ["fault", place(16), ...how].filter((s) => s !== "").join(" ")
    }
    case EVENT_FORK:
      return `fork ${view.getUint32(8, true)}`
    case EVENT_REMAP:
      return `remap ${place(8)} ${place(16)} ${word(24) / 4096}`
    case EVENT_REMOVE:
      return `remove ${place(8)} ${place(16)}`
    case EVENT_UNMAP:
      return `unmap ${place(8)} ${place(16)}`
    default:
      return "?"
  }
}
