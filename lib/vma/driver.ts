/** A device at run time: its definition without types, and the definition bound to a machine. Floor 8, internal. */
import { Context, Effect, Exit, Scheduler, Scope } from "effect"
import { VM_MIXEDMAP, VM_PFNMAP } from "../flags/bits.ts"
import { vmFlagsMod } from "../mm/area/vm-flags.ts"
import { vmBugOn } from "../mm/base/debug.ts"
import { H_CLOSE, H_FAULT, H_MAY_SPLIT, H_MMAP, H_OPEN } from "../mm/base/stop.ts"
import { addrOf } from "../mm/base/units.ts"
import { OwnedPage } from "./handles.ts"
import { NOPAGE } from "./hook.ts"
import { Task } from "./process.ts"
import { discharged, inner, ofDriver, unitOf } from "./raw.ts"
import type { PageAligned, UserAddr } from "./unit.ts"
import { View } from "./view.ts"
import { type Driver, enter, type Guard, Inside, type OpenFile } from "./world.ts"

/** A hook without its types: what it gets is made by `ofDriver`. */
type AnyHook = (self: never, vma: never, at: PageAligned<UserAddr>) => unknown

/** A device as it was described. */
export interface Definition {
  readonly open: Effect.Effect<unknown, unknown, unknown>
  readonly kind?: "plain" | "mixedmap" | "pfnmap" | undefined
  readonly mmap?: AnyHook | undefined
  readonly ioctl?: ((self: never, command: number, argument: bigint) => unknown) | undefined
  readonly release?: ((self: never) => unknown) | undefined
  readonly vmOps?:
    | {
        readonly open?: AnyHook | undefined
        readonly close?: AnyHook | undefined
        readonly maySplit?: AnyHook | undefined
        readonly fault?: AnyHook | undefined
      }
    | undefined
}

/** A device: a value, the same for every machine. */
export class DeviceObject {
  readonly definition: Definition
  /** Its registrations, by machine. */
  readonly bound = new WeakMap<object, BoundDriver>()
  constructor(definition: Definition) {
    this.definition = definition
  }
}

/** A device registered on one machine, with the services it was given. */
export class BoundDriver implements Driver {
  readonly name: string
  readonly hooks: number
  readonly device: DeviceObject
  readonly #by: readonly (AnyHook | undefined)[]
  readonly #services: Context.Context<never>

  constructor(name: string, device: DeviceObject, services: Context.Context<never>) {
    this.name = name
    this.device = device
    // A captured scheduler, section or process is that of whoever registered the device, not of who calls the hook.
    this.#services = Context.omit(Scheduler.Scheduler, Inside, Task, Scope.Scope)(services)
    const { mmap, vmOps } = device.definition
    const by: (AnyHook | undefined)[] = []
    by[H_MMAP] = mmap
    by[H_OPEN] = vmOps?.open
    by[H_CLOSE] = vmOps?.close
    by[H_MAY_SPLIT] = vmOps?.maySplit
    by[H_FAULT] = vmOps?.fault
    this.#by = by
    this.hooks = by.reduce((bits, hook, i) => (hook === undefined ? bits : bits | (1 << i)), 0)
  }

  /** Opens the device for the caller. */
  open(): Effect.Effect<OpenFile, unknown> {
    return Effect.flatMap(Scope.make(), (scope) =>
      Effect.onExit(
        Effect.map(this.#for(scope, this.device.definition.open), (state) => ({ driver: this, state, scope })),
        (exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))
      )
    )
  }

  call(hook: number, open: OpenFile, guard: Guard, vma: number, vpn: number): Effect.Effect<unknown, unknown> {
    const body = this.#by[hook] ?? vmBugOn(`${this.name} has no hook ${hook}`)
    if (hook === H_MMAP) this.#begin(guard, vma)
    const done = this.#for(open.scope, body(ofDriver(open.state), ofDriver(new View(guard, vma)), unitOf(addrOf(vpn))))
    if (hook !== H_FAULT) return done
    return Effect.map(done, (page) => {
      if (page === NOPAGE) return 0
      const { world, run } = guard
      const frame = inner(ofDriver(page), OwnedPage).use(world)
      world.k.frames.get(frame) // somebody may put the page before the verb goes on
      world.pinned[run] = frame
      return frame
    })
  }

  ioctl(open: OpenFile, command: number, argument: bigint): Effect.Effect<unknown, unknown> | undefined {
    const { ioctl } = this.device.definition
    if (ioctl === undefined) return undefined
    return Effect.suspend(() => this.#for(open.scope, ioctl(ofDriver(open.state), command, argument)))
  }

  release(open: OpenFile): Effect.Effect<void> {
    const { release } = this.device.definition
    if (release === undefined) return Effect.void
    return Effect.orDie(Effect.asVoid(this.#for(open.scope, release(ofDriver(open.state)))))
  }

  /** Sets the flag that the kind of the device promises to its hook. */
  #begin(guard: Guard, vma: number): void {
    const { kind } = this.device.definition
    const flag = kind === "mixedmap" ? VM_MIXEDMAP : kind === "pfnmap" ? VM_PFNMAP : 0
    if (flag !== 0) vmFlagsMod(enter(guard), vma, flag, 0)
  }

  /** A hook with the services of the registration and the scope of the open file. */
  #for(scope: Scope.Scope, effect: unknown): Effect.Effect<unknown, unknown> {
    if (!Effect.isEffect(effect)) {
      return Effect.die(new TypeError(`a hook of ${this.name} answered ${typeof effect}, expected an Effect`))
    }
    return discharged(effect).pipe(Effect.provideService(Scope.Scope, scope), Effect.provideContext(this.#services))
  }
}
