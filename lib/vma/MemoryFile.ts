/** Memory files: where objects of one's own keep their bytes. Floor 8. */
import { Effect, type Scope } from "effect"
import { putObject } from "../mm/area/object.ts"
import { createMemory, dropAll } from "../mm/object/memory.ts"
import { type Fail, fail } from "./Fail.ts"
import { type Kernel, onWorld } from "./machine.ts"
import { MemoryFile } from "./memory-file.ts"

export type { MemoryFile } from "./memory-file.ts"

/** A memory file without pages. When the current Scope ends its pages go, whoever holds them; who maps one keeps the frame.
 * On a restored machine it is the saved one of that name, with its pages, where there was one.
 * @param name - what a saved machine knows it by; the empty one is nobody's
 * @returns ENOMEM no room for one more
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { MemoryFile } from "pagewright"
 * const two = Effect.map(MemoryFile.make("pixels"), (file) => file.allocate(2))
 * ```
 */
export const make = (name = ""): Effect.Effect<MemoryFile, Fail<"ENOMEM">, Kernel | Scope.Scope> =>
  onWorld((w) =>
    Effect.acquireRelease(
      Effect.suspend((): Effect.Effect<MemoryFile, Fail<"ENOMEM">> => {
        const saved = w.restored.memories.get(name)
        const o = saved ?? createMemory(w.k)
        if (o === 0) return fail("ENOMEM")
        w.restored.memories.delete(name)
        if (name !== "") w.memories.set(o, name)
        return Effect.succeed(new MemoryFile(w, o))
      }),
      (file) =>
        Effect.sync(() => {
          const o = file.end()
          w.memories.delete(o)
          dropAll(w.k, o)
          putObject(w.k, o)
        })
    )
  )
