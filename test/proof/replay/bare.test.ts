import { expect, it } from "vitest"
import { after, linesOf, map, replay, start, valuesOf } from "./strace-support.ts"

const BEFORE = "unanchored: memory that was mapped before"
const HOLE = "unanchored: a hole in what was mapped before"
const PLACE = "unanchored: whether the place that it asks for is free"

it("the first answers say where the heap and the searches begin; from there on all is predicted", () => {
  const { verdicts } = replay(`${start}
1  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fbf000
1  brk(0x555555581000)               = 0x555555581000
1  munmap(0x7ffff7fc0000, 4096)      = 0
1  mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fc0000
1  munmap(0x7ffff7fc0001, 4096)      = -1 EINVAL (Invalid argument)`)
  expect(valuesOf(verdicts)).toEqual([
    "unanchored: where the heap is",
    "unanchored: where the first search begins",
    "agreed",
    "agreed",
    "agreed",
    "agreed",
    "agreed"
  ])
})

it.each([
  map(1, "0x7ffff7fbe000"),
  map(1, "0x7ffff7f00000"),
  map(1, "-1 ENOMEM (Cannot allocate memory)"),
  map(3, "0x7ffff7fc2000"),
  "1  brk(0x555555581000) = 0x555555580000",
  "1  brk(0x555555581000) = 0x555555560000",
  "1  munmap(0x7ffff7fc0000, 4096) = -1 EINVAL (Invalid argument)",
  "1  munmap(0x7ffff7fc0001, 4096) = 0",
  "1  mprotect(0x7ffff7fc0000, 8192, PROT_READ) = -1 EACCES (Permission denied)",
  "1  mprotect(0x7ffff7fbf000, 8192, PROT_READ) = 0",
  "1  madvise(0x7ffff7fc0000, 8192, MADV_DONTNEED) = -1 ENOMEM (Cannot allocate memory)",
  "1  mremap(0x7ffff7fc0000, 8192, 12288, MREMAP_MAYMOVE) = 0x7ffff7fbc000",
  "1  mremap(0x7ffff7fc0000, 8192, 12288, 0) = -1 EINVAL (Invalid argument)"
])("what is determined is judged: %s is none of Linux's answers", (line) => {
  expect(after(line)).toEqual(["differs"])
})

it("memory that was there before: what happens to it is taken over, and known from then on", () => {
  expect(
    after(`
1  mprotect(0x7ffff7ff0000, 8192, PROT_READ) = 0
1  mprotect(0x7ffff7ff0000, 4096, PROT_READ|PROT_WRITE) = 0
1  mprotect(0x7ffff7ff0000, 12288, PROT_NONE) = -1 ENOMEM (Cannot allocate memory)
1  munmap(0x7ffff7ff0000, 8192)      = 0
${map(2, "0x7ffff7ff0000")}
1  mprotect(0x7ffff7fd0000, 4096, PROT_READ) = -1 EINVAL (Invalid argument)
1  mprotect(0x7ffff7fd0000, 4096, PROT_READ) = -1 EACCES (Permission denied)
1  mmap(0x7ffff7fd0000, 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x7ffff7fd0000
1  msync(0x7ffff7fe0000, 4096, MS_ASYNC) = 0
1  mremap(0x7ffff7fe0000, 4096, 8192, MREMAP_MAYMOVE) = 0x7ffff7fbe000
1  mremap(0x7ffff7fbe000, 8192, 4096, 0) = 0x7ffff7fbe000`)
  ).toEqual([BEFORE, "agreed", BEFORE, "agreed", "agreed", "differs", "differs", "agreed", BEFORE, BEFORE, "agreed"])
})

it("of what was there before only holes are possible in which nothing found room yet", () => {
  expect(after(map(1, "0x7ffff7fe0000"))).toEqual([HOLE])
  expect(after(map(2, "0x7ffff7fe0000"))).toEqual(["differs"])
  expect(after([map(1, "0x7ffff7fbf000"), map(1, "0x7ffff7fe0000")].join("\n"))).toEqual(["agreed", "differs"])
  // a hole that becomes larger may be larger still
  const freed = "1  munmap(0x7ffff7fd0000, 8192) = 0"
  expect(after([freed, map(4, "0x7ffff7fd0000")].join("\n"))).toEqual(["agreed", HOLE])
})

