/** A machine's memory as bytes, and a machine from such bytes. Floor 6.
 *
 *     magic 8 | version u32 | checksum u32 | payload: config, then each store's fields by name
 *
 * What a store is, it says itself: numbers, strings, typed arrays, lists and maps of those. A field of another kind is a bug
 * here and not a gap in the file. What is code is not saved: drivers' rows of operations keep their names, and answer nothing
 * until somebody takes them over. A file that is damaged, cut short or of another version makes no machine.
 */
import { findings } from "../area/check.ts"
import { registerOps } from "../area/ops.ts"
import { T_SIGBUS } from "../area/object.ts"
import { vmBugOn } from "../base/debug.ts"
import type { KernelConfig } from "../base/config.ts"
import { Kernel } from "../kernel.ts"
import { unlinkPath } from "../object/file.ts"
import { checksum, Damaged, Reader, type Value, Writer } from "../store/bytes.ts"
import { FILE_DEVICE } from "../store/files.ts"
import { Q_EVENTS, Q_READERS } from "../store/uffds.ts"
import { boot } from "./boot.ts"

/** Of the layout of the file. The names and kinds of the fields are checked one by one. */
export const SAVE_VERSION = 1
const MAGIC = "PGWRIGHT"
const HEAD = 16

/** What is not memory: settings of the host, code, and what must be empty. */
const apart: ReadonlySet<string> = new Set([
  "config",
  "fail",
  "warn",
  "trace",
  "ops",
  "backings",
  "checks",
  "notifiers",
  "need",
  "range",
  "out"
])

/** Why `k` cannot be saved now, in sentences; empty if it can. */
export function unsavable(k: Kernel): string[] {
  const why: string[] = []
  if (k.runs.live === 0) k.runs.check(why)
  else callsInFlight(k, why)
  if (k.released.length > 0) why.push(`${k.released.length} files wait for their release`)
  if (k.deferredMmput.length > 0) why.push(`${k.deferredMmput.length} address spaces wait for their teardown`)
  for (const mm of k.notifiers.keys()) why.push(`address space ${mm} has a watcher outside of the machine`)
  for (let f = 1; f < k.files.fileLimit(); f++)
    if (k.files.kind(f) === FILE_DEVICE) why.push(`${k.files.names[f]!} is open: its driver has the rest of its state`)
  for (let o = 1; o < k.files.objLimit(); o++)
    if (k.files.objKind(o) !== 0 && k.files.backing(o) !== 0)
      why.push(`file ${pathOf(k, o)} is read from outside of the machine`)
  return why
}

/** Nobody could go on with a call: what it knows is in no table. A userfaultfd is state, who waits for it is not. */
function callsInFlight(k: Kernel, why: string[]): void {
  let others = k.runs.live
  for (let r = 1; r < k.runs.limit(); r++) {
    const [c, which] = k.runs.uffdWait(r)
    if (c === 0) continue
    others--
    const what =
      which === Q_READERS
        ? "for a message of a userfaultfd"
        : which === Q_EVENTS
          ? "until its userfaultfd has been read"
          : `for a userfaultfd's answer to its fault at 0x${k.uffds.word(r, 0).toString(16)}`
    why.push(`${whose(k, r)} waits ${what}`)
  }
  if (others > 0) why.push(`${others} system call${others === 1 ? " is" : "s are"} in flight`)
}

const whose = (k: Kernel, r: number): string => (k.runs.task[r] === 0 ? "the kernel" : `process ${k.runs.task[r]}`)

/** The machine as bytes. The caller has asked `unsavable`.
 * @param rest - what the caller knows of it, and wants back
 */
export function saveKernel(k: Kernel, rest?: Value): Uint8Array {
  const w = new Writer()
  w.value({ ...k.config })
  w.value(k.ops.map((ops) => ops?.name ?? ""))
  w.value(rest)
  const seen = new Set<ArrayBufferLike>()
  for (const [name, store] of entriesOf(k)) {
    if (apart.has(name)) continue
    if (isStore(store)) {
      w.value(name)
      w.value(fieldsOf(name, store, seen))
    } else {
      w.value(name)
      w.value(valueOf(name, store))
    }
  }
  const payload = w.bytes()
  const out = new Uint8Array(HEAD + payload.length)
  for (let i = 0; i < MAGIC.length; i++) out[i] = MAGIC.charCodeAt(i)
  const view = new DataView(out.buffer)
  view.setUint32(8, SAVE_VERSION)
  view.setUint32(12, checksum(payload))
  out.set(payload, HEAD)
  return out
}

/** A machine, and what its saver wanted back. */
export interface Restored {
  readonly k: Kernel
  readonly rest: Value
}

/** A machine like the one that was saved.
 * @returns the machine | why there is none, in a sentence
 */
