/** Signals: what an access to memory ends in when it goes wrong. Floor 8, internal. */
import { FAULT_ACCERR, FAULT_GP, FAULT_HWPOISON, FAULT_MAPERR, FAULT_SIGBUS } from "../flags/FaultFlags.ts"

/** The address is not mapped (MAPERR), or not for this access (ACCERR), or is no address at all (KERNEL). */
export interface Sigsegv {
  /** For `Effect.catchTag`. */
  readonly _tag: "SIGSEGV"
  /** Why, as siginfo's `si_code` says. */
  readonly code: "MAPERR" | "ACCERR" | "KERNEL"
  /** Byte address of the access; 0 for KERNEL, as Linux reports it. */
  readonly address: number
}
/** The object behind the mapping has no such page, its driver failed, or a userfaultfd wants it so. */
export interface Sigbus {
  /** For `Effect.catchTag`. */
  readonly _tag: "SIGBUS"
  /** Why, as siginfo's `si_code` says. */
  readonly code: "ADRERR"
  /** Byte address of the access. */
  readonly address: number
}
/** Memory ran out while the access was served. */
export interface Sigkill {
  /** For `Effect.catchTag`. */
  readonly _tag: "SIGKILL"
  /** Why. */
  readonly code: "OOM"
  /** Byte address of the access. */
  readonly address: number
}
/** How an access to memory fails. */
export type Signal = Sigsegv | Sigbus | Sigkill

/** The signal of a fault code. */
export function signalOf(code: number, address: number): Signal {
  switch (code) {
    case FAULT_MAPERR:
      return Object.freeze({ _tag: "SIGSEGV", code: "MAPERR", address })
    case FAULT_ACCERR:
      return Object.freeze({ _tag: "SIGSEGV", code: "ACCERR", address })
    case FAULT_GP:
      return Object.freeze({ _tag: "SIGSEGV", code: "KERNEL", address: 0 })
    case FAULT_SIGBUS:
    case FAULT_HWPOISON:
      return Object.freeze({ _tag: "SIGBUS", code: "ADRERR", address })
    default:
      return Object.freeze({ _tag: "SIGKILL", code: "OOM", address })
  }
}
