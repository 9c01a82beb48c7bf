/** Compares an address space of ours with what the log says of it. Floor 9. */
import type { Kernel } from "../../mm/kernel.ts"
import { mapsLine, nameOf, permsText } from "../../mm/proc/maps.ts"
import { FILE_ANON_SHARED } from "../../mm/store/files.ts"
import type { Vma } from "../../mm/store/vmas.ts"
import type { MapLine } from "./event.ts"
import { squeezed } from "./map-line.ts"
import type { Difference } from "./player.ts"
import type { Space } from "./world.ts"

const ALL_PAGES = 2 ** 52

/** Looks at areas. Inodes of memory without a file of its own are learned from the log as they appear. */
export class Comparer {
  /** `dev inode` as the log has them, by ours. */
  private readonly ids = new Map<string, string>()
  /** Names that files had before, by `dev inode`. */
  private readonly former = new Map<string, Set<string>>()

  constructor(private readonly k: Kernel) {}

  /** The first area of `[start, end)`, or next to it, that is not as recorded. */
  range(space: Space, start: number, end: number): Difference | undefined {
    const { k } = this
    const { mm, recorded } = space
    if (recorded === undefined) return undefined
    recorded.seek(start - 1)
    let v = k.maple.find(mm, Math.max(0, start - 1))
    for (;;) {
      const next = recorded.next()
      const line = next !== undefined && next.start <= end ? next : undefined
      if (v !== 0 && k.vmas.startOf(v) > end) v = 0
      if (line === undefined && v === 0) return undefined
      if (line === undefined || v === 0 || !this.isSame(v, line)) return this.difference(v, line)
      v = k.maple.next(mm, v)
    }
  }

  /** Is every page of `[start, end)` as recorded, and at most bounds between equal neighbours are not? */
  differsInBoundsOnly({ mm, recorded }: Space, start: number, end: number): boolean {
    const { k } = this
    if (recorded === undefined) return false
    recorded.seek(start)
    let line = recorded.next()
    let v = k.maple.find(mm, start)
    for (let at = start; at < end;) {
      const lineFrom = line === undefined ? end : line.start
      const areaFrom = v === 0 ? end : k.vmas.startOf(v)
      if (lineFrom > at && areaFrom > at) {
        at = Math.min(lineFrom, areaFrom)
        if (Math.max(lineFrom, areaFrom) > at && at < end) return false
        continue
      }
      if (line === undefined || v === 0 || lineFrom > at || areaFrom > at || !this.isAlike(v, line)) return false
      at = Math.min(line.end, k.vmas.endOf(v))
      if (line.end === at) line = recorded.next()
      if (k.vmas.endOf(v) === at) v = k.maple.next(mm, v)
    }
    return true
  }

  /** The first area that is not as recorded. */
  whole(space: Space): Difference | undefined {
    return this.range(space, 1, ALL_PAGES)
  }

  /** Are there as many areas as recorded? Costs nothing, and finds changes where nobody looks. */
  count(space: Space): Difference | undefined {
    const { recorded } = space
    if (recorded === undefined || recorded.size === this.k.maple.size(space.mm)) return undefined
    return this.whole(space)
  }

  /** The file `id` has a new name; other processes may still show the old one. */
  rename(id: string, from: string, to: string): void {
    const { k } = this
    const names = this.former.get(id) ?? new Set<string>()
    names.add(from)
    this.former.set(id, names)
    for (let f = 1; f < k.files.fileLimit(); f++) {
      if (k.files.kind(f) !== 0 && k.files.names[f] === from && this.idOf(k.files.ids[k.files.obj(f)]!) === id)
        k.files.names[f] = to
    }
  }

  /** Our line of an area, as the log would print it. */
  lineOf(v: Vma): string {
    const text = squeezed(mapsLine(this.k, v))
    const f = this.k.vmas.file(v)
    const id = f === 0 ? undefined : this.k.files.ids[this.k.files.obj(f)]
    const learned = id === undefined ? undefined : this.ids.get(id)
    return learned === undefined ? text : text.replace(` ${id!} `, ` ${learned} `)
  }

  /** How to forget what is learned from now on. */
  save(): () => void {
    const ids = [...this.ids]
    const former = [...this.former].map(([id, names]) => [id, new Set(names)] as const)
    return () => {
      this.ids.clear()
      for (const [ours, theirs] of ids) this.ids.set(ours, theirs)
      this.former.clear()
      for (const [id, names] of former) this.former.set(id, new Set(names))
    }
  }

  private difference(v: Vma, line: MapLine | undefined): Difference {
    const ours = v === 0 ? "no area there" : this.lineOf(v)
    return { what: "map", linux: line?.text ?? "no area there", ours }
  }

  /** Is an area of ours what the line says? */
  isSame(v: Vma, line: MapLine): boolean {
    const { vmas } = this.k
    return vmas.startOf(v) === line.start && vmas.endOf(v) === line.end && this.isAlike(v, line)
  }

  /** The same, whatever the bounds are. Names depend on them where there is no file: [heap]. */
  private isAlike(v: Vma, line: MapLine): boolean {
    const { k } = this
    if (permsText(k.vmas.flags(v)) !== line.perms) return false
    const f = k.vmas.file(v)
    const shift = k.vmas.startOf(v) - line.start
    if (f === 0) {
      const isNamed = shift === 0 && k.vmas.endOf(v) === line.end
      return line.ino === 0 && line.offset === 0 && (!isNamed || line.name === nameOf(k, v))
    }
    return line.offset + shift === k.vmas.pgoff(v) && this.sameName(nameOf(k, v), line) && this.sameFile(f, line)
  }

  private sameName(ours: string, line: MapLine): boolean {
    return ours === line.name || this.former.get(`${line.dev} ${line.ino}`)?.has(line.name) === true
  }

  private sameFile(f: number, line: MapLine): boolean {
    const { files } = this.k
    const ours = files.ids[files.obj(f)]!
    const theirs = `${line.dev} ${line.ino}`
    const known = this.ids.get(ours)
    if (known !== undefined) return known === theirs
    if (files.kind(f) !== FILE_ANON_SHARED && !files.names[f]!.startsWith("/SYSV")) return ours === theirs
    this.ids.set(ours, theirs)
    return true
  }

  private idOf(ours: string): string {
    return this.ids.get(ours) ?? ours
  }
}
