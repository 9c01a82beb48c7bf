/** A copy of a whole simulated machine, to go back to. Floor 9.
 *
 * For going back thousands of times a second, not for keeping (that is `mm/sys/save.ts`): it writes over the machine that it
 * was taken of. Taken between two calls: no verb is in flight, so locks and queues are empty and are not copied. Bytes of frames are not
 * either: no log tells them. Stores are looked at from outside, column by column; of those that are filled from below only
 * the rows in use are copied.
 */
import { vmBugOn } from "../../mm/base/debug.ts"
import type { Kernel } from "../../mm/kernel.ts"

type Column = Int32Array | Float64Array | Uint8Array

/** Rows of a column: which store counts those in use, under which name, and how many there may be. */
interface Rows {
  readonly store: string
  readonly used: string
  readonly most: (store: object) => number
}

const rows = (store: string, used: string, most: string, times = 1): Rows => ({
  store,
  used,
  most: (of) => times * numberIn(of, most)
})

const areas = rows("vmas", "top", "max")
const nodes = rows("maple", "top", "maxNodes")
const spaces = rows("mms", "top", "max")
const objects = rows("files", "objTop", "max")
const files = rows("files", "fileTop", "max")

/** Columns that are filled from below; everything else is copied whole. */
const filled: Readonly<Record<string, Rows>> = {
  "vmas.start": areas,
  "vmas.end": areas,
  "vmas.pgoffs": areas,
  "vmas.rec": areas,
  "mappings.links": areas,
  "mappings.reach": areas,
  "maple.key": nodes,
  "maple.gap": nodes,
  "maple.kid": nodes,
  "maple.cnt": nodes,
  "maple.root": spaces,
  "maple.height": spaces,
  "maple.count": spaces,
  "mms.i": spaces,
  "mms.d": spaces,
  "ptes.ent": rows("ptes", "top", "max"),
  "ptes.pop": rows("ptes", "top", "max"),
  "anon.av": rows("anon", "avTop", "max"),
  "anon.ch": rows("anon", "chTop", "max", 2),
  "files.oi": objects,
  "files.size": objects,
  "files.commit": objects,
  "xarray.root": objects,
  "xarray.height": objects,
  "mappings.roots": objects,
  "mappings.sizes": objects,
  "files.fi": files,
  "files.positions": files,
  "xarray.ent": rows("xarray", "top", "maxNodes"),
  "xarray.pop": rows("xarray", "top", "maxNodes"),
  "tasks.i": rows("tasks", "top", "max"),
  "tasks.lim": rows("tasks", "top", "max"),
  "tasks.fd": rows("tasks", "top", "max"),
  "tasks.cloexec": rows("tasks", "top", "max"),
  "frames.rec": rows("frames", "frontier", "limit")
}

/** What never changes while a log is replayed, or is empty between two calls. */
const skippedParts: ReadonlySet<string> = new Set(["config", "fail", "warn", "trace", "ops", "backings", "checks"])
const skippedColumns: ReadonlySet<string> = new Set(["frames.words", "frames.bytes", "tlb.words"])

interface SavedColumn {
  readonly column: Column
  readonly used: () => number
  copy: Column
  count: number
}

/** Keeps one copy of the machine `k`. */
export class Checkpoint {
  private readonly columns: SavedColumn[] = []
  private restores: (() => void)[] = []
  private readonly stores: readonly (readonly [name: string, store: object])[]
  private readonly parts: ReadonlySet<object>

  constructor(private readonly k: Kernel) {
    const stores: [string, object][] = []
    for (const [name, part] of Object.entries(k)) {
      if (isStore(part) && !skippedParts.has(name)) stores.push([name, part])
    }
    this.stores = stores
    this.parts = new Set([...stores.map(([, store]) => store), k.fail, k.warn, k.trace])
    for (const [name, store] of [["k", k] as const, ...stores]) {
      for (const [field, value] of Object.entries(store)) {
        if (name === "runs" && isColumn(value)) continue
        if (isColumn(value) && !skippedColumns.has(`${name}.${field}`)) this.addColumn(name, field, value)
      }
    }
  }

  /** Copies the machine as it is now. Answers how many bytes that were. */
  take(): number {
    let bytes = 0
    for (const saved of this.columns) {
      const count = saved.used()
      if (saved.copy.length < count) saved.copy = saved.column.slice(0, Math.min(saved.column.length, 2 * count))
      else saved.copy.set(saved.column.subarray(0, count))
      saved.count = count
      bytes += count * saved.column.BYTES_PER_ELEMENT
    }
    this.restores = []
    this.saveFields("k", this.k)
    for (const [name, store] of this.stores) this.saveFields(name, store)
    return bytes
  }

  /** The machine is as it was when the copy was taken. */
  restore(): void {
    for (const saved of this.columns) {
      const now = saved.used()
      saved.column.set(saved.copy.subarray(0, saved.count))
      if (now > saved.count) saved.column.fill(0, saved.count, now)
    }
    for (const restore of this.restores) restore()
  }

  private addColumn(name: string, field: string, column: Column): void {
    const its = filled[`${name}.${field}`]
    const store = its === undefined ? undefined : this.stores.find(([other]) => other === its.store)?.[1]
    let used = (): number => column.length
    if (its !== undefined && store !== undefined) {
      const width = column.length / its.most(store)
      if (!Number.isInteger(width)) vmBugOn(`rows of ${name}.${field} have ${width} elements`)
      used = () => Math.min(column.length, width * numberIn(store, its.used))
    }
    this.columns.push({ column, used, copy: column.slice(0, 0), count: 0 })
  }

  /** Numbers, lists and maps of a store, and how to put them back. */
  private saveFields(name: string, store: object): void {
    for (const [field, value] of Object.entries(store)) {
      if (isColumn(value) || typeof value === "function" || this.isApart(name, field, value)) continue
      const restore = restoring(value)
      this.restores.push(
        restore === undefined
          ? () => {
              Reflect.set(store, field, value)
            }
          : restore
      )
    }
  }

  private isApart(name: string, field: string, value: unknown): boolean {
    if (name === "k" && skippedParts.has(field)) return true
    return typeof value === "object" && value !== null && this.parts.has(value)
  }
}

/** How to make a list or a map what it is now; undefined for a plain value. */
function restoring(value: unknown): (() => void) | undefined {
  if (Array.isArray(value)) {
    const copy = value.map(copied)
    return () => {
      value.length = copy.length
      for (let i = 0; i < copy.length; i++) value[i] = copied(copy[i])
    }
  }
  if (value instanceof Map) {
    const copy = [...value].map(([key, its]) => [key, copied(its)] as const)
    return () => {
      value.clear()
      for (const [key, its] of copy) value.set(key, copied(its))
    }
  }
  if (value instanceof Set) {
    const copy = [...value]
    return () => {
      value.clear()
      for (const its of copy) value.add(its)
    }
  }
  if (typeof value === "object" && value !== null) vmBugOn("a store has a field that cannot be copied")
  return undefined
}

/** A record or a list of its own; what is neither is shared. */
function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice()
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return { ...value }
}

function numberIn(store: object, field: string): number {
  const value: unknown = Reflect.get(store, field)
  return typeof value === "number" ? value : vmBugOn(`no store counts rows under ${field}`)
}

const isColumn = (value: unknown): value is Column =>
  value instanceof Int32Array || value instanceof Float64Array || value instanceof Uint8Array

const isStore = (value: unknown): value is object =>
  typeof value === "object" &&
  value !== null &&
  !Array.isArray(value) &&
  !(value instanceof Map) &&
  !isColumn(value) &&
  Object.getPrototypeOf(value) !== Object.prototype
