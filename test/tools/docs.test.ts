import { expect, it } from "vitest"
import { withBlocksAsRemarks, withBlocksInModel } from "../../tools/docs/blocks.ts"

it("moves locks, partial effect and source into the remarks, in their order", () => {
  const comment =
    "/**\n * Maps a page.\n *\n * @returns OK | EBUSY in use\n *\n * @locks mmap or VMA,\n * read\n *\n * @partial nothing\n *\n * @source mm/memory.c\n */\n"
  expect(withBlocksAsRemarks(comment)).toBe(
    "/**\n * Maps a page.\n *\n * @remarks\n *\n * **Locks:** mmap or VMA,\n * read\n *\n * **Partial effect:** nothing\n *\n" +
      " * **Source:** mm/memory.c\n *\n * @returns OK | EBUSY in use\n */\n"
  )
})

it("keeps remarks that are there, and finds a tag in the middle of a line", () => {
  expect(withBlocksAsRemarks("/**\n * First. @source a.c\n *\n * @remarks More.\n */\n")).toBe(
    "/**\n * First.\n *\n * @remarks\n *\n * More.\n *\n * **Source:** a.c\n */\n"
  )
})

it("leaves a comment without such blocks as it is", () => {
  const comment = "/**\n * Mail a@locks.example.\n *\n * @returns x\n */\n"
  expect(withBlocksAsRemarks(comment)).toBe(comment)
})

it("finds the comments wherever they stand in a model", () => {
  const model = { members: [{ docComment: "/**\n * A.\n *\n * @source b.c\n */\n", name: "x" }] }
  expect(withBlocksInModel(model)).toEqual({
    members: [{ docComment: "/**\n * A.\n *\n * @remarks\n *\n * **Source:** b.c\n */\n", name: "x" }]
  })
})
