/** Open files and the objects behind them. Floor 2.
 *
 *     object  i Int32 [o<<4 | f]  0 refs 1 kind 2 writable mappings 3 pages cached 4 seals 5 backing 6 mode 7 next free
 *                                 8 pages of a huge page 9 owner
 *             size, commit Float64 [o]    bytes; pages promised at creation (shared anonymous memory)
 *     file    i Int32 [f<<3 | f]  0 refs 1 mode 2 object 3 kind 4 ops 5 private 6 next free 7 flags
 *             positions Float64 [f]       bytes from the start: where read(2) goes on
 *
 * A file is an open file description: it, not the object, is what merges compare. An object is an inode with its page
 * cache: what faults are answered from. Who maps it is in `store/mappings.ts`.
 */
import type { FailNth } from "../base/debug.ts"

/** Row of an open file; 0 none. */
export type File = number
/** Row of a memory object; 0 none. */
export type Obj = number

/** Kinds of files. */
export const FILE_REGULAR = 1
export const FILE_SHMEM = 2
/** MAP_SHARED|MAP_ANONYMOUS memory: shmem without a name. */
export const FILE_ANON_SHARED = 3
export const FILE_ZERO = 4
export const FILE_DIR = 5
export const FILE_PIPE = 6
export const FILE_DEVICE = 7
/** An object of a user's: it answers for each page by naming a page of a memory file. */
export const FILE_OBJECT = 8
/** A memory file: pages that objects allocate and hand out. It is never mapped by name. */
export const FILE_MEMORY = 9
/** One attachment of a System V segment; its object is the segment's, `private` the segment's id. */
export const FILE_SHM = 10
/** memfd_secret: memory that the kernel itself does not map. */
export const FILE_SECRET = 11
/** Of huge pages. */
export const FILE_HUGETLB = 12
/** A process, as a file; `private` says which. */
export const FILE_PIDFD = 13
/** A userfaultfd; `private` is its context. */
export const FILE_UFFD = 14

/** A file of /proc: maps, or pagemap by its flags; `private` is the address space, grabbed. It has no object. */
export const FILE_PROC = 16
/** /dev/userfaultfd. It has no object. */
export const FILE_UFFD_DEVICE = 17

export const FMODE_READ = 1
export const FMODE_WRITE = 2

/** File flags. */
export const FILE_NOEXEC = 1
export const FILE_APPEND = 2
/** Of FILE_PROC: pagemap; opened by one who may know frame numbers. */
export const FILE_PROC_PAGEMAP = 4
export const FILE_SHOW_PFN = 8
export const FILE_NONBLOCK = 16
/** Of FILE_PIDFD: opened for a thread. */
export const FILE_THREAD = 32

const O_REFS = 0
const O_KIND = 1
const O_WRITABLE = 2
const O_CACHED = 3
const O_SEALS = 4
const O_BACKING = 5
const O_MODE = 6
const O_NEXT = 7
const O_UNIT = 8
const O_UID = 9

const F_REFS = 0
const F_MODE = 1
const F_OBJ = 2
const F_KIND = 3
const F_OPS = 4
const F_PRIVATE = 5
const F_NEXT = 6
const F_FLAGS = 7

/** Devices that inodes of each kind lie on, as on the recorded machine; shared memory's is 00:01. */
const devices: Readonly<Record<number, string>> = {
  [FILE_REGULAR]: "fe:00",
  [FILE_ZERO]: "00:06",
  [FILE_DEVICE]: "00:06",
  [FILE_SECRET]: "00:0e",
  [FILE_HUGETLB]: "00:11"
}

/** The files and objects of one world. */
export class Files {
  private readonly oi: Int32Array
  readonly size: Float64Array
  private readonly commit: Float64Array
  private readonly fi: Int32Array
  private readonly positions: Float64Array
  /** Name of each file, as /proc shows it. Cold: strings are fine here. */
  readonly names: string[] = []
  /** `dev` and `inode` columns of /proc/PID/maps, by object. */
  readonly ids: string[] = []
  /** The same of files that have their own. */
  private readonly ownIds = new Map<File, string>()
  private objTop = 1
  private objFree = 0
  private fileTop = 1
  private fileFree = 0
  /** Byte ranges of objects that their backing no longer answers for: cut off, or punched out. Cold. */
  readonly holes = new Map<Obj, (readonly [from: number, to: number])[]>()
  liveObjects = 0
  liveFiles = 0
  private inode = 1024

  constructor(
    readonly max: number,
    private readonly fail: FailNth
  ) {
    this.oi = new Int32Array(max << 4)
    this.size = new Float64Array(max)
    this.commit = new Float64Array(max)
    this.fi = new Int32Array(max << 3)
    this.positions = new Float64Array(max)
  }

