import fc from "fast-check"
import { expect, it } from "vitest"
import {
  annotationOf,
  answerOf,
  argumentsOf,
  fieldOf,
  numberOf,
  stringOf,
  wordOf
} from "../../../lib/proof/replay/strace-args.ts"

it.each([
  [") = 0", []],
  ["0) = ?", ["0"]],
  ["0 <unfinished ...>) = ?", ["0"]],
  [
    "NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE, -1, 0) = 1",
    ["NULL", "8192", "PROT_READ|PROT_WRITE", "MAP_PRIVATE", "-1", "0"]
  ],
  ['3, "a, b) \\" c"..., 5) = 5', ["3", '"a, b) \\" c"...', "5"]],
  ["3</tmp/a, (b)>, 4) = 0", ["3</tmp/a, (b)>", "4"]],
  ["AT_FDCWD</w>, 1) = 0", ["AT_FDCWD</w>", "1"]],
  ["3<TCP:[127.0.0.1:5->127.0.0.1:6]>, 1) = 0", ["3<TCP:[127.0.0.1:5->127.0.0.1:6]>", "1"]],
  ["0</dev/pts/0<char 136:0>>, 1) = 0", ["0</dev/pts/0<char 136:0>>", "1"]],
  ["3</memfd:x>(deleted), 1) = 0", ["3</memfd:x>(deleted)", "1"]],
  ["MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1) = 0", ["MAP_HUGETLB|21<<MAP_HUGE_SHIFT", "-1"]],
  ["{a=[1, 2], b={c=3, d=4}}, 88) = 0", ["{a=[1, 2], b={c=3, d=4}}", "88"]],
  ["{flags=CLONE_VM} => {parent_tid=[8177]}, 88) = 8177", ["{flags=CLONE_VM} => {parent_tid=[8177]}", "88"]],
  ["[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0) = 1", ["[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]", "0"]],
  ["0x3 /* A, (B */, 0x7ffd /* 12 vars */) = 0", ["0x3 /* A, (B */", "0x7ffd /* 12 vars */"]],
  ["<... resuming interrupted read ...>) = 0", ["<... resuming interrupted read ...>"]]
])("arguments of (%s", (text, args) => {
  const found = argumentsOf(text)
  expect(found.args).toEqual(args)
  expect(text.slice(found.end)).toMatch(/^ = /)
})

it.each(["NULL, 4096", '3, "no end) = 0', "3</no end, 0) = 0", "{a=1) = 0", "0x3 /* ) = 0"])(
  "arguments that are not closed: (%s",
  (text) => {
    expect(argumentsOf(text).end).toBe(-1)
  }
)

it.each([
  ["NULL", 0],
  ["4096", 4096],
  ["-1", -1],
  ["0644", 0o644],
  ["IPC_CREAT|0600", 0o1600],
  ["0x7ffff7fc0000", 0x7ffff7fc0000],
  ["0xfffffffffffff000", 0xfffffffffffff000n],
  ["18446744073709551615", 2n ** 64n - 1n],
  ["-9223372036854775808", 2n ** 63n],
  ["8192*1024", 8388608],
  ["RLIM64_INFINITY", 2n ** 64n - 1n],
  ["PROT_NONE", 0],
  ["PROT_READ|PROT_WRITE|PROT_EXEC", 7],
  ["PROT_READ|PROT_GROWSDOWN", 0x1000001],
  ["0x3 /* PROT_READ|PROT_WRITE */", 3],
  ["MAP_PRIVATE|0x80 /* MAP_??? */", 0x82],
  ["0x66 /* MADV_??? */", 0x66],
  ["MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT", 0x22 + 0x40000 + 21 * 2 ** 26],
  ["MAP_HUGETLB|34<<MAP_HUGE_SHIFT", 0x40000 + 34 * 2 ** 26],
  ["MAP_FIXED_NOREPLACE|MAP_DROPPABLE", 0x100008],
  ["MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_DONTUNMAP", 7],
  ["MADV_DONTNEED", 4],
  ["MADV_POPULATE_WRITE", 23],
  ["MS_SYNC|MS_INVALIDATE", 6],
  ["MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT", 7],
  ["3</etc/passwd>", 3],
  ["-100 /* AT_FDCWD */", -100],
  ["AT_FDCWD</w>", -100],
  ["CLONE_VM|CLONE_IO", 0x80000100]
] as const)("%s is a register", (text, word) => {
  expect(wordOf(text)).toEqual(word)
})

it.each(["", "{a=1}", "[1, 2]", '"text"', "MAP_NOBODY_KNOWS", "PROT_READ|PROT_???", "0x", "089", "..."])(
  "%s is no register",
  (text) => {
    expect(wordOf(text)).toBeUndefined()
  }
)

