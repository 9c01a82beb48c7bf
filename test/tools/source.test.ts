import { expect, it } from "vitest"
import { importsOf, read } from "../../tools/source.ts"

it("blanks comments but keeps lengths and lines", () => {
  const text = 'a // b "c"\n/* d\n e */ f'
  expect(read(text).code).toBe("a         \n    \n      f")
  expect(read(text).code).toHaveLength(text.length)
})

it("sees comment marks inside strings, templates and regular expressions as text", () => {
  const text = 'const a = "// no"; const b = `/* ${x + `// ${y}`} */`; const c = /"\\/\\/[/*]/g; d'
  expect(read(text).code).toBe(text)
  expect(read(text).bare).toMatch(/d$/)
  expect(read(text).bare).not.toContain("no")
  expect(read(text).bare).toContain("x + ")
})

it("tells division from a regular expression", () => {
  expect(read("a = b / c // d").code).toBe("a = b / c     ")
  expect(read("f(x) / 2 / y").bare).toBe("f(x) / 2 / y")
})

it("does not read past a template into the text that follows", () => {
  expect(importsOf('const s = `a ${ { b: "}" }.b } c`\nimport x from "./x.ts"')).toEqual([
    { from: "./x.ts", clause: "x", line: 2 }
  ])
})
