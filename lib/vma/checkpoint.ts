/** Saving and restoring machines. Floor 8, internal; `Kernel` has the names. */
import { Effect } from "effect"
import { fput, putObject } from "../mm/area/object.ts"
import type { Value } from "../mm/store/bytes.ts"
import { FILE_OBJECT } from "../mm/store/files.ts"
import { type Restored, restoreKernel, saveKernel, unsavable } from "../mm/sys/save.ts"
import { isFail } from "./Fail.ts"
import { IdentityObject } from "./mapping-identity.ts"
import { World } from "./world.ts"

/** A machine that cannot be saved now. Nothing has happened, but that objects have forgotten translations. */
export interface SaveError {
  readonly _tag: "SaveError"
  /** The reasons, in one sentence each. */
  readonly reasons: readonly string[]
  readonly message: string
}

/** Bytes that make no machine. None was made. */
export interface RestoreError {
  readonly _tag: "RestoreError"
  readonly message: string
}

const saveError = (reasons: readonly string[]): SaveError =>
  Object.freeze({ _tag: "SaveError", reasons, message: `this machine cannot be saved: ${reasons.join("; ")}` })

/** Asks every object to forget what would not survive, then writes everything down in one turn. */
export const saveWorld = (w: World): Effect.Effect<Uint8Array, SaveError> =>
  Effect.gen(function* () {
    const refused: string[] = []
    for (const object of w.objects)
      yield* Effect.catch(object.unsavable, (error) =>
        Effect.sync(() => {
          refused.push(
            `object ${object.name} cannot forget its translations: ${isFail(error) ? error._tag : String(error)}`
          )
        })
      )
    const reasons = [...refused, ...unsavable(w.k), ...namelessMemory(w), ...twins(w)]
    return reasons.length > 0 ? yield* Effect.fail(saveError(reasons)) : saveKernel(w.k, restOf(w))
  })

/** Nobody could take it over. */
function namelessMemory(w: World): string[] {
  let n = 0
  for (const o of w.k.holders.keys()) if (!w.memories.has(o)) n++
  return n === 0 ? [] : [`${n} memory files have no name to be restored by`]
}

/** Names are what objects and memory files are found by again. */
function twins(w: World): string[] {
  const why: string[] = []
  const names = (of: string, all: Iterable<string>): void => {
    const seen = new Set<string>()
    for (const name of all) {
      if (seen.has(name)) why.push(`two ${of} are called ${name}`)
      seen.add(name)
    }
  }
  names(
    "objects",
    Array.from(w.objects, (object) => object.name)
  )
  names("memory files", w.memories.values())
  return why
}

function restOf(w: World): Value {
  const identities: number[] = []
  for (const [f, open] of w.files) if (open.state instanceof IdentityObject && open.state.isHeld()) identities.push(f)
  return {
    objects: Array.from(w.objects, ({ name, ops, row }) => [name, row, ops]),
    memories: Array.from(w.memories, ([row, name]) => [name, row]),
    identities
  }
}

/** The machine that was saved, or why there is none. Scopes of its maker are over: what only they held goes, and objects and
 * memory files wait for somebody who takes them over by name.
 */
export function restoreWorld(bytes: Uint8Array): World | RestoreError {
  const restored = restoreKernel(bytes)
  if (typeof restored === "string")
    return Object.freeze({ _tag: "RestoreError", message: `no machine can be restored: ${restored}` })
  const w = new World(restored.k)
  takeBack(w, restored)
  return w
}

function takeBack(w: World, { rest }: Restored): void {
  const { k } = w
  for (const [name, row] of listOf(rest, "memories")) w.restored.memories.set(String(name), Number(row))
  for (const [f] of listOf(rest, "identities")) fput(k, Number(f))
  while (k.released.length > 0) {
    const f = k.released.shift()!
    const o = k.files.obj(f)
    k.files.freeFile(f)
    putObject(k, o)
  }
  for (const [name, row, ops] of listOf(rest, "objects")) {
    const o = Number(row)
    putObject(k, o)
    if (k.files.objKind(o) === FILE_OBJECT) w.restored.objects.set(String(name), { row: o, ops: Number(ops) })
  }
}

const asList = (one: unknown): readonly unknown[] => (Array.isArray(one) ? one : [one])

/** A list of lists in what the saver wanted back. */
function listOf(rest: Value, name: string): readonly (readonly unknown[])[] {
  if (typeof rest !== "object" || !(name in rest)) return []
  const list: unknown = Reflect.get(rest, name)
  return Array.isArray(list) ? list.map(asList) : []
}
