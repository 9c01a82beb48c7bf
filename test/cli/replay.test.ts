import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { gunzipSync, gzipSync } from "node:zlib"
import { afterAll, expect, it } from "vitest"
import { format2Log } from "../../bench/logs.ts"
import { main } from "../../lib/cli/main.ts"

const folder = mkdtempSync(join(tmpdir(), "pagewright-replay-"))
afterAll(() => rmSync(folder, { recursive: true }))

const golden = (name: string): string => fileURLToPath(new URL(`../golden/replay/${name}`, import.meta.url))
const packed = readFileSync(golden("true.jsonl.gz"))
const text = gunzipSync(packed).toString("utf8")

const put = (name: string, content: string | Uint8Array): string => {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

const replay = async (...args: readonly string[]) => {
  const said = { out: "", err: "" }
  const exitCode = await main(["replay", ...args], {
    out: (more) => {
      said.out += more
    },
    err: (more) => {
      said.err += more
    }
  })
  return { exitCode, ...said }
}

it("exits with 0, the last maps and a summary where all agrees, plain or packed, format 2 or strace", async () => {
  const plain = await replay(put("true.jsonl", text))
  expect(plain).toMatchObject({ exitCode: 0, err: "" })
  expect(plain.out).toMatch(/^process 3010 {2}\/usr\/bin\/true: 15 calls, exited with 0; 22 areas, /m)
  expect(plain.out).toMatch(/^ {2}7ffffffde000-7ffffffff000 +132 K {2}rw-p {2}\[stack\]$/m)
  expect(plain.out).toMatch(/^mmap +8 +8$/m)
  expect(plain.out).toMatch(/\nAll 14 predictions agree with Linux\.\n$/)
  const again = await replay(golden("true.jsonl.gz"))
  expect(again.out.split("\n").slice(0, 25)).toEqual(plain.out.split("\n").slice(0, 25))
  const strace = await replay(golden("odd.strace.gz"))
  expect(strace.exitCode).toBe(0)
  expect(strace.out).toMatch(/: strace, \d+ lines, 1 process, /)
  expect(strace.out).toMatch(/; the log does not determine \d+ more\.\n$/)
})

it("exits with 1 where Linux did something else, and shows what", async () => {
  const { exitCode, out } = await replay(
    put("wrong.jsonl", text.replace('"ret":"0x7ffff7fc0000"', '"ret":"0x7ffff7fbf000"'))
  )
  expect(exitCode).toBe(1)
  expect(out).toMatch(/^line 3, process 3010: result differs$/m)
  expect(out).toMatch(/^ {2}Linux: 0x7ffff7fbf000\n {2}ours: {2}0x7ffff7fc0000$/m)
})

it("--at shows the address space after a call, and what the call changed", async () => {
  const { exitCode, out } = await replay(golden("true.jsonl.gz"), "--at", "10")
  expect(exitCode).toBe(0)
  expect(out).toMatch(
    /^process 3010 {2}\/usr\/bin\/true, after call 10 \(line 12\): mprotect\(0x7ffff7fa2000, 0x4000, PROT_READ\) = 0$/m
  )
  expect(out).toMatch(
    /^- 7ffff7fa2000-7ffff7fa8000 +24 K {2}rw-p .*\n\+ 7ffff7fa2000-7ffff7fa6000 +16 K {2}r--p .*\n\+ 7ffff7fa6000-7ffff7fa8000 +8 K {2}rw-p /m
  )
  const beyond = await replay(golden("true.jsonl.gz"), "--at", "15")
  expect(beyond).toMatchObject({ exitCode: 2, out: "" })
  expect(beyond.err).toMatch(/: there is no call 15; the log has 15 calls, from 0\n$/)
  expect((await replay(golden("true.jsonl.gz"), "--at", "x")).err).toBe("pagewright: replay: --at x is no number\n")
})

it("--svg draws the process with the most calls, or the one of --pid", async () => {
  const to = join(folder, "picture.svg")
  expect((await replay(golden("bash_forks.jsonl.gz"), "--svg", to)).exitCode).toBe(0)
  expect(readFileSync(to, "utf8")).toMatch(/>bash_forks\.jsonl\.gz: process \d+, \/usr\/bin\/bash[^<]*<\/text>/)
  expect((await replay(golden("bash_forks.jsonl.gz"), "--svg", to, "--pid", "8013")).exitCode).toBe(0)
  expect(readFileSync(to, "utf8")).toContain(">bash_forks.jsonl.gz: process 8013, ")
  expect((await replay(golden("bash_forks.jsonl.gz"), "--svg", to, "--pid", "1")).err).toMatch(
    /: there is no process 1\n$/
  )
  expect((await replay(folder, "--svg", to)).err).toMatch(/--svg reads the log twice, so .* must be a file\n$/)
  expect((await replay(golden("true.jsonl.gz"), "--pid", "1")).err).toMatch(/without --svg all are told\n$/)
  expect((await replay(golden("true.jsonl.gz"), "--svg", join(folder, "no", "where"))).err).toMatch(
    / cannot be written: /
  )
})

it("says the same for machines, as one object", async () => {
  const { exitCode, out } = await replay(golden("true.jsonl.gz"), "--json")
  expect(exitCode).toBe(0)
  expect(JSON.parse(out)).toMatchObject({
    agrees: true,
    format: "format 2",
    lines: 18,
    calls: { total: { total: 15 } }
  })
})

it("reports malformed lines with their numbers, and goes on", async () => {
  const lines = text.trimEnd().split("\n")
  const { exitCode, out } = await replay(
    put("malformed.jsonl", [lines[0], "garbage", ...lines.slice(1), '{"t":"sys",'].join("\n"))
  )
  expect(exitCode).toBe(0)
  expect(out).toMatch(
    /^Skipped, because they are malformed: 2 lines\.\n {2}line 2: not JSON\n {2}line 20: not JSON: cut off\?$/m
  )
  expect(out).toMatch(/\nAll 14 predictions agree with Linux\.\n$/)
})

it.each([
  ["no file", () => join(folder, "nowhere"), /^pagewright: no file .*nowhere$/],
  ["a folder", () => folder, /is a folder, expected a recording$/],
  ["an empty file", () => put("empty", ""), /empty:1: the file is empty$/],
  [
    "nothing but blank lines",
    () => put("blank", "\n\n"),
    /blank:1: neither a recording of format 2 nor a log of strace$/
  ],
  [
    "a text",
    () => put("text", "Dear reader,\nthis is no log.\n"),
    /text:1: neither a recording of format 2 nor a log of strace: /
  ],
  [
    "bytes",
    () =>
      put(
        "bytes",
        Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256)
      ),
    /bytes:\d+: neither a recording/
  ],
  [
    "a packed file that is cut",
    () => put("cut.gz", packed.subarray(0, 600)),
    /cut\.gz:\d+: cannot read on: unexpected end of file$/
  ],
  [
    "a file that begins like a packed one",
    () => put("like.gz", "\u001f\u008b hello"),
    /like\.gz:1: (cannot read on|neither)/
  ],
  [
    "what is not packed after all",
    () => put("not.gz", Uint8Array.of(0x1f, 0x8b, 1, 2, 3)),
    /not\.gz:1: cannot read on: /
  ],
  [
    "a line without an end",
    () => put("long", "x".repeat(34 << 20)),
    /long:1: a line of more than \d+ (characters|bytes)$/
  ],
  [
    "a recording of format 1",
    () => put("one", '{"seq":1,"theme":"t"}\n'),
    /one:1: .*; recordings of format 1 are for conform$/
  ],
  ["text that is packed", () => put("text.gz", gzipSync("hello\n")), /text\.gz:1: neither a recording/]
])("cannot read %s: exit code 2 and one line that says where", async (_, make, message) => {
  const { err, exitCode, out } = await replay(make())
  expect([exitCode, out]).toEqual([2, ""])
  expect(err.trimEnd()).toMatch(message)
  expect(err.trimEnd()).not.toContain("\n")
})

