/** A world for one test or one explored schedule. */
import { boot, tiny } from "../built.ts"
import { best, type Figures, use } from "../measure.ts"

export function boots(figures: Figures): void {
  best(figures, "boot.64", 100, (n) => {
    for (let i = 0; i < n; i++) use(boot(tiny).frames.limit)
  })
}
