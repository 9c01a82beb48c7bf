/**
 * Module hooks that let a user's `.ts` module run and share this library. Floor 11.
 *
 * The user's own modules get `pagewright` and `effect` from where this file stands, whatever else lies in their
 * `node_modules`: guards, fibers and errors of two copies of the library do not know each other.
 */
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { transformSync } from "oxc-transform"

type ResolveContext = { readonly parentURL?: string | undefined }
type Next<Context> = (what: string, context: Context) => unknown

const shared = /^(?:pagewright|effect)(?:\/|$)/

const isOfAPackage = (url: string | undefined): boolean => url !== undefined && url.includes("/node_modules/")

/** `./x.js` where only `./x.ts` exists, as TypeScript allows it to be written. */
function sourceOf(specifier: string, parentURL: string | undefined): string {
  const isRelative = specifier.startsWith("./") || specifier.startsWith("../")
  if (!isRelative || !/\.m?js$/.test(specifier) || parentURL?.startsWith("file:") !== true) return specifier
  const source = specifier.replace(/js$/, "ts")
  const exists = (one: string): boolean => existsSync(new URL(one, parentURL))
  return !exists(specifier) && exists(source) ? source : specifier
}

/** Finds what a user's module imports. Works as an in-thread hook and as one of the loader's thread. */
export function resolve<Context extends ResolveContext>(
  specifier: string,
  context: Context,
  next: Next<Context>
): unknown {
  if (isOfAPackage(context.parentURL)) return next(specifier, context)
  if (shared.test(specifier)) return next(specifier, { ...context, parentURL: import.meta.url })
  return next(sourceOf(specifier, context.parentURL), context)
}

/** Loads TypeScript: types are removed, nothing is checked. */
export function load<Context>(url: string, context: Context, next: Next<Context>): unknown {
  if (!url.startsWith("file:") || !/\.m?ts$/.test(new URL(url).pathname)) return next(url, context)
  const file = fileURLToPath(url)
  const { code, errors, map } = transformSync(file, readFileSync(file, "utf8"), { sourcemap: true })
  const error = errors[0]
  if (error !== undefined) {
    const at = error.labels[0]
    throw new SyntaxError(`${file}${at === undefined ? "" : `:${lineAt(file, at.start)}`}: ${error.message}`)
  }
  const inline = Buffer.from(JSON.stringify(map)).toString("base64")
  return {
    format: "module",
    shortCircuit: true,
    source: `${code}\n//# sourceMappingURL=data:application/json;base64,${inline}\n`
  }
}

const lineAt = (file: string, offset: number): number =>
  readFileSync(file).subarray(0, offset).toString("utf8").split("\n").length