it("hints: what is asked for is got if it is free; nobody knows where the log shows nothing", () => {
  expect(
    after(`
${map(1, "0x10000000000", "0x10000000000")}
${map(1, "0x10000001000", "0x10000001000")}
${map(1, "0x7ffff7fbf000", "0x10000000000")}
${map(1, "0x600000000000", "0x600000000000")}
${map(1, "0x7ffff7fbe000", "0x10000002000")}
1  mmap(0x20000000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = 0x20000000000
1  mmap(0x20000000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = -1 EEXIST (File exists)
1  mmap(0x30000000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = -1 EEXIST (File exists)`)
  ).toEqual([PLACE, PLACE, "agreed", "agreed", "agreed", PLACE, "agreed", PLACE])
})

it("the heap: growth into what nobody knows, against what is known", () => {
  const { verdicts } = replay(`
1  execve("/bin/x", ["x"], [])       = 0
1  brk(NULL)                         = 0x1000000
1  brk(0x1000d00)                    = 0x1000d00
1  brk(0x1022000)                    = 0x1022000
1  mmap(0x1030000, 4096, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x1030000
1  brk(0x1030000)                    = 0x1022000
1  brk(0x102f000)                    = 0x102f000`)
  const ABOVE = "unanchored: what is mapped above the heap"
  expect(valuesOf(verdicts)).toEqual(["unanchored: where the heap is", ABOVE, ABOVE, "agreed", "agreed", ABOVE])
})

it("a child has its parent's map, and goes its own way; a new program begins anew", () => {
  const { verdicts } = replay(`${start}
1  fork()                            = 2
${map(1, "0x7ffff7fbf000", "NULL", 2)}
${map(3, "0x7ffff7fbd000", "NULL", 1)}
${map(1, "0x7ffff7fbe000", "NULL", 2)}
2  execve("/bin/y", ["y"], [])       = 0
${map(2, "0x7ffff7faa000", "NULL", 2)}
2  brk(NULL)                         = 0x555555570000
2  brk(0x555555571000)               = 0x555555571000
2  +++ exited with 0 +++
${map(1, "0x7ffff7fbc000", "NULL", 1)}`)
  expect(valuesOf(verdicts).slice(2)).toEqual([
    "agreed",
    "agreed",
    "agreed",
    "unanchored: where the first search begins",
    "unanchored: where the heap is",
    "agreed",
    "agreed"
  ])
})

it("a vfork's child is in its parent's memory until it executes a program", () => {
  const { differs } = replay(`${start}
1  vfork( <unfinished ...>
${map(1, "0x7ffff7fbf000", "NULL", 2)}
2  execve("/bin/y", ["y"], [] <unfinished ...>
1  <... vfork resumed>)              = 2
2  <... execve resumed>)             = 0
${map(1, "0x7ffff7fbe000", "NULL", 1)}`)
  expect(differs).toEqual([])
})

it("areas merge if they map one open file, not if they map one path", () => {
  const maps = (second: string): string => `
1  openat(AT_FDCWD, "/f", O_RDWR)    = 3
1  mmap(NULL, 8192, PROT_READ, MAP_SHARED, 3, 0) = 0x7ffff7fbe000
1  ${second}
1  mmap(0x7ffff7fbf000, 4096, PROT_READ, MAP_SHARED|MAP_FIXED, 4, 0x1000) = 0x7ffff7fbf000
1  mremap(0x7ffff7fbe000, 8192, 12288, MREMAP_MAYMOVE) = 0x7ffff7fbb000`
  expect(after(maps("dup(3) = 4"))).toEqual(["other", "agreed", "other", "agreed", "agreed"])
  expect(after(maps('openat(AT_FDCWD, "/f", O_RDWR) = 4'))).toEqual(["other", "agreed", "other", "agreed", "differs"])
})

it("a file that was opened for reading is not written to through a shared mapping", () => {
  expect(
    after(`
1  openat(AT_FDCWD, "/f", O_RDONLY)  = 3
1  mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0) = -1 EACCES (Permission denied)
1  mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0) = 0x7ffff7fbf000
1  mprotect(0x7ffff7fbf000, 4096, PROT_READ|PROT_WRITE) = -1 EACCES (Permission denied)
1  mmap(NULL, 4096, PROT_READ, MAP_SHARED, -1, 0) = -1 EBADF (Bad file descriptor)
1  mmap(NULL, 4096, PROT_READ, MAP_SHARED, 9, 0) = -1 EBADF (Bad file descriptor)`)
  ).toEqual([
    "other",
    "agreed",
    "agreed",
    "agreed",
    "agreed",
    "unanchored: what a descriptor is that nobody saw being opened"
  ])
})

