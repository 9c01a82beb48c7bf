/** What memory ought to do, told as plainly as possible: for each process a map from page to protection and contents. */
import { EACCES, EBADF, EBUSY, EEXIST, EFAULT, EINVAL, ENODEV, ENOMEM, EPERM, OK } from "../../lib/flags/Errno.ts"
import { FAULT_ACCERR, FAULT_MAPERR, FAULT_OK, FAULT_SIGBUS } from "../../lib/flags/FaultFlags.ts"
import * as MAP from "../../lib/flags/MapFlags.ts"
import { EXEC, WRITE } from "../../lib/flags/ProtFlags.ts"
import {
  DEVICE,
  DEVICE_PAGES,
  FILE_BYTES,
  FILE_RO,
  FILE_WO,
  HEAP_PAGE,
  MEMFD,
  MOST_TASKS,
  NO_FD,
  type Op,
  PIPE,
  signal,
  TOP,
  WINDOW
} from "./program.ts"

/** Bytes of a page that are not zero, by offset. */
type Bytes = Map<number, number>

/** A file or shared memory: its pages, by number. */
interface Thing {
  readonly pages: Map<number, Bytes>
  size: number
}

/** One mapped page of one process. */
export interface Cell {
  prot: number
  readonly shared: boolean
  readonly mayWrite: boolean
  /** What it shows, and which page of it; undefined for private anonymous memory. */
  readonly thing: Thing | undefined
  readonly pgoff: number
  /** The process's own copy, once it wrote to a private page. */
  own: Bytes | undefined
  /** Which page the driver inserted, where `thing` is its device. */
  inserted: number | undefined
}

/** A process. */
interface Process {
  readonly pages: Map<number, Cell>
  brk: number
}

const pageOf = (at: number): number => Math.floor(at / 4096)
const pagesUp = (bytes: number): number => Math.ceil(bytes / 4096)

/** The world that programs ought to see. */
export class Model {
  readonly processes: Process[] = [{ pages: new Map(), brk: HEAP_PAGE * 4096 }]
  readonly memfd: Thing = { pages: new Map(), size: FILE_BYTES }
  readonly file: Thing = { pages: new Map(), size: FILE_BYTES }
  /** Its pages are the driver's; what a cell shows is what was inserted there. */
  readonly device: Thing = {
    pages: new Map(Array.from({ length: DEVICE_PAGES }, (_, i) => [i, new Map<number, number>()])),
    size: Infinity
  }

  /** What a step ought to answer, in words; and the world moves on. */
  run(op: Op): string {
    if (op.op === "truncate") return this.truncate(op.memfd ? this.memfd : this.file, op.size)
    const p = this.processes[op.p % this.processes.length]!
    switch (op.op) {
      case "mmap":
        return String(this.mmap(p, op))
      case "munmap":
        return String(munmap(p, op.addr, op.len))
      case "mprotect":
        return String(mprotect(p, op.addr, op.len, op.prot))
      case "brk":
        return String(brk(p, op.addr))
      case "fork":
        if (this.processes.length === MOST_TASKS) return "skipped"
        this.processes.push({ pages: new Map([...p.pages].map(([at, cell]) => [at, copyOf(cell)])), brk: p.brk })
        return "ok"
      case "exit":
        if (this.processes.length === 1) return "skipped"
        this.processes.splice(this.processes.indexOf(p), 1)
        return "ok"
      case "load":
        return load(p, op.addr, op.size)
      case "store":
        return store(p, op.addr, op.size, op.value)
      case "insert":
        return String(this.insert(p.pages.get(WINDOW + op.page), op.which))
      case "zap":
        return String(this.zap(p, WINDOW + op.page, op.pages))
      default:
        return op satisfies never
    }
  }