  /** An object with one reference; 0 when the pool is empty. */
  allocObj(kind: number, sizeBytes: number): Obj {
    if (this.fail.hit()) return 0
    let o = this.objFree
    if (o !== 0) this.objFree = this.oi[(o << 4) + O_NEXT]!
    else if (this.objTop < this.max) o = this.objTop++
    else return 0
    this.oi.fill(0, o << 4, (o << 4) + 16)
    this.oi[o << 4] = 1
    this.oi[(o << 4) + O_KIND] = kind
    this.size[o] = sizeBytes
    this.commit[o] = 0
    this.ids[o] = `${devices[kind] ?? "00:01"} ${this.inode++}`
    this.liveObjects++
    return o
  }
  freeObj(o: Obj): void {
    this.holes.delete(o)
    this.oi[(o << 4) + O_NEXT] = this.objFree
    this.oi[(o << 4) + O_KIND] = 0
    this.objFree = o
    this.liveObjects--
  }
  /** One past the highest object row ever used. */
  objLimit(): number {
    return this.objTop
  }
  objRefs(o: Obj): number {
    return this.oi[o << 4]!
  }
  addObjRefs(o: Obj, n: number): number {
    return (this.oi[(o << 4) + O_REFS]! += n)
  }
  /** FILE_*; 0 for a free row. */
  objKind(o: Obj): number {
    return this.oi[(o << 4) + O_KIND]!
  }
  /** Is it shared memory: counted as shmem, holes are made of zeroes? */
  isShmem(o: Obj): boolean {
    const k = this.objKind(o)
    return k === FILE_SHMEM || k === FILE_ANON_SHARED
  }
  /** Has it a page cache, and shows nothing but that? */
  hasCache(o: Obj): boolean {
    const k = this.objKind(o)
    return k === FILE_REGULAR || k === FILE_SHMEM || k === FILE_ANON_SHARED
  }
  /** Pages that were charged when it was made. */
  reserved(o: Obj): number {
    return this.commit[o]!
  }
  setReserved(o: Obj, pages: number): void {
    this.commit[o] = pages
  }
  seals(o: Obj): number {
    return this.oi[(o << 4) + O_SEALS]!
  }
  setSeals(o: Obj, s: number): void {
    this.oi[(o << 4) + O_SEALS] = s
  }
  /** Where its pages are read from: an index into `k.backings`; 0 none. */
  backing(o: Obj): number {
    return this.oi[(o << 4) + O_BACKING]!
  }
  setBacking(o: Obj, b: number): void {
    this.oi[(o << 4) + O_BACKING] = b
  }
  /** Permission bits of the inode. */
  objMode(o: Obj): number {
    return this.oi[(o << 4) + O_MODE]!
  }
  setObjMode(o: Obj, m: number): void {
    this.oi[(o << 4) + O_MODE] = m
  }
  /** Whose it is. */
  uid(o: Obj): number {
    return this.oi[(o << 4) + O_UID]!
  }
  setUid(o: Obj, uid: number): void {
    this.oi[(o << 4) + O_UID] = uid
  }
  /** Pages of a huge page of a file that consists of them; 0 for all others. */
  unit(o: Obj): number {
    return this.oi[(o << 4) + O_UNIT]!
  }
  setUnit(o: Obj, pages: number): void {
    this.oi[(o << 4) + O_UNIT] = pages
  }
  cached(o: Obj): number {
    return this.oi[(o << 4) + O_CACHED]!
  }
  addCached(o: Obj, n: number): void {
    this.oi[(o << 4) + O_CACHED]! += n
  }
  /** i_mmap_writable: shared mappings that may be written. */
  writable(o: Obj): number {
    return this.oi[(o << 4) + O_WRITABLE]!
  }
  addWritable(o: Obj, n: number): void {
    this.oi[(o << 4) + O_WRITABLE]! += n
  }

  /** An open file with one reference; 0 when the pool is empty. It takes over the caller's reference on `o`. */
  allocFile(kind: number, o: Obj, mode: number, name: string): File {
    if (this.fail.hit()) return 0
    let f = this.fileFree
    if (f !== 0) this.fileFree = this.fi[(f << 3) + F_NEXT]!
    else if (this.fileTop < this.max) f = this.fileTop++
    else return 0
    this.fi.fill(0, f << 3, (f << 3) + 8)
    this.fi[f << 3] = 1
    this.positions[f] = 0
    this.fi[(f << 3) + F_MODE] = mode
    this.fi[(f << 3) + F_OBJ] = o
    this.fi[(f << 3) + F_KIND] = kind
    this.names[f] = name
    this.liveFiles++
    return f
  }
  /** `dev` and `inode` columns of a file. */
  id(f: File): string {
    return this.ownIds.get(f) ?? this.ids[this.obj(f)] ?? "00:00 0"
  }
  setId(f: File, id: string): void {
    this.ownIds.set(f, id)
  }
  freeFile(f: File): void {
    this.ownIds.delete(f)
    this.fi[(f << 3) + F_KIND] = 0
    this.fi[(f << 3) + F_NEXT] = this.fileFree
    this.fileFree = f
    this.liveFiles--
  }
  fileLimit(): number {
    return this.fileTop
  }
  fileRefs(f: File): number {
    return this.fi[f << 3]!
  }
  addFileRefs(f: File, n: number): number {
    return (this.fi[(f << 3) + F_REFS]! += n)
  }
  mode(f: File): number {
    return this.fi[(f << 3) + F_MODE]!
  }
  obj(f: File): Obj {
    return this.fi[(f << 3) + F_OBJ]!
  }
  /** FILE_*; 0 for a free row. */
  kind(f: File): number {
    return this.fi[(f << 3) + F_KIND]!
  }
  /** Row of `k.ops` of a device's file. */
  ops(f: File): number {
    return this.fi[(f << 3) + F_OPS]!
  }
  setOps(f: File, ops: number): void {
    this.fi[(f << 3) + F_OPS] = ops
  }
  /** file->private_data: a number that belongs to the driver. */
  private(f: File): number {
    return this.fi[(f << 3) + F_PRIVATE]!
  }
  setPrivate(f: File, p: number): void {
    this.fi[(f << 3) + F_PRIVATE] = p
  }
  /** Where read(2) goes on, in bytes from the start. */
  position(f: File): number {
    return this.positions[f]!
  }
  setPosition(f: File, bytes: number): void {
    this.positions[f] = bytes
  }
  flags(f: File): number {
    return this.fi[(f << 3) + F_FLAGS]!
  }
  setFlags(f: File, x: number): void {
    this.fi[(f << 3) + F_FLAGS] = x
  }
}