it("whether a file system places files for huge pages is told by the first file, and judged from the second on", () => {
  const open = (path: string): string => `1  openat(AT_FDCWD, "${path}", O_RDONLY) = 3`
  const at = (where: string): string => `1  mmap(NULL, 4194304, PROT_READ, MAP_PRIVATE, 3, 0) = ${where}`
  const aligned = at("0x7ffff7a00000")
  const packed = at("0x7ffff7bc0000")
  expect(after([open("/usr/a"), aligned].join("\n"))).toEqual(["other", "agreed"])
  const SYSTEM = "unanchored: whether the file system places files for huge pages"
  expect(after([open("/usr/a"), packed].join("\n"))).toEqual(["other", SYSTEM])
  expect(after([open("/usr/a"), packed, open("/usr/b"), at("0x7ffff77c0000")].join("\n"))).toEqual([
    "other",
    SYSTEM,
    "other",
    "agreed"
  ])
  expect(after([open("/usr/a"), packed, open("/usr/b"), at("0x7ffff7600000")].join("\n"))).toEqual([
    "other",
    SYSTEM,
    "other",
    "differs"
  ])
})

it("private memory of whole 2 MiB blocks is placed on one, with room to spare that small mappings use", () => {
  expect(after([map(512, "0x7ffff7c00000"), map(1, "0x7ffff7fbf000"), map(448, "0x7ffff7a40000")].join("\n"))).toEqual([
    "agreed",
    "agreed",
    "agreed"
  ])
  const { verdicts } = replay(`
1  execve("/bin/x", ["x"], [])       = 0
${map(512, "0x7ffff7c00000")}
${map(1, "0x7ffff7fff000")}
${map(1, "0x7ffff7ffe000")}
${map(1, "0x7ffff7ff0000")}`)
  expect(valuesOf(verdicts)).toEqual(["unanchored: where the first search begins", HOLE, "agreed", "differs"])
})

it("below 2 GiB a search goes up, from anywhere in the first 32 MiB", () => {
  const low = (at: string): string =>
    `1  mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_32BIT, -1, 0) = ${at}`
  const LOW = "unanchored: where below 2 GiB a search begins"
  expect(after([low("0x40000000"), low("0x40001000"), low("0x41234000")].join("\n"))).toEqual([LOW, LOW, LOW])
  // what lies below it nobody knows
  expect(after(low("0x50000000"))).toEqual([LOW])
  expect(after(low("0x7ffff7fbf000"))).toEqual(["differs"])
})

it("what is refused for want of memory or by a limit is open only where the log leaves it open", () => {
  const no = "-1 ENOMEM (Cannot allocate memory)"
  expect(after(map(2 ** 17, no))).toEqual(["unanchored: how much memory the machine has"])
  expect(after(map(2 ** 10, no))).toEqual(["differs"])
  expect(
    after(["1  setrlimit(RLIMIT_AS, {rlim_cur=1024*1024, rlim_max=RLIM64_INFINITY}) = 0", map(2 ** 10, no)].join("\n"))
  ).toEqual(["other", "unanchored: how near the process is to its limits"])
  expect(after(`1  mlock(0x7ffff7fc0000, 8192) = ${no}`)).toEqual(["unanchored: how much memory the process may lock"])
  expect(after("1  mlock(0x7ffff7fc0000, 8192) = 0")).toEqual(["agreed"])
  expect(after("1  mlock(0x7ffff7fc0000, 8192) = -1 EINVAL (Invalid argument)")).toEqual(["differs"])
})

