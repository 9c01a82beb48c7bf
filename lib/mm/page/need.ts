/** What a plain fault piece answers when it cannot finish by itself. Floor 4.
 *
 * `faultNow` gives up on any of them, untouched; the generator performs it and looks again.
 */

/** The object's page must be read: `k.need` has object and page offset. */
export const FAULT_NEED_PAGE = 16
/** The driver's fault hook answers: `k.need` has area and page number. */
export const FAULT_NEED_HOOK = 17
/** The driver's page_mkwrite hook must agree first. */
export const FAULT_MKWRITE = 18
/** `faultNow`: something would wait. */
export const GIVE_UP = 19
/** A userfaultfd answers: `k.need` has its context and the message's flags. All locks go before it is waited for. */
export const FAULT_USERFAULT = 20

/** Is it one of the outcomes of flags/FaultFlags.ts? */
export const isFinal = (code: number): boolean => code < FAULT_NEED_PAGE
