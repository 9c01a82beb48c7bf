/** What the snippets beside this file take for granted. Never run. */
import { type Cause, Context, type Effect } from "effect"
import type { Fail, Kernel, Lockdep, Locked, Mm, Page, VmaRef } from "pagewright"
import { Units } from "pagewright"

export declare const machine: Kernel.Machine
export declare const mm: Mm.Mm
export declare const file: Locked.Mapping
export declare const page: Page.Page
export const at = Units.va("0x7f00_0000_2000")
export const one = Units.pages(1)

/** A helper that works on two VMAs of one section. */
export declare const sameSection: <here extends Locked.AfterUnlock>(
  x: VmaRef.AnyVma<here>,
  y: VmaRef.AnyVma<here>
) => void

/** System calls, as a hook sees them. */
export declare const munmap: Effect.Effect<void, never, Lockdep.Takes<"mmap_lock">>
export declare const copyToUser: Effect.Effect<void, Fail.Fail<"EFAULT">, Lockdep.Takes<"mmap_lock">>

/** A service that a driver needs. */
export class Db extends Context.Service<Db, { readonly load: Effect.Effect<Page.Page, Fail.Fail<"EIO">> }>()("Db") {}

/** An error of a program's own. */
type NotOurs<T> = Cause.YieldableError & { readonly _tag: "NotOurs"; readonly what: T }
export declare const notOurs: <T>(what: T) => NotOurs<T>
