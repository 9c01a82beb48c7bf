/** Installs the hooks that load users' TypeScript. Floor 11. */
import * as nodeModule from "node:module"
import * as hooks from "./loader-hooks.ts"

/** Newer Node runs hooks in the same thread; `register`, all that Node 20 has, is deprecated there. */
type NodeModule = Pick<typeof nodeModule, "register"> & { readonly registerHooks?: (hooks: object) => unknown }

let isInstalled = false

/** Lets `import()` load TypeScript from now on. Once is enough; a second call does nothing. */
export function installLoader(): void {
  if (isInstalled) return
  isInstalled = true
  process.setSourceMapsEnabled(true) // messages name lines of the TypeScript, not of what is left of it without types
  const { register, registerHooks }: NodeModule = nodeModule
  if (registerHooks === undefined) register(new URL("./loader-hooks.js", import.meta.url))
  else registerHooks({ resolve: hooks.resolve, load: hooks.load })
}
