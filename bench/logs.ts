/** Logs of a program that maps, protects and unmaps memory, of any length, as a recorder and as strace would write them. */

const PAGE = 0x1000n
const PID = 4242
const TOP = 0x7ffff7fc0000n

const program: readonly string[] = [
  "555555554000-555555556000 r--p 00000000 fe:00 260958 /usr/bin/true",
  "555555556000-55555555a000 r-xp 00002000 fe:00 260958 /usr/bin/true",
  "55555555a000-55555555c000 r--p 00006000 fe:00 260958 /usr/bin/true",
  "55555555c000-55555555e000 rw-p 00007000 fe:00 260958 /usr/bin/true",
  "7ffff7fc2000-7ffff7fc6000 r--p 00000000 00:00 0 [vvar]",
  "7ffff7fc6000-7ffff7fc8000 r--p 00000000 00:00 0 [vvar_vclock]",
  "7ffff7fc8000-7ffff7fca000 r-xp 00000000 00:00 0 [vdso]",
  "7ffff7fca000-7ffff7fcb000 r--p 00000000 fe:00 338944 /usr/lib/ld.so",
  "7ffff7fcb000-7ffff7ff1000 r-xp 00001000 fe:00 338944 /usr/lib/ld.so",
  "7ffff7ff1000-7ffff7ffb000 r--p 00027000 fe:00 338944 /usr/lib/ld.so",
  "7ffff7ffb000-7ffff7fff000 rw-p 00031000 fe:00 338944 /usr/lib/ld.so",
  "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]"
]

/** One call, and what it changed. */
interface Step {
  readonly name: string
  readonly args: readonly bigint[]
  readonly ret: bigint
  readonly gone: readonly string[]
  readonly here: readonly string[]
}

const line = (start: bigint, end: bigint, perms: string): string =>
  `${start.toString(16)}-${end.toString(16)} ${perms} 00000000 00:00 0`

/** Towers of mappings, each below the one before; every other one is split by mprotect; then they go again. */
function* steps(count: number, height: number): Iterable<Step> {
  let made = 0
  yield {
    name: "mmap",
    args: [0n, 2n * PAGE, 3n, 0x22n, 0xffffffffn, 0n],
    ret: TOP,
    gone: [],
    here: [line(TOP, TOP + 2n * PAGE, "rw-p")]
  }
  while (made < count) {
    const tower: [start: bigint, end: bigint, split: boolean][] = []
    let at = TOP
    for (let i = 0; i < height && made < count; i++) {
      const pages = BigInt(2 + (i % 7))
      const isSplit = i % 2 === 0
      const end = at
      at -= pages * PAGE
      const perms = isSplit ? "r-xp" : "r--p"
      const prot = isSplit ? 5n : 1n
      made++
      yield {
        name: "mmap",
        args: [0n, pages * PAGE, prot, 0x22n, 0xffffffffn, 0n],
        ret: at,
        gone: [],
        here: [line(at, end, perms)]
      }
      if (isSplit) {
        made++
        yield {
          name: "mprotect",
          args: [at, PAGE, 0n],
          ret: 0n,
          gone: [line(at, end, perms)],
          here: [line(at, at + PAGE, "---p"), line(at + PAGE, end, perms)]
        }
      }
      tower.push([at, end, isSplit])
    }
    while (tower.length > 0) {
      const [start, end, isSplit] = tower.pop()!
      made++
      yield {
        name: "munmap",
        args: [start, end - start],
        ret: 0n,
        gone: isSplit
          ? [line(start, start + PAGE, "---p"), line(start + PAGE, end, "r-xp")]
          : [line(start, end, "r--p")],
        here: []
      }
    }
  }
}

const hex = (word: bigint): string => `0x${word.toString(16)}`

/** A recording of format 2 with about `count` calls, line by line.
 * @param height - mappings that there are at once
 */
export function* format2Log(count: number, height = 200): Iterable<string> {
  yield JSON.stringify({
    t: "exec",
    pid: PID,
    path: "/usr/bin/true",
    start_stack: "0x7fffffffee00",
    start_brk: "0x55555555e000",
    maps: program
  })
  let n = 0
  for (const { args, gone, here, name, ret } of steps(count, height)) {
    const maps = { ...(gone.length > 0 ? { "-": gone } : {}), ...(here.length > 0 ? { "+": here } : {}) }
    yield JSON.stringify({ t: "sys", n: n++, pid: PID, tid: PID, sc: name, a: args.map(hex), ret: hex(ret), maps })
  }
  yield JSON.stringify({ t: "end", pid: PID, status: 0, sig: 0 })
}

const prots = new Map([
  [0n, "PROT_NONE"],
  [1n, "PROT_READ"],
  [3n, "PROT_READ|PROT_WRITE"],
  [5n, "PROT_READ|PROT_EXEC"]
])

/** The same program as strace shows it. */
export function* straceLog(count: number, height = 200): Iterable<string> {
  yield `${PID}  execve("/usr/bin/true", ["true"], 0x7ffe /* 0 vars */) = 0`
  for (const { args, name, ret } of steps(count, height)) {
    const [a = 0n, b = 0n, c = 0n] = args
    if (name === "mmap")
      yield `${PID}  mmap(NULL, ${b}, ${prots.get(c)}, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = ${hex(ret)}`
    else if (name === "mprotect") yield `${PID}  mprotect(${hex(a)}, ${b}, ${prots.get(c)}) = 0`
    else yield `${PID}  munmap(${hex(a)}, ${b}) = 0`
  }
  yield `${PID}  +++ exited with 0 +++`
}
