/** Files of a log, as open files of the simulation. Floor 9.
 *
 * The log names files by path, device and inode; which mappings share an open file it does not say. Two mentions of one
 * path with the same flags are taken for one open file, unless the map shows otherwise (`reopenNext`).
 */
import { fput } from "../../mm/area/object.ts"
import { vmBugOn } from "../../mm/base/debug.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { openAnonymous, RDWR, reopen } from "../../mm/object/file.ts"
import {
  type File,
  FILE_DIR,
  FILE_NOEXEC,
  FILE_PIPE,
  FILE_REGULAR,
  FILE_SHMEM,
  FILE_ZERO,
  FMODE_READ,
  FMODE_WRITE
} from "../../mm/store/files.ts"
import type { FileRef, MapLine } from "./event.ts"

/** Open files that are kept although nothing maps them. */
const MOST_KEPT = 512
/** Larger than any file: a size that is not known does not matter. */
const ANY_SIZE = 2 ** 46

const S_IFMT = 0o170000
const S_IFSOCK = 0o140000
const S_IFREG = 0o100000
const S_IFDIR = 0o040000
const S_IFCHR = 0o020000
const S_IFIFO = 0o010000

const O_ACCMODE = 3
const O_PATH = 0o10000000

/** Devices, and files of /proc and /sys, that cannot be mapped. */
const unmappable =
  /^\/(?:proc\/(?:\d+|self|thread-self)\/(?!fd\/|map_files\/|exe$|root\/|cwd\/)|sys\/.*\/(?!resource\d)[^/]*$)|^\/dev\/(null|full|random|urandom|tty\w*|console|ptmx|pts\/.*|kmsg|fuse|net\/tun|rtc\d*|input\/.*)$/
/** Names of other files, in logs that do not follow them. */
const isLink = /^\/proc\/(?:\d+|self|thread-self)\/(?:fd\/|map_files\/|exe$|root\/|cwd\/)/
/** Inodes without a name that cannot be mapped. */
const plainInodes = /^anon_inode:(\[?(eventfd|eventpoll|timerfd|signalfd|inotify|fanotify|pidfd|userfaultfd)\]?)/

/** What a file is: a kind of the core; -1 one that nobody here knows. */
export const UNKNOWN_KIND = -1

export function kindOf(ref: FileRef): number {
  const { mode, path } = ref
  if (path.startsWith("/memfd:") || path.startsWith("/SYSV")) return FILE_SHMEM
  if (path.startsWith("pipe:") || path.startsWith("socket:") || plainInodes.test(path)) return FILE_PIPE
  if (path === "/dev/zero") return FILE_ZERO
  if (unmappable.test(path)) return FILE_PIPE
  if (path.startsWith("anon_inode:") || (path.startsWith("/proc/") && !isLink.test(path)) || path.startsWith("/sys/"))
    return UNKNOWN_KIND
  if (mode === undefined) return path.startsWith("/dev/") && !path.startsWith("/dev/shm/") ? UNKNOWN_KIND : FILE_REGULAR
  switch (mode & S_IFMT) {
    case S_IFREG:
      // files of a disk's file system are placed for huge pages, those of tmpfs and overlays are not
      return ref.dev === undefined || !ref.dev.startsWith("00:") ? FILE_REGULAR : FILE_SHMEM
    case S_IFDIR:
      return FILE_DIR
    case S_IFIFO:
    case S_IFSOCK:
      return FILE_PIPE
    case S_IFCHR:
    default:
      return UNKNOWN_KIND
  }
}

/** Is the descriptor good for anything but naming a path? */
export const isOpen = (ref: FileRef): boolean => ((ref.flags ?? 0) & O_PATH) === 0

const inodeOf = ({ dev, ino, path }: FileRef): string => (ino === undefined ? path : `${dev} ${ino}`)

/** Mentions of a file with one key are taken for one open file. */
const keyOf = (ref: FileRef): string => `${inodeOf(ref)} ${ref.open ?? `${ref.path} ${(ref.flags ?? 2) & O_ACCMODE}`}`