it("gives up early where nothing is a log", async () => {
  const { err, exitCode } = await replay(put("prose", "word\n".repeat(2_000_000)))
  expect(exitCode).toBe(2)
  expect(err).toMatch(/prose:1: neither a recording/)
})

it("takes one file, and says so", async () => {
  expect((await replay()).err).toBe("pagewright: replay: name the log: pagewright replay FILE\n")
  expect((await replay("a", "b")).err).toBe("pagewright: replay: one log at a time, not also b\n")
})

it("replays tens of thousands of calls, and thousands of areas, in one go", async () => {
  const log = [...format2Log(30_000, 4000)].join("\n")
  const { exitCode, out } = await replay(put("large.jsonl.gz", gzipSync(log)))
  expect(exitCode).toBe(0)
  expect(out).toMatch(/\nAll 3\d{4} predictions agree with Linux\.\n$/)
}, 60_000)

it("ends cleanly on Ctrl-C, and says how far it was", async () => {
  const file = put("interrupted.jsonl", [...format2Log(30_000, 100)].join("\n"))
  const running = replay(file)
  while (process.listenerCount("SIGINT") === 0) await new Promise(setImmediate)
  process.emit("SIGINT")
  const { err, exitCode, out } = await running
  expect([exitCode, out]).toEqual([130, ""])
  expect(err).toMatch(/^pagewright: replay was interrupted after \d+ calls, 0 disagreements\n$/)
  expect(process.listenerCount("SIGINT")).toBe(0)
})
