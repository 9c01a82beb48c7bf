/** What skipped operations change unseen. Floor 9.
 *
 * An operation that is not built, and whose record shows no effect, is skipped: not judged, not agreed with. Yet it may
 * have changed what later ones depend on: a file's size, bytes or seals, a limit, flags of areas to come. That much is
 * taken over from its arguments, on Linux's word that it succeeded. What is not listed here ends the judgement.
 */
import { VM_LOCKED, VM_LOCKONFAULT } from "../../flags/bits.ts"
import { lowBits, pageOf, pagesUp, registerOf, type Word } from "../../mm/base/units.ts"
import type { Kernel } from "../../mm/kernel.ts"
import { readObject, writeObject } from "../../mm/object/file.ts"
import { punchHole, truncateObject } from "../../mm/object/truncate.ts"
import type { Obj } from "../../mm/store/files.ts"
import type { Task } from "../../mm/store/tasks.ts"
import { userLoad8, userStore8 } from "../../mm/sys/trap.ts"
import type { Op } from "./record.ts"

/** Takes over what a successful operation did. False where it cannot. `value` is what it answered. */
type Carry = (k: Kernel, task: Task, args: (at: number) => Word, op: Op, value: number) => boolean

const nothing: Carry = () => true

const MCL_FUTURE = 2
const MCL_ONFAULT = 4
const MADV_REMOVE = 9
const MADV_COLLAPSE = 25
const MADV_HWPOISON = 100
const MADV_SOFT_OFFLINE = 101
const F_ADD_SEALS = 1033
const F_GET_SEALS = 1034
const PR_SET_MDWE = 65
const PR_GET_MDWE = 66
const KEEP_SIZE = 1
const PUNCH_HOLE = 2

