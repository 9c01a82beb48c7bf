import { defineConfig } from "vitest/config"

export default defineConfig({
  // `pagewright` means the sources under test, as tsconfig.json says.
  resolve: { tsconfigPaths: true },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    coverage: { provider: "v8", include: ["lib/**/*.ts"], exclude: ["lib/cli/**"], reporter: ["text", "lcov"] }
  }
})