  private mmap(p: Process, op: Extract<Op, { op: "mmap" }>): number {
    const isAnonymous = (op.flags & MAP.ANONYMOUS) !== 0
    const shared = (op.flags & MAP.TYPE) === MAP.SHARED
    if (!isAnonymous && op.fd === NO_FD) return EBADF
    if (op.len === 0) return EINVAL
    const pages = pagesUp(op.len)
    const isFixed = (op.flags & (MAP.FIXED | MAP.FIXED_NOREPLACE)) !== 0
    const start = isFixed ? pageOf(op.addr) : place(p, pageOf(op.addr), pages)
    if (isFixed && op.addr % 4096 !== 0) return EINVAL
    if ((op.flags & MAP.FIXED_NOREPLACE) !== 0)
      for (let at = start; at < start + pages; at++) if (p.pages.has(at)) return EEXIST
    const readOnly = !isAnonymous && shared && op.fd === FILE_RO
    if (!isAnonymous) {
      if (shared && (op.prot & WRITE) !== 0 && (op.fd === FILE_RO || op.fd === PIPE)) return EACCES
      if (op.fd === FILE_WO) return EACCES
      if (op.fd === PIPE) return (op.prot & EXEC) !== 0 ? EPERM : ENODEV // nothing is executed from a pipe
    }
    const thing = isAnonymous
      ? shared
        ? { pages: new Map<number, Bytes>(), size: pages * 4096 }
        : undefined
      : op.fd === MEMFD
        ? this.memfd
        : op.fd === DEVICE
          ? this.device
          : this.file
    for (let i = 0; i < pages; i++)
      p.pages.set(start + i, {
        prot: op.prot,
        shared,
        mayWrite: !readOnly,
        thing,
        pgoff: (isAnonymous ? 0 : op.off / 4096) + i,
        own: undefined,
        inserted: undefined
      })
    if ((op.flags & MAP.POPULATE) !== 0) populate(p, start, pages)
    return start * 4096
  }

  private insert(cell: Cell | undefined, which: number): number {
    if (cell?.thing !== this.device) return EFAULT
    if (cell.own !== undefined || cell.inserted !== undefined) return EBUSY
    cell.inserted = which
    return OK
  }

  private zap(p: Process, start: number, pages: number): number {
    if (p.pages.get(start)?.thing !== this.device) return EFAULT
    for (let at = start; at < start + pages; at++) {
      const cell = p.pages.get(at)
      if (cell?.thing !== this.device) break
      cell.inserted = undefined
      cell.own = undefined
    }
    return OK
  }

  private truncate(thing: Thing, size: number): string {
    const old = thing.size
    thing.size = size
    if (size >= old) return "ok"
    const keep = pagesUp(size)
    for (const i of thing.pages.keys()) if (i >= keep) thing.pages.delete(i)
    for (const p of this.processes)
      for (const cell of p.pages.values()) if (cell.thing === thing && cell.pgoff >= keep) cell.own = undefined
    const last = thing.pages.get(keep - 1)
    if (last !== undefined && size % 4096 !== 0)
      for (const offset of last.keys()) if (offset >= size % 4096) last.delete(offset)
    return "ok"
  }
}

/** Faults pages in as the kernel does it, up to the first that cannot be: private writable ones become the process's own. */
function populate(p: Process, start: number, pages: number): void {
  for (let at = start; at < start + pages; at++) {
    const cell = p.pages.get(at)!
    const isWrite = !cell.shared && (cell.prot & WRITE) !== 0
    if (faultOf(cell, isWrite) !== FAULT_OK) return
    if (isWrite) bytesToWrite(cell)
  }
}

const copyOf = (cell: Cell): Cell => ({ ...cell, own: cell.own === undefined ? undefined : new Map(cell.own) })

/** The hint if it is free, else the highest room below the top. */
function place(p: Process, hint: number, pages: number): number {
  const isFree = (from: number): boolean => {
    for (let at = from; at < from + pages; at++) if (p.pages.has(at)) return false
    return true
  }
  if (hint !== 0 && isFree(hint)) return hint
  let at = TOP - pages
  while (!isFree(at)) at--
  return at
}