it("advice: what the areas say is judged, what only pages say is not", () => {
  const advise = (what: string, answer: string): readonly string[] =>
    after(`1  madvise(0x7ffff7fc0000, 8192, ${what}) = ${answer}`)
  expect(advise("MADV_POPULATE_WRITE", "0")).toEqual(["agreed"])
  expect(advise("MADV_POPULATE_WRITE", "-1 EFAULT (Bad address)")).toEqual(["differs"])
  expect(advise("0x66 /* MADV_??? */", "0")).toEqual(["agreed"])
  expect(advise("0x66 /* MADV_??? */", "-1 EINVAL (Invalid argument)")).toEqual([
    "unanchored: what the kernel was built with"
  ])
  expect(advise("MADV_COLLAPSE", "-1 EAGAIN (Resource temporarily unavailable)")).toEqual([
    "unanchored: which pages were there"
  ])
  expect(advise("MADV_DONTNEED", "-1 EINVAL (Invalid argument)")).toEqual(["differs"])
})

it("protection keys that were got can be given to memory; of others the log does not tell", () => {
  const protect = (key: number): string => `1  pkey_mprotect(0x7ffff7fc0000, 4096, PROT_READ, ${key}) = 0`
  expect(after(["1  pkey_alloc(0, 0) = 1", protect(1), protect(-1), protect(2)].join("\n"))).toEqual([
    "other",
    "agreed",
    "agreed",
    "unanchored: which protection keys there are"
  ])
})

it("a kernel may lack a call, but none of those that every one has", () => {
  const missing = "-1 ENOSYS (Function not implemented)"
  expect(after(`1  mseal(0x7ffff7fc0000, 4096, 0) = ${missing}`)).toEqual([
    "unanchored: what the kernel was built with"
  ])
  expect(after(`1  munmap(0x7ffff7fc0000, 4096) = ${missing}`)).toEqual(["differs"])
})

it("System V segments by the log's numbers; of one that it does not show made nobody knows the size", () => {
  expect(
    after(`
1  shmget(IPC_PRIVATE, 8192, IPC_CREAT|0600) = 32768
1  shmat(32768, NULL, 0)             = 0x7ffff7fbe000
1  shmat(32768, NULL, SHM_RDONLY)    = 0x7ffff7fbc000
1  shmdt(0x7ffff7fbe000)             = 0
1  shmdt(0x7ffff7fbe000)             = -1 EINVAL (Invalid argument)
1  shmctl(32768, IPC_RMID, NULL)     = 0
1  shmat(5, NULL, 0)                 = 0x7ffff7fb0000
${map(1, "0x7ffff7fbf000")}`)
  ).toEqual(["other", "agreed", "agreed", "agreed", "agreed", "other", "unanchored: how large a segment is", "agreed"])
})

it("searches that go up, as in the legacy layout, are known by the second one", () => {
  const { verdicts } = replay(`
1  execve("/bin/x", ["x"], [])       = 0
1  brk(NULL)                         = 0x555555560000
${map(2, "0x2aaaaaac0000")}
${map(3, "0x2aaaaaac2000")}
1  munmap(0x2aaaaaac0000, 4096)      = 0
${map(1, "0x2aaaaaac0000")}
${map(1, "0x2aaaaaac6000")}`)
  expect(valuesOf(verdicts)).toEqual([
    "unanchored: where the heap is",
    "unanchored: where the first search begins",
    "unanchored: in which direction searches go",
    "agreed",
    "agreed",
    "differs"
  ])
})

it("with an unlimited stack searches begin below the program, and never come near its heap", () => {
  const { differs } = replay(`
1  execve("/bin/x", ["x"], [])       = 0
1  brk(NULL)                         = 0x555555560000
${map(2, "0x1555554f0000")}
1  brk(0x555555581000)               = 0x555555581000
1  brk(0x555555571000)               = 0x555555571000
${map(1, "0x1555554ef000")}`)
  expect(differs).toEqual([])
})

it("a ring of io_setup reaches from where it is up to what is above it", () => {
  const rings = "unanchored: how large rings of io_setup are"
  expect(
    after(`
1  io_setup(128, [0x7ffff7fbd000])   = 0
${map(1, "0x7ffff7fbc000")}
1  io_destroy(0x7ffff7fbd000)        = 0
${map(3, "0x7ffff7fbd000")}
1  io_setup(128, [0x7ffff7f00000])   = -1 EAGAIN (Resource temporarily unavailable)
1  io_setup(128, [0x7ffff7fbd000])   = 0`)
  ).toEqual([rings, "agreed", rings, "agreed", rings, "differs"])
})

