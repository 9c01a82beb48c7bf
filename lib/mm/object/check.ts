/** Invariants of page caches. Floor 5. */
import type { Check } from "../kernel.ts"
import { F_CACHE } from "../store/frames.ts"

/** Every cached page knows where it is cached, and each object counts its pages. */
const cachesAreRight: Check = (k, wrong) => {
  for (let o = 1; o < k.files.objLimit(); o++) {
    if (k.files.objKind(o) === 0) continue
    let n = 0
    for (let i = k.xarray.next(o, 0); i >= 0; i = k.xarray.next(o, i + 1)) {
      n++
      const p = k.xarray.load(o, i)
      if (!k.frames.has(p, F_CACHE) || k.frames.mapping(p) !== o || k.frames.index(p) !== i)
        wrong.push(
          `frame ${p} is page ${i} of object ${o}, and says page ${k.frames.index(p)} of ${k.frames.mapping(p)}`
        )
    }
    if (n !== k.files.cached(o)) wrong.push(`object ${o} counts ${k.files.cached(o)} cached pages and has ${n}`)
  }
}

/** Invariants of objects. */
export const checkObjects: readonly Check[] = [cachesAreRight]
