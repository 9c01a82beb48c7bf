/** What the two processes are told by their environment. */
import { ByteSize, Config, Data, Effect } from "effect"
import { PAGE } from "./layout.ts"

/** The environment says something that cannot be. */
class BadSetting extends Data.TaggedError("BadSetting")<{ readonly message: string }> {}

/** Pages: enough for a middle, where the connection is cut; and no more than a process of the host has room for. */
const [least, most] = [2 ** 8, 2 ** 19]

/** Pages of data that the task has: POSTCOPY_SIZE, 48 MiB if it is absent. */
export const dataPages = Config.ByteSize("POSTCOPY_SIZE").pipe(
  Config.withDefault(ByteSize.mebibytes(48)),
  Config.map((size) => Math.ceil(ByteSize.toNumberUnsafe(size) / PAGE)),
  Effect.filterOrFail((pages) => pages >= least && pages <= most),
  Effect.mapError(() => new BadSetting({ message: "POSTCOPY_SIZE is a size from 1MiB to 2GiB, 48MiB for instance" }))
)

/** The source's port: POSTCOPY_PORT. */
export const port = Effect.mapError(
  Config.Port("POSTCOPY_PORT"),
  () => new BadSetting({ message: "POSTCOPY_PORT is no port of a source: it is main.ts that starts this" })
)

/** Frames of a machine for a task of so many pages. */
export const framesFor = (pages: number): number => pages + 256
