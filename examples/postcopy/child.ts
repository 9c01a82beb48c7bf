/** Another process of the host that runs a scenario. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Data, Deferred, Effect } from "effect"

/** The other process has ended, and not well. */
export class ChildFailed extends Data.TaggedError("ChildFailed")<{ readonly message: string }> {}

/** Characters of its last words that are kept. */
const MOST = 600

/** Starts `pagewright run MODULE` beside this one. It ends with the current Scope at the latest.
 * @param module - URL of the module
 * @param variables - of its environment, besides those of this process
 */
export const runBeside = (module: URL, variables: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const command = [...process.execArgv, process.argv[1] ?? "", "run", fileURLToPath(module)]
    const ended = yield* Deferred.make<void, ChildFailed>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, command, {
          env: { ...process.env, ...variables },
          stdio: ["ignore", "ignore", "pipe"]
        })
      ),
      (running) => {
        running.kill("SIGTERM")
        return Effect.ignore(Deferred.await(ended))
      }
    )
    let words = ""
    child.stderr.on("data", (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-MOST)
    })
    const failed = (how: string) =>
      Deferred.doneUnsafe(ended, Effect.fail(new ChildFailed({ message: `the other process ${how}` })))
    child.once("error", ({ message }) => failed(`cannot be started: ${message}`))
    child.once("close", (code, signal) => {
      if (code === 0) Deferred.doneUnsafe(ended, Effect.void)
      else failed(`ended with ${signal ?? `exit code ${code}`}; its last words: ${words.trim() || "none"}`)
    })
    return { pid: child.pid, ended: Deferred.await(ended) }
  })
