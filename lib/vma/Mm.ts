/** Address spaces. */
export type { Mm, MmWithUser, MmWithUserAsync, Pointer } from "./mm-handle.ts"
