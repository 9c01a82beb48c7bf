/** What is known of a VMA's flags, as a union of facts. Floor 8, internal. */

/** Flags that a driver may ask for by name. */
export type Flag =
  | "VM_READ"
  | "VM_WRITE"
  | "VM_EXEC"
  | "VM_SHARED"
  | "VM_MAYREAD"
  | "VM_MAYWRITE"
  | "VM_MAYEXEC"
  | "VM_MAYSHARE"
  | "VM_MIXEDMAP"
  | "VM_PFNMAP"
  | "VM_IO"
  | "VM_DONTEXPAND"
  | "VM_DONTCOPY"
  | "VM_DONTDUMP"

/** `"VM_IO"`: known to be set. `"!VM_IO"`: known to be clear. Absent: unknown. */
export type Fact = Flag | `!${Flag}`

/** Facts as properties, so that a missing one is named in the message. */
export type Knows<F extends Fact> = { readonly [K in F]: true }

/** `E`, unless one of the facts `Good` is known: then the failure cannot happen. */
export type FailsUnless<F extends Fact, Good extends Fact, E> = [Good & F] extends [never] ? E : never

/** `Ok`, or the reason why what is already known makes the call pointless. */
export type Unless<F extends Fact, Bad extends Fact, why extends string, Ok> = [Bad & F] extends [never] ? Ok : why
