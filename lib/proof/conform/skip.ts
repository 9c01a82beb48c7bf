/** What may be skipped. Floor 9.
 *
 * A call that we do not have is skipped where it failed, which as a rule changes nothing: not judged, not agreed with. Where
 * it succeeded, or where its record shows an effect, later operations depend on it: it ends the judgement of its sequence.
 */
import type { Op } from "./record.ts"

/** May `op`, which we do not have, be skipped? */
export const maySkip = (op: Op): boolean => !op.hasEffect && op.result.kind === "errno"
