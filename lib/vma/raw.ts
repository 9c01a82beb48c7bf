/** The one place where brands are minted and phantom types are claimed. Floor 8, internal.
 *
 * Every cast of the capability side is here, each with the reason why it holds. The other way round needs none: `inner`
 * looks.
 */
import type { Cause, Context, Effect } from "effect"
import type { Errno, ErrnoName, Fail } from "./Fail.ts"
import type { Fact } from "./fact.ts"
import type { MmapRead, VmaRead } from "./level.ts"
import type { Machine, Mapping, Mm, MmWithUser, MmWithUserAsync, Pointer } from "./mm-handle.ts"
import type { Mmap } from "./mmap-handle.ts"
import type { Mapped, Page } from "./page-handle.ts"
import type { AfterUnlock } from "./region.ts"
import type { Unit } from "./unit.ts"
import type { VmaRef } from "./VmaRef.ts"

// INVARIANT: the caller has checked the number against the unit's range; a unit is a number at run time.
export const unitOf = <U extends Unit>(n: number): U => n as unknown as U

// INVARIANT: every unit was minted by `unitOf`, so it is a number.
export const numberOf = (u: Unit): number => u as unknown as number

// INVARIANT: a pointer is compared and nothing else; equal rows are equal pointers, as reused memory would be.
export const pointerOf = (row: number): Pointer => row as unknown as Pointer

// INVARIANT: a machine is a World; the service is made by `Kernel.layer` alone.
export const machineOf = (world: object): Machine => world as Machine

// INVARIANT: handles.ts made it, for an address space on which it holds a reference.
export const mmOf = (handle: object): Mm => handle as Mm

// INVARIANT: the section `here` holds a user of that address space, or the lock of one of its areas.
export const mmWithUserOf = <here extends AfterUnlock>(handle: object): MmWithUser<here> => handle as MmWithUser<here>

// INVARIANT: as above, and the reference is dropped by a worker.
export const mmWithUserAsyncOf = <here extends AfterUnlock>(handle: object): MmWithUserAsync<here> =>
  handle as MmWithUserAsync<here>

// INVARIANT: handles.ts made it, for an object of its world.
export const mappingOf = (handle: object): Mapping => handle as Mapping

// INVARIANT: handles.ts made it, and its one reference belongs to it.
export const pageOf = (handle: object): Page => handle as Page

// INVARIANT: the view is revoked when the section `here` ends.
export const mappedOf = <here extends AfterUnlock>(view: object): Mapped<here> => view as Mapped<here>

// INVARIANT: the section `here` holds mmap_lock at level L.
export const mmapOf = <L extends MmapRead, here extends AfterUnlock>(view: object): Mmap<L, here> =>
  view as Mmap<L, here>

// INVARIANT: the section `here` holds a lock of level L on that area, and F is true of its flags until it ends.
export const vmaRefOf = <L extends VmaRead, F extends Fact, here extends AfterUnlock>(
  view: object
): VmaRef<L, F, here> => view as VmaRef<L, F, here>

// INVARIANT: what a body answers is its Fx: every other answer has a message for its type and does not compile.
export const ran = <Fx>(answer: unknown): Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>> =>
  answer as Effect.Effect<Effect.Success<Fx>, Effect.Error<Fx>>

// INVARIANT: a failure named by a member of T is a member of Fail<T>; TypeScript does not distribute over a type parameter.
export const failureOf = <T extends ErrnoName>(failure: Errno<T>): Fail<T> => failure as unknown as Fail<T>

// INVARIANT: a device's state is what its own `open` answered, and it is given its own kind of view: Device.make's types.
export const ofDriver = (given: unknown): never => given as never

// INVARIANT: a hook's failure is one that its Device.make has read off it, and stands in the type of the call that ran it.
export const hookFailure = <E>(failure: unknown): E => failure as E
export const hookAnswer = <A, E>(answer: Effect.Effect<unknown, unknown>): Effect.Effect<A, E> =>
  answer as Effect.Effect<A, E>

// INVARIANT: where the program relies on its parent's lock, its type is a message and no effect has it.
export const detached = <A, E, R>(program: unknown): Effect.Effect<A, E, R> => program as Effect.Effect<A, E, R>

// INVARIANT: Device.make has read the parameters off the definition.
export const deviceOf = <D>(object: object): D => object as D

// INVARIANT: a context is a map; what its type says is a claim of whoever provides it, checked where a service is looked up.
export const servicesAs = <R>(services: object): Context.Context<R> => services as Context.Context<R>

// INVARIANT: lock markers are requirements that nobody reads from the context; only a task's edge calls this.
export const discharged = <A, E>(self: Effect.Effect<A, E, unknown>): Effect.Effect<A, E> => self as Effect.Effect<A, E>

// INVARIANT: the cause is that of a hook whose errors stand in the type of the call that ran it (hook.ts).
export const causeOf = <E>(cause: Cause.Cause<unknown>): Cause.Cause<E> => cause as Cause.Cause<E>

// INVARIANT: nobody looks at it: what `return()` gives a generator that is over, what goes with an errno.
export const neverRead = (): never => undefined as never

// INVARIANT: Range.ts has looked: page-aligned, one page at least.
export const pageRangeOf = <P>(range: object): P => range as P

// INVARIANT: the ask it belongs to is answered inside the section `here`, and it is not looked at afterwards.
export const translationOf = <T>(made: object): T => made as T

// INVARIANT: a question of this ceiling: `translation.ts` made it.
export const askOf = <A>(question: object): A => question as A

// INVARIANT: Mappable.make has read the ceiling off the definition.
export const mappableOf = <M>(object: object): M => object as M

/** The object behind a handle. Throws TypeError for what this library did not make. */
export function inner<T>(handle: object, kind: abstract new (...args: never) => T): T {
  if (handle instanceof kind) return handle
  throw new TypeError(`expected a ${kind.name} of this library, got ${Object.prototype.toString.call(handle)}`)
}
