/** Memory files: where objects of one's own keep their bytes. Floor 8. */
import { Effect, type Scope } from "effect"
import { putObject } from "../mm/area/object.ts"
import { createMemory, dropAll } from "../mm/object/memory.ts"
import { type Fail, fail } from "./Fail.ts"
import { type Kernel, onWorld } from "./machine.ts"
import { MemoryFile } from "./memory-file.ts"

export type { MemoryFile } from "./memory-file.ts"

/** A memory file without pages. When the current Scope ends its pages go, whoever holds them; who maps one keeps the frame.
 * @returns ENOMEM no room for one more
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MemoryFile } from "pagewright"
 * const two = Effect.map(MemoryFile.make, (file) => file.allocate(2))
 * ```
 */
export const make: Effect.Effect<MemoryFile, Fail<"ENOMEM">, Kernel | Scope.Scope> = Effect.acquireRelease(
  onWorld((w) =>
    Effect.suspend((): Effect.Effect<{ file: MemoryFile; end: () => void }, Fail<"ENOMEM">> => {
      const o = createMemory(w.k)
      if (o === 0) return fail("ENOMEM")
      const file = new MemoryFile(w, o)
      return Effect.succeed({
        file,
        end: () => {
          dropAll(w.k, file.end())
          putObject(w.k, o)
        }
      })
    })
  ),
  ({ end }) => Effect.sync(end)
).pipe(Effect.map(({ file }) => file))