/** The open files of one log. */
export class FileTable {
  /** Open files, each with one reference of ours, in the order of their last use. */
  private readonly files = new Map<string, File>()
  /** Devices of whose file systems nothing is executed. */
  private readonly noexec = new Set<string>()

  constructor(private readonly k: Kernel) {}

  /** The open file that `ref` names, held by this table. Its kind is known. */
  open(ref: FileRef): File {
    const { size } = ref
    const inode = inodeOf(ref)
    const key = keyOf(ref)
    const known = this.files.get(key)
    const file = known ?? this.add(key, inode, ref)
    if (known !== undefined) this.touch(key, known)
    if (size !== undefined) this.k.files.size[this.k.files.obj(file)] = size
    return file
  }

  /** The open file behind a line of a new program's first map. */
  mapped(line: MapLine): File {
    const ref: FileRef = { path: line.name, dev: line.dev, ino: line.ino, mode: S_IFREG, flags: 0 }
    const key = `${line.dev} ${line.ino} ${line.name} program`
    const known = this.files.get(key)
    if (known === undefined) return this.add(key, `${line.dev} ${line.ino}`, ref)
    this.touch(key, known)
    return known
  }

  /** The next mention of `ref` is another open file: a second open() of the path. */
  reopenNext(ref: FileRef): void {
    this.drop(keyOf(ref))
  }

  /** Nothing is executed from the file systems of `dev`. */
  setNoexec(dev: string): void {
    this.noexec.add(dev)
    for (const [key, file] of this.files) if (key.startsWith(`${dev} `)) this.k.files.setFlags(file, FILE_NOEXEC)
  }

  isNoexec(dev: string): boolean {
    return this.noexec.has(dev)
  }

  /** How to make this table what it is now. */
  save(): () => void {
    const files = [...this.files]
    const noexec = [...this.noexec]
    return () => {
      this.files.clear()
      for (const [key, file] of files) this.files.set(key, file)
      this.noexec.clear()
      for (const dev of noexec) this.noexec.add(dev)
    }
  }

  private touch(key: string, file: File): void {
    this.files.delete(key)
    this.files.set(key, file)
  }

  private add(key: string, inode: string, ref: FileRef): File {
    const { k } = this
    this.dropOld()
    const kind = kindOf(ref)
    const access = (ref.flags ?? 2) & O_ACCMODE
    const mode = access === 0 ? FMODE_READ : access === 1 ? FMODE_WRITE : access === 2 ? RDWR : 0
    const sibling = kind === FILE_SHMEM || kind === FILE_REGULAR ? this.siblingOf(inode) : 0
    const file = sibling !== 0 ? reopen(k, sibling, mode) : openAnonymous(k, kind, mode, ref.path, ref.size ?? ANY_SIZE)
    if (file === 0) vmBugOn(`more open files at once than there is room for: ${k.config.maxFiles}`)
    k.files.names[file] = ref.path
    if (sibling === 0) {
      if (ref.ino !== undefined) k.files.ids[k.files.obj(file)] = `${ref.dev} ${ref.ino}`
      k.files.setObjMode(k.files.obj(file), (ref.mode ?? 0o666) & 0o777)
    }
    const isPipe = kind === FILE_PIPE && ref.path.startsWith("pipe:")
    k.files.setFlags(file, isPipe || this.noexec.has(ref.dev ?? "") ? FILE_NOEXEC : 0)
    this.files.set(key, file)
    return file
  }

  /** Any open file of the same inode; 0 none. */
  private siblingOf(inode: string): File {
    for (const [key, file] of this.files) if (key.startsWith(`${inode} `)) return file
    return 0
  }

  /** Makes room by forgetting the file that was not named for the longest time. Mappings keep theirs. */
  private dropOld(): void {
    if (this.files.size < MOST_KEPT) return
    const [oldest] = this.files.keys()
    if (oldest !== undefined) this.drop(oldest)
  }

  private drop(key: string): void {
    const file = this.files.get(key)
    if (file === undefined) return
    this.files.delete(key)
    fput(this.k, file)
  }
}