it("what a device maps is taken over: drivers choose the place", () => {
  expect(
    after(`
1  openat(AT_FDCWD, "/dev/dri/card0", O_RDWR) = 3
1  mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_SHARED, 3, 0x100000) = 0x7ffff7fb0000
1  munmap(0x7ffff7fb0000, 8192)      = 0
1  memfd_create("huge", MFD_HUGETLB) = 4</memfd:huge>(deleted)
1  mmap(NULL, 2097152, PROT_READ, MAP_SHARED, 4</memfd:huge>(deleted), 0) = 0x7ffff7a00000`)
  ).toEqual([
    "other",
    "unanchored: what a device maps, and where",
    "agreed",
    "other",
    "unanchored: what a device maps, and where"
  ])
})

it("a program that strace attached to: what it frees is known, the rest is not", () => {
  const { verdicts } = replay(`
1  munmap(0x7ffff7d00000, 16384)     = 0
${map(2, "0x7ffff7d02000")}
${map(2, "0x7ffff7d00000")}
${map(1, "0x7ffff7a00000")}
${map(2, "0x7ffff7a01000")}
1  brk(0x555555581000)               = 0x555555581000
1  brk(0x555555560000)               = 0x555555560000
1  brk(NULL)                         = 0x555555560000`)
  expect(valuesOf(verdicts)).toEqual([
    "agreed",
    "agreed",
    "agreed",
    HOLE,
    "differs",
    "unanchored: where the heap is",
    "agreed",
    "agreed"
  ])
})

it("a log of memory calls alone: programs are known by their first question, threads by there being only one process", () => {
  const { differs, verdicts } = replay(`
10  brk(NULL)                        = 0x555555560000
${map(2, "0x7ffff7fc0000", "NULL", 10)}
${map(1, "0x7ffff7fbf000", "NULL", 11)}
${map(1, "0x7ffff7fbe000", "NULL", 10)}
12  brk(NULL)                        = 0x555555570000
${map(2, "0x7ffff7fb0000", "NULL", 12)}
${map(1, "0x7ffff7faf000", "NULL", 12)}
${map(1, "0x7ffff7fbd000", "NULL", 11)}`)
  expect(differs).toEqual([])
  expect(valuesOf(verdicts).filter((text) => text === "agreed")).toHaveLength(4)
})

it("calls that never returned, and arguments that nobody can read, are taken over as far as the log shows", () => {
  const { verdicts } = replay([
    ...linesOf(start),
    "1  madvise(0x7ffff7fc0000, 8192, MADV_DONTNEED) = ?",
    map(1, "0x7ffff7fbf000"),
    "1  munmap(0x7ffff7fc0000, 4096 <unfinished ...>"
  ])
  expect(valuesOf(verdicts).slice(2)).toEqual([
    "unanchored: calls that never returned",
    "agreed",
    "unanchored: calls that never returned"
  ])
})

it("a fault in memory that is known says whether it is mapped", () => {
  const fault = (code: string, addr: string): readonly string[] =>
    after(`1  --- SIGSEGV {si_signo=SIGSEGV, si_code=${code}, si_addr=${addr}} ---`)
  expect(fault("SEGV_MAPERR", "0x7ffff7fbf000")).toEqual(["agreed"])
  expect(fault("SEGV_ACCERR", "0x7ffff7fc0010")).toEqual(["agreed"])
  expect(fault("SEGV_MAPERR", "0x7ffff7fc0010")).toEqual(["differs"])
  expect(fault("SEGV_ACCERR", "0x7ffff7fbf000")).toEqual(["differs"])
  expect(fault("SEGV_MAPERR", "0x7ffff7fe0000")).toEqual(["other"])
})

it("a difference is taken over: what follows from it is no second one", () => {
  expect(
    after(`
${map(1, "0x7ffff7f00000")}
${map(1, "0x7ffff7fbf000")}
1  munmap(0x7ffff7f00000, 4096)      = 0
1  mprotect(0x7ffff7f00000, 4096, PROT_READ) = -1 ENOMEM (Cannot allocate memory)
1  munmap(0x7ffff7fbf000, 4096)      = -1 ENOMEM (Cannot allocate memory)
1  mprotect(0x7ffff7fbf000, 4096, PROT_READ) = 0`)
  ).toEqual(["differs", "agreed", "agreed", "agreed", "differs", "agreed"])
})