function munmap(p: Process, addr: number, len: number): number {
  if (addr % 4096 !== 0 || len === 0) return EINVAL
  for (let at = pageOf(addr); at < pageOf(addr) + pagesUp(len); at++) p.pages.delete(at)
  return OK
}

function mprotect(p: Process, addr: number, len: number, prot: number): number {
  if (addr % 4096 !== 0) return EINVAL
  for (let at = pageOf(addr); at < pageOf(addr) + pagesUp(len); at++) {
    const cell = p.pages.get(at)
    if (cell === undefined) return ENOMEM
    if ((prot & WRITE) !== 0 && !cell.mayWrite) return EACCES
    cell.prot = prot
  }
  return OK
}

function brk(p: Process, addr: number): number {
  const [old, to] = [pagesUp(p.brk), pagesUp(addr)]
  if (addr < HEAP_PAGE * 4096) return p.brk
  const mapped = (from: number, end: number): boolean => {
    for (let at = from; at < end; at++) if (p.pages.has(at)) return true
    return false
  }
  // up: a page of room must be left above; down: something must be there to go
  if (to > old && mapped(old, to + 1)) return p.brk
  if (to < old && !mapped(to, old)) return p.brk
  for (let at = old; at < to; at++)
    p.pages.set(at, {
      prot: 3,
      shared: false,
      mayWrite: true,
      thing: undefined,
      pgoff: 0,
      own: undefined,
      inserted: undefined
    })
  for (let at = to; at < old; at++) p.pages.delete(at)
  p.brk = addr
  return addr
}

/** Which signal an access to a page gives; FAULT_OK for none. */
export function faultOf(cell: Cell | undefined, isWrite: boolean): number {
  if (cell === undefined) return FAULT_MAPERR
  if (isWrite ? (cell.prot & WRITE) === 0 : cell.prot === 0) return FAULT_ACCERR
  if (cell.own !== undefined || cell.thing === undefined) return FAULT_OK
  const isThere = cell.thing.size === Infinity ? cell.inserted !== undefined : cell.pgoff * 4096 < cell.thing.size
  return isThere ? FAULT_OK : FAULT_SIGBUS
}

/** The bytes that a page shows. */
export const bytesOf = (cell: Cell): Bytes =>
  cell.own ?? cell.thing?.pages.get(cell.inserted ?? cell.pgoff) ?? new Map<number, number>()

/** The bytes that a write to the page changes: a private page becomes the process's own. */
function bytesToWrite(cell: Cell): Bytes {
  if (cell.thing === undefined || !cell.shared) return (cell.own ??= new Map(bytesOf(cell)))
  const bytes = bytesOf(cell)
  cell.thing.pages.set(cell.inserted ?? cell.pgoff, bytes)
  return bytes
}

function load(p: Process, addr: number, size: number): string {
  let value = 0
  for (let i = size - 1; i >= 0; i--) {
    const cell = p.pages.get(pageOf(addr + i))
    value = value * 256 + (cell === undefined ? 0 : (bytesOf(cell).get((addr + i) % 4096) ?? 0))
  }
  for (let i = 0; i < size; i++) {
    const code = faultOf(p.pages.get(pageOf(addr + i)), false)
    if (code !== FAULT_OK) return signal(code, addr + i)
  }
  return String(value)
}

function store(p: Process, addr: number, size: number, value: number): string {
  for (let i = 0; i < size; i++) {
    const cell = p.pages.get(pageOf(addr + i))
    const code = faultOf(cell, true)
    if (code !== FAULT_OK) return signal(code, addr + i)
    bytesToWrite(cell!) // the page is faulted in for a write, whatever becomes of the next one
  }
  for (let i = 0; i < size; i++) {
    const bytes = bytesToWrite(p.pages.get(pageOf(addr + i))!)
    bytes.set((addr + i) % 4096, (value >>> (8 * i)) & 255)
  }
  return "ok"
}
