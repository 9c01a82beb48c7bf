/** anon_vma: families of anonymous pages, joined to areas by chain links. Floor 2.
 *
 *     av  Int32 [id<<3 | f]    0 -  1 first link  2 parent  3 root  4 children  5 active areas  6 next free
 *     ch  Int32 [link<<3 | f]  0 area  1 anon  2 next of anon  3 previous of anon  4 next of area
 *
 * Nothing here is per page: a frame carries (anon, index), and a walk asks the page tables of the areas on the list.
 * @source mm/rmap.c anon_vma_clone, anon_vma_fork, unlink_anon_vmas (v6.18)
 */
import type { FailNth } from "../base/debug.ts"
import type { Vma, Vmas } from "./vmas.ts"

/** The anon_vmas of one world. */
export class Anon {
  private readonly av: Int32Array
  private readonly ch: Int32Array
  private avTop = 1
  private avFree = 0
  private chTop = 1
  private chFree = 0
  live = 0
  links = 0

  constructor(
    private readonly max: number,
    private readonly vmas: Vmas,
    private readonly fail: FailNth
  ) {
    this.av = new Int32Array(max << 3)
    this.ch = new Int32Array(max << 4)
  }

  private newAnon(parent: number): number {
    if (this.fail.hit()) return 0
    let a = this.avFree
    if (a !== 0) this.avFree = this.av[(a << 3) + 6]!
    else if (this.avTop < this.max) a = this.avTop++
    else return 0
    const r = a << 3
    this.av.fill(0, r, r + 8)
    this.av[r + 2] = parent === 0 ? a : parent
    this.av[r + 3] = parent === 0 ? a : this.av[(parent << 3) + 3]!
    this.av[(this.av[r + 2]! << 3) + 4]!++ // a root counts itself as its child
    this.live++
    return a
  }
  private freeAnon(a: number): void {
    const r = a << 3
    const parent = this.av[r + 2]!
    if (parent !== a) this.av[(parent << 3) + 4]!--
    this.av[r + 6] = this.avFree
    this.avFree = a
    this.live--
  }
  private link(vma: Vma, a: number): boolean {
    if (this.fail.hit()) return false
    let c = this.chFree
    if (c !== 0) this.chFree = this.ch[c << 3]!
    else if (this.chTop < this.max << 1) c = this.chTop++
    else return false
    const r = c << 3
    const h = this.av[(a << 3) + 1]!
    this.ch[r] = vma
    this.ch[r + 1] = a
    this.ch[r + 2] = h
    this.ch[r + 3] = 0
    this.ch[r + 4] = this.vmas.chain(vma)
    if (h !== 0) this.ch[(h << 3) + 3] = c
    this.av[(a << 3) + 1] = c
    this.vmas.setChain(vma, c)
    this.links++
    return true
  }
  private activate(vma: Vma, a: number): void {
    this.vmas.setAnon(vma, a)
    this.av[(a << 3) + 5]!++
  }

  /** Gives a never-written area an anon_vma: a fresh one, or `shared` of its neighbour. False when none is left. */
  prepare(vma: Vma, shared: number): boolean {
    const a = shared !== 0 ? shared : this.newAnon(0)
    if (a === 0) return false
    if (!this.link(vma, a)) {
      if (shared === 0) this.freeAnon(a)
      return false
    }
    this.activate(vma, a)
    return true
  }
  /** Links `dst` to all that `src` is linked to, and to the same anon_vma: split, and merges into an unwritten area.
   * False when no link is left; then `dst` is as it was.
   */
  clone(dst: Vma, src: Vma): boolean {
    if (!this.cloneLinks(dst, src)) return false
    const a = this.vmas.anon(src)
    if (a !== 0) this.activate(dst, a)
    return true
  }
  private cloneLinks(dst: Vma, src: Vma): boolean {
    for (let c = this.vmas.chain(src); c !== 0; c = this.ch[(c << 3) + 4]!) {
      if (this.link(dst, this.ch[(c << 3) + 1]!)) continue
      this.unlinkAll(dst)
      return false
    }
    return true
  }
  /** Child area of a fork: the parent's links and an anon_vma of its own, or an ancestor's that nobody is active in. */
  fork(dst: Vma, src: Vma): boolean {
    if (this.vmas.anon(src) === 0) return true
    if (!this.cloneLinks(dst, src)) return false
    for (let c = this.vmas.chain(src); c !== 0; c = this.ch[(c << 3) + 4]!) {
      const a = this.ch[(c << 3) + 1]!
      if (this.av[(a << 3) + 4]! < 2 && this.av[(a << 3) + 5] === 0) {
        this.activate(dst, a)
        return true
      }
    }
    const own = this.newAnon(this.vmas.anon(src))
    if (own !== 0 && this.link(dst, own)) {
      this.activate(dst, own)
      return true
    }
    if (own !== 0) this.freeAnon(own)
    this.unlinkAll(dst)
    return false
  }
  /** Takes `vma` off every list; an anon_vma with an empty list dies. */
  unlinkAll(vma: Vma): void {
    const own = this.vmas.anon(vma)
    if (own !== 0) this.av[(own << 3) + 5]!--
    this.vmas.setAnon(vma, 0)
    let c = this.vmas.chain(vma)
    this.vmas.setChain(vma, 0)
    while (c !== 0) {
      const r = c << 3
      const a = this.ch[r + 1]!
      const n = this.ch[r + 2]!
      const p = this.ch[r + 3]!
      const next = this.ch[r + 4]!
      if (p !== 0) this.ch[(p << 3) + 2] = n
      else this.av[(a << 3) + 1] = n
      if (n !== 0) this.ch[(n << 3) + 3] = p
      this.ch[r] = this.chFree
      this.chFree = c
      this.links--
      if (this.av[(a << 3) + 1] === 0) this.freeAnon(a)
      c = next
    }
  }
  /** list_is_singular(&vma->anon_vma_chain): exactly one link. */
  singular(vma: Vma): boolean {
    const c = this.vmas.chain(vma)
    return c !== 0 && this.ch[(c << 3) + 4] === 0
  }
  /** Calls `f` for every area that may map pages of anon_vma `a`. */
  forEachVma(a: number, f: (vma: Vma) => void): void {
    for (let c = this.av[(a << 3) + 1]!; c !== 0; c = this.ch[(c << 3) + 2]!) f(this.ch[c << 3]!)
  }
  /** Is `vma` on the list of anon_vma `a`? */
  isLinked(vma: Vma, a: number): boolean {
    for (let c = this.vmas.chain(vma); c !== 0; c = this.ch[(c << 3) + 4]!) if (this.ch[(c << 3) + 1] === a) return true
    return false
  }
  /** The first of the family that anon_vma `a` is of: whoever shares pages has the same one. */
  rootOf(a: number): number {
    return this.av[(a << 3) + 3]!
  }
  /** Do all links of `vma` belong to one family? */
  isOneFamily(vma: Vma): boolean {
    const first = this.vmas.chain(vma)
    if (first === 0) return true
    const root = this.rootOf(this.ch[(first << 3) + 1]!)
    for (let c = first; c !== 0; c = this.ch[(c << 3) + 4]!)
      if (this.rootOf(this.ch[(c << 3) + 1]!) !== root) return false
    return true
  }
  activeOf(a: number): number {
    return this.av[(a << 3) + 5]!
  }
}