/** Everything that may be skipped although it succeeded. */
const carries: Readonly<Record<string, Carry>> = {
  // Whatever these do, they show it.
  mremap: nothing,
  mlock: nothing,
  mlock2: nothing,
  munlock: nothing,
  mseal: nothing,
  msync: nothing,
  mincore: nothing,
  pkey_mprotect: nothing,
  remap_file_pages: nothing,
  pread64: nothing,
  fsync: nothing,
  userfaultfd: nothing,
  uffdio_api: nothing,
  uffdio_wake: nothing,
  uffdio_register: nothing,
  uffdio_unregister: nothing,

  ftruncate: (k, task, a) => {
    truncateObject(k, objOf(k, task, a(0)), Number(a(1)))
    return true
  },
  fallocate: (k, task, a) => {
    const [o, mode, from, to] = [objOf(k, task, a(0)), lowBits(a(1)), Number(a(2)), Number(a(2)) + Number(a(3))]
    if (mode === (PUNCH_HOLE | KEEP_SIZE))
      punchHole(k, o, from, Math.min(to, Math.ceil(k.files.size[o]! / 4096) * 4096))
    else if (mode === 0) k.files.size[o] = Math.max(k.files.size[o]!, to)
    else return mode === KEEP_SIZE
    return true
  },
  pwrite64: (k, task, a, { data }) => {
    const bytes = Uint8Array.from(data.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
    return writeObject(k, objOf(k, task, a(0)), Number(a(1)), bytes) === bytes.length
  },
  pwrite_mem: (k, task, a, _op, value) => {
    const bytes = new Uint8Array(value)
    for (let i = 0; i < value; i++) {
      const byte = userLoad8(k, k.tasks.mm(task), Number(a(1)) + i)
      if (byte < 0) return false
      bytes[i] = byte
    }
    return writeObject(k, objOf(k, task, a(0)), Number(a(3)), bytes) === value
  },
  pread_mem: (k, task, a, _op, value) => {
    const bytes = new Uint8Array(value)
    if (readObject(k, objOf(k, task, a(0)), Number(a(3)), bytes) !== value) return false
    return bytes.every((byte, i) => userStore8(k, k.tasks.mm(task), Number(a(1)) + i, byte) === 0)
  },
  fcntl: (k, task, a) => {
    const command = lowBits(a(1))
    const o = objOf(k, task, a(0))
    if (command === F_ADD_SEALS) k.files.setSeals(o, k.files.seals(o) | lowBits(a(2)))
    return command === F_ADD_SEALS || command === F_GET_SEALS
  },
  mlockall: (k, task, a) => {
    const flags = lowBits(a(0))
    const future = (flags & MCL_FUTURE) === 0 ? 0 : VM_LOCKED | ((flags & MCL_ONFAULT) === 0 ? 0 : VM_LOCKONFAULT)
    const mm = k.tasks.mm(task)
    k.mms.setDefFlags(mm, (k.mms.defFlags(mm) & ~(VM_LOCKED | VM_LOCKONFAULT)) | future)
    return true
  },
  munlockall: (k, task) => {
    const mm = k.tasks.mm(task)
    k.mms.setDefFlags(mm, k.mms.defFlags(mm) & ~(VM_LOCKED | VM_LOCKONFAULT))
    return true
  },
  prctl: (k, task, a) => {
    const what = lowBits(a(0))
    if (what === PR_SET_MDWE) k.mms.setMdwe(k.tasks.mm(task), lowBits(a(1)))
    return what === PR_SET_MDWE || what === PR_GET_MDWE
  },
  setrlimit: (k, task, a) => {
    const bytes = (word: Word): number =>
      registerOf(word) === 0xffff_ffff_ffff_ffffn ? Infinity : Number(registerOf(word))
    k.tasks.setRlimit(task, lowBits(a(0)), bytes(a(1)), bytes(a(2)))
    return true
  },
  madvise: (k, task, a) => advise(k, task, lowBits(a(2)), a(0), a(1)),
  process_madvise: (k, task, a, { args }) => {
    for (let at = 1; at + 1 < args.length; at += 2) if (!advise(k, task, lowBits(a(0)), a(at), a(at + 1))) return false
    return true
  }
}

/** Of all advice only the removal of pages that nobody has mapped goes unseen. */
function advise(k: Kernel, task: Task, advice: number, addr: Word, len: Word): boolean {
  if (advice === MADV_COLLAPSE || advice === MADV_HWPOISON || advice === MADV_SOFT_OFFLINE) return false
  if (advice !== MADV_REMOVE) return true
  const mm = k.tasks.mm(task)
  const end = pageOf(addr) + pagesUp(len)
  for (let v = k.maple.find(mm, pageOf(addr)); v !== 0 && k.vmas.startOf(v) < end; v = k.maple.next(mm, v)) {
    const shift = k.vmas.pgoff(v) - k.vmas.startOf(v)
    const from = Math.max(pageOf(addr), k.vmas.startOf(v)) + shift
    const to = Math.min(end, k.vmas.endOf(v)) + shift
    if (k.vmas.obj(v) !== 0) punchHole(k, k.vmas.obj(v), from * 4096, to * 4096)
  }
  return true
}

const objOf = (k: Kernel, task: Task, fd: Word): Obj => k.files.obj(k.tasks.file(task, lowBits(fd)))

/** Takes over what a skipped operation changed unseen. False where it cannot. */
export function carry(k: Kernel, task: Task, op: Op): boolean {
  const { args, name, result } = op
  if (result.kind === "errno") return !removes(name, args) && !fills.has(name)
  const value = result.kind === "value" ? Number(result.value) : 0
  return carries[name]?.(k, task, (at) => args[at] ?? 0, op, value) ?? false
}

/** Calls of userfaultfd that may give an area its anon_vma before they fail, and merges depend on that.
 * @source mm/userfaultfd.c find_vma_and_prepare_anon (v6.18)
 */
const fills: ReadonlySet<string> = new Set([
  "uffdio_copy",
  "uffdio_zeropage",
  "uffdio_continue",
  "uffdio_poison",
  "uffdio_move"
])

/** Removal that fails at a hole has removed what lies before. */
const removes = (name: string, args: readonly Word[]): boolean =>
  (name === "madvise" || name === "process_madvise") && lowBits(args[name === "madvise" ? 2 : 0] ?? 0) === MADV_REMOVE