export function restoreKernel(bytes: Uint8Array): Restored | string {
  const head = headOf(bytes)
  if (head !== undefined) return head
  try {
    const r = new Reader(bytes.subarray(HEAD))
    const config = r.value()
    const ops = r.value()
    const rest = r.value()
    if (!isRecord(config) || !Array.isArray(ops)) throw new Damaged("it does not begin with a machine's settings")
    const k = boot(configOf(config))
    for (const [row, name] of ops.entries())
      if (row >= k.ops.length && typeof name === "string") registerOps(k, { name, hooks: 0, translate: () => T_SIGBUS })
    const left = new Set(Object.keys(k).filter((name) => !apart.has(name)))
    while (!r.atEnd()) {
      const name = r.value()
      const value = r.value()
      if (typeof name !== "string" || !left.delete(name))
        throw new Damaged(
          `it has a part ${typeof name === "string" ? name : "without a name"}, which a machine has not`
        )
      setPart(k, name, value)
    }
    if (left.size > 0) throw new Damaged(`it lacks ${[...left].join(", ")}`)
    forgetDevices(k)
    const wrong = findings(k)
    return wrong.length > 0 ? `the machine it makes is broken: ${wrong[0]!}` : { k, rest }
  } catch (error) {
    if (error instanceof Damaged) return error.message
    if (error instanceof RangeError) return `it makes no machine: ${error.message}`
    throw error
  }
}

function headOf(bytes: Uint8Array): string | undefined {
  if (bytes.length < HEAD || MAGIC.split("").some((c, i) => bytes[i] !== c.charCodeAt(0)))
    return "it is no saved machine of Pagewright"
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint32(8)
  if (version !== SAVE_VERSION) return `it is of version ${version}, this is version ${SAVE_VERSION}`
  return view.getUint32(12) === checksum(bytes.subarray(HEAD))
    ? undefined
    : "it is damaged, or cut short: its checksum is wrong"
}

/** Drivers register again: until then their paths name nothing. */
function forgetDevices(k: Kernel): void {
  for (const [path, entry] of k.paths) if (entry.kind === FILE_DEVICE) unlinkPath(k, path)
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** Settings as `boot` wants them: numbers, and nothing that it does not know. */
function configOf(saved: Readonly<Record<string, unknown>>): Partial<KernelConfig> {
  const known = new Kernel({ frames: 16 }).config
  const config: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(saved)) {
    if (!(name in known)) throw new Damaged(`it has a setting ${name}, which a machine has not`)
    config[name] = value
  }
  return config
}

/** Its own fields, by name. */
const entriesOf = (of: object): [string, unknown][] =>
  Object.keys(of).map((name): [string, unknown] => [name, Reflect.get(of, name)])

/** Is it a table of the machine, not a plain value? */
const isStore = (value: unknown): value is object =>
  typeof value === "object" &&
  value !== null &&
  !ArrayBuffer.isView(value) &&
  !Array.isArray(value) &&
  !(value instanceof Map) &&
  !isRecord(value)

/** The fields of a store; views on a buffer that another field has, other stores and code are left out. */
function fieldsOf(name: string, store: object, seen: Set<ArrayBufferLike>): Readonly<Record<string, Value>> {
  const fields: Record<string, Value> = {}
  for (const [field, value] of entriesOf(store)) {
    if (typeof value === "function" || isStore(value)) continue
    if (ArrayBuffer.isView(value)) {
      if (seen.has(value.buffer)) continue
      seen.add(value.buffer)
    }
    fields[field] = valueOf(`${name}.${field}`, value)
  }
  return fields
}

function valueOf(name: string, value: unknown): Value {
  if (!Writer.takes(value)) return vmBugOn(`${name} is ${Object.prototype.toString.call(value)}: it cannot be saved`)
  return value
}

/** Sets a part of a fresh machine. */
function setPart(k: Kernel, name: string, value: Value): void {
  const part: unknown = Reflect.get(k, name)
  if (!isStore(part)) {
    setField(k, name, value, name)
    return
  }
  if (!isRecord(value)) throw new Damaged(`part ${name} is no table`)
  for (const [field, one] of Object.entries(value)) setField(part, field, one, `${name}.${field}`)
}

/** Sets a field to a value of its own kind: tables in place, so that who has a view on one keeps it. */
function setField(of: object, field: string, value: unknown, name: string): void {
  const now: unknown = Reflect.get(of, field)
  if (now instanceof Int32Array && value instanceof Int32Array && now.length === value.length) now.set(value)
  else if (now instanceof Float64Array && value instanceof Float64Array && now.length === value.length) now.set(value)
  else if (now instanceof Uint8Array && value instanceof Uint8Array && now.length === value.length) now.set(value)
  else if (Array.isArray(now) && Array.isArray(value)) replace(now, value)
  else if (now instanceof Map && value instanceof Map) {
    now.clear()
    for (const [key, one] of value) now.set(key, one)
  } else if (
    typeof now === typeof value &&
    (typeof now === "number" || typeof now === "boolean" || typeof now === "string")
  )
    Reflect.set(of, field, value)
  else throw new Damaged(`${name} is not what a machine of its size has`)
}

/** In place, and one by one: a list may be longer than a call may have arguments. */
function replace(list: unknown[], by: readonly unknown[]): void {
  list.length = 0
  for (const one of by) list.push(one)
}

function pathOf(k: Kernel, o: number): string {
  for (const [path, entry] of k.paths) if (entry.obj === o) return path
  return `of object ${o}`
}