it.each([
  [" = 0", { kind: "value", value: 0 }, undefined],
  ["                         = 0x55555555e000", { kind: "value", value: 0x55555555e000 }, undefined],
  [" = 3</etc/ld.so.cache>", { kind: "value", value: 3 }, "/etc/ld.so.cache"],
  [" = 3</memfd:x>(deleted) <0.000005>", { kind: "value", value: 3 }, "/memfd:x (deleted)"],
  [" = 3<socket:[1736512]>", { kind: "value", value: 3 }, "socket:[1736512]"],
  [" = 0 <0.000012>", { kind: "value", value: 0 }, undefined],
  [" = -1 ENOMEM (Cannot allocate memory)", { kind: "errno", errno: "ENOMEM" }, undefined],
  [" = -1 ENOSYS (Function not implemented) (INJECTED)", { kind: "errno", errno: "ENOSYS" }, undefined],
  [" = -1 (errno 524)", { kind: "errno", errno: "524" }, undefined],
  [" = 0x8001 (flags O_WRONLY|O_LARGEFILE)", { kind: "value", value: 0x8001 }, undefined],
  [" = 1 ([{fd=3, revents=POLLIN}])", { kind: "value", value: 1 }, undefined],
  [" = ?", { kind: "unknown" }, undefined],
  [" = ? <unavailable>", { kind: "unknown" }, undefined],
  [" = ? ERESTARTSYS (To be restarted if SA_RESTART is set)", { kind: "unknown" }, undefined],
  [" = -1", { kind: "value", value: -1 }, undefined]
])("the answer%s", (text, result, path) => {
  expect(answerOf(text)).toEqual({ result, path })
})

it.each(["", " 0", " = ", " = abc"])("%j is no answer", (text) => {
  expect(answerOf(text)).toBeUndefined()
})

it("what -y shows: paths, deleted ones, escapes, devices", () => {
  expect(annotationOf("3</a b>")).toBe("/a b")
  expect(annotationOf("3</memfd:x>(deleted)")).toBe("/memfd:x (deleted)")
  expect(annotationOf("3</a\\74b\\76>")).toBe("/a<b>")
  expect(annotationOf("0</dev/pts/0<char 136:0>>")).toBe("/dev/pts/0")
  expect(annotationOf("5<anon_inode:[userfaultfd]>")).toBe("anon_inode:[userfaultfd]")
  expect(annotationOf("3")).toBeUndefined()
})

it("strings lose their quotes and escapes", () => {
  expect(stringOf('"/a\\"b\\n\\303\\x41"')).toBe('/a"b\n\u00c3A')
  expect(stringOf('"/abc"...')).toBe("/abc")
  expect(stringOf("0x7f00")).toBeUndefined()
})

it("fields of structs", () => {
  const limits = "{rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}"
  expect(fieldOf(limits, "rlim_cur")).toBe("8192*1024")
  expect(fieldOf(limits, "rlim_max")).toBe("RLIM64_INFINITY")
  expect(fieldOf("si_code=SEGV_MAPERR, si_addr=0x10", "si_addr")).toBe("0x10")
  expect(fieldOf("{range={start=0x1000, len=4096}, mode=1}", "range")).toBe("{start=0x1000, len=4096}")
  expect(fieldOf(limits, "rlim")).toBeUndefined()
})

it("numbers of any base and size are read back as they were printed", () => {
  const base = fc.constantFrom(
    (x: bigint) => `${x}`,
    (x: bigint) => `0x${x.toString(16)}`,
    (x: bigint) => `0${x.toString(8)}`
  )
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 64n - 1n), base, (x, print) => {
      expect(BigInt(numberOf(print(x)) ?? -1)).toBe(x)
    })
  )
})

it("arguments of any text are cut where they were joined", () => {
  const quoted = fc.string({ unit: "binary-ascii" }).map((text) => `"${text.replace(/[\\"]/g, (c) => `\\${c}`)}"`)
  const path = fc.string({ unit: "grapheme-ascii" }).map((text) => `3</${text.replace(/[<>\\]/g, "_")}>`)
  const number = fc.maxSafeInteger().map(String)
  const leaf = fc.oneof(quoted, path, number, fc.constant("A|21<<B"))
  const list = fc.array(leaf, { minLength: 1 }).map((all) => `[${all.join(", ")}]`)
  const struct = fc
    .array(fc.oneof(leaf, list), { minLength: 1 })
    .map((all) => `{${all.map((x) => `a=${x}`).join(", ")}}`)
  fc.assert(
    fc.property(fc.array(fc.oneof(leaf, list, struct)), (args) => {
      const text = `${args.join(", ")}) = 0`
      expect(argumentsOf(text)).toEqual({ args, end: text.length - 4 })
    })
  )
})
