/** The rows on /proc: lines, names, numbers. Whole files stand against the kernel's own in golden.test.ts. */
import { describe, expect, it } from "vitest"
import * as MADV from "../../../lib/flags/AdviceFlags.ts"
import { VM_ARCH_1, VM_HUGETLB, VM_MIXEDMAP, VM_SOFTDIRTY, VM_SYNC } from "../../../lib/flags/bits.ts"
import * as MAP from "../../../lib/flags/MapFlags.ts"
import type { StopName, Verb } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { unlinkPath } from "../../../lib/mm/object/file.ts"
import { maps } from "../../../lib/mm/proc/maps.ts"
import { pagemapRead } from "../../../lib/mm/proc/pagemap.ts"
import { flagLetters, smaps, smapsRollup } from "../../../lib/mm/proc/smaps.ts"
import { statm, status } from "../../../lib/mm/proc/status.ts"
import { FILE_ZERO, FMODE_READ } from "../../../lib/mm/store/files.ts"
import { END_CODE, START_CODE, START_STACK } from "../../../lib/mm/store/mms.ts"
import { brk } from "../../../lib/mm/sys/brk.ts"
import { memfdNamed, memfdSecret } from "../../../lib/mm/sys/memfd.ts"
import { mmap } from "../../../lib/mm/sys/mmap.ts"
import { runNow } from "../../../lib/mm/sys/run-now.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { HEAP } from "../../../lib/proof/testing/calls.ts"
import { A0, ANON, at, NONE, RO, RW, RX } from "../linux/words.ts"
import { type Proc, world } from "../linux/world.ts"

type TextFile = (k: Kernel, mm: number) => Verb<StopName, string>

const textOf = (p: Proc, file: TextFile): string => {
  const text: unknown = runNow(p.k, () => file(p.k, p.mm))
  if (typeof text !== "string") throw new Error("a file of /proc had to wait, and nobody else runs")
  return text
}
const linesOf = (p: Proc): readonly string[] => textOf(p, maps).split("\n").slice(0, -1)
/** Lines of maps from the name's column on. */
const names = (p: Proc): readonly string[] => linesOf(p).map((line) => line.slice(73))
/** The entry of the area at a page in smaps, as a table of its lines. */
function smapOf(p: Proc, page: `a${number}`): ReadonlyMap<string, string> {
  const entries = textOf(p, smaps).split(/^(?=[0-9a-f]+-)/m)
  const entry = entries.find((one) => one.startsWith(`${at(page).toString(16)}-`))!
  return new Map(
    entry.split("\n").flatMap((line) => {
      const [, label, value] = /^(\w+): +(.*)$/.exec(line) ?? []
      return label === undefined ? [] : [[label, value!.trim()] as const]
    })
  )
}
const sizes = (p: Proc, page: `a${number}`, ...labels: readonly string[]): string =>
  labels.map((label) => `${label} ${parseInt(smapOf(p, page).get(label)!, 10)}`).join(", ")

describe("a line of maps", () => {
  it("has bounds and offset in at least eight hex digits, the device in two, the inode in decimal [L-PROC-01]", () => {
    const p = world()
    const fd = p.open("/f", 4)
    const id = p.k.files.ids[p.k.paths.get("/f")!.obj]!
    expect(id).toMatch(/^fe:00 \d+$/)
    p.sys(mmap, 0x10000, 4096, RO, MAP.PRIVATE | MAP.FIXED, fd, 0)
    p.mmap("a0+2", RX, MAP.PRIVATE, fd, 1)
    p.sys(mmap, at("a4"), 4096, RW, MAP.PRIVATE | MAP.FIXED, fd, 2 ** 40)
    expect(linesOf(p).map((line) => line.slice(0, 73).trimEnd())).toEqual([
      `00010000-00011000 r--p 00000000 ${id}`,
      `200000000000-200000002000 r-xp 00001000 ${id}`,
      `200000004000-200000005000 rw-p 10000000000 ${id}`
    ])
  })

  it("has its name at the 74th character, or ends after one space [L-PROC-02]", () => {
    const p = world("a")
    const fd = p.open("/f")
    p.mmap("a4", RO, MAP.PRIVATE, fd)
    const [plain, file] = linesOf(p)
    expect(plain).toBe("200000000000-200000001000 rw-p 00000000 00:00 0 ")
    expect(file!.indexOf("/f")).toBe(73)
    expect(file!.slice(0, 73).trimEnd().length).toBeLessThan(72)
  })

  it("keeps one space before a name where the columns are longer than that [L-PROC-02]", () => {
    const p = world()
    const fd = p.open("/f")
    p.k.files.ids[p.k.paths.get("/f")!.obj] = "fe:00 18446744073709551615"
    p.mmap("a0", RO, MAP.PRIVATE, fd, 2 ** 47)
    expect(linesOf(p)).toEqual(["200000000000-200000001000 r--p 800000000000000 fe:00 18446744073709551615  /f"])
  })

  it("says s for what was mapped shared, also from a file that may only be read [L-PROC-03]", () => {
    const p = world("as")
    p.mmap("a4", RO, MAP.SHARED, p.open("/f", 4, FMODE_READ))
    p.mmap("a6", RO, MAP.PRIVATE, p.open("/f"))
    expect(linesOf(p).map((line) => line.split(" ")[1])).toEqual(["rw-p", "rw-s", "r--s", "r--p"])
    expect(p.flags("a4").split(" "), "which is no longer VM_SHARED").not.toContain("sh")
  })

  it("has an offset for files alone, the private zero device among them [L-PROC-04]", () => {
    const p = world("a")
    p.mmap("a4", RO, MAP.PRIVATE, p.open("/f"), 3)
    p.mmap("a8", RW, MAP.PRIVATE, p.special(FILE_ZERO, undefined, "/dev/zero"), 2)
    expect(p.offset("a0"), "an offset of its own").toBe("a0")
    expect(linesOf(p).map((line) => line.split(" ")[2])).toEqual(["00000000", "00003000", "00002000"])
  })
})

describe("a name", () => {
  it("is a file's path, where only newlines are escaped, and what was unlinked is deleted [L-PROC-05]", () => {
    const p = world()
    p.mmap("a0", RO, MAP.PRIVATE, p.open("/a\nb\tc\\d e"))
    p.mmap("a2", RO, MAP.PRIVATE, p.open("/gone"))
    p.mmap("a4", RO, MAP.PRIVATE, p.open("/stays"))
    unlinkPath(p.k, "/gone")
    p.mmap("a6", RO, MAP.PRIVATE, p.open("/gone")) // another file
    expect(names(p)).toEqual(["/a\\012b\tc\\d e", "/gone (deleted)", "/stays", "/gone"])
  })

  it("of memory without a path says what it is, and that it is deleted [L-PROC-05]", () => {
    const p = world("s")
    p.mmap("a4", RO, MAP.SHARED, memfdNamed(p.k, p.task, "x", 0))
    p.sys(shmat, Number(p.sys(shmget, 0, 4096, 0o600)), at("a8"), 0)
    p.mmap("a12", RW, MAP.SHARED, memfdSecret(p.k, p.task, 0))
    expect(names(p)).toEqual([
      "/dev/zero (deleted)",
      "/memfd:x (deleted)",
      "/SYSV00000000 (deleted)",
      "/secretmem (deleted)"
    ])
  })

  it("is [heap] for every area without a file that overlaps the heap [L-PROC-06]", () => {
    const p = world()
    p.sys(brk, HEAP * 4096 + 3 * 4096)
    p.sys(mmap, (HEAP + 4) * 4096, 4096, RO, ANON | MAP.FIXED, -1, 0)
    expect(names(p)).toEqual(["[heap]", ""])
    p.sys(mmap, (HEAP + 1) * 4096, 4096, RO, ANON | MAP.FIXED, -1, 0)
    expect(names(p)).toEqual(["[heap]", "[heap]", "[heap]", ""])
    p.sys(mmap, (HEAP + 1) * 4096, 4096, RO, MAP.PRIVATE | MAP.FIXED, p.open("/f"), 0)
    expect(names(p)).toEqual(["[heap]", "/f", "[heap]", ""])
    p.sys(mmap, (HEAP - 1) * 4096, 4096, RO, ANON | MAP.FIXED, -1, 0)
    expect(names(p), "what only touches it is not").toEqual(["", "[heap]", "/f", "[heap]", ""])
  })

  it("is [stack] for the piece that holds the start of the stack, its end included [L-PROC-07]", () => {
    const p = world("aaaaa")
    p.k.mms.setStat(p.mm, START_STACK, at("a4") + 100)
    expect(names(p)).toEqual(["[stack]"])
    p.mlock("a4")
    expect(names(p)).toEqual(["", "[stack]"])
    p.k.mms.setStat(p.mm, START_STACK, at("a4"))
    expect(names(p), "where one piece ends and the other starts").toEqual(["[stack]", "[stack]"])
    p.mmap("a4", RW, MAP.PRIVATE, p.open("/f"))
    expect(names(p)).toEqual(["[stack]", "/f"])
  })

  it("of a special mapping stays with it; the old system-call page comes last and is no area [L-PROC-08]", () => {
    const p = world("", { vsyscall: "xonly" }).placeSpecial("vvar", "a0+4").placeSpecial("vdso", "a4+2")
    const [vvar, vdso, gate] = linesOf(p)
    expect([vvar, vdso].map((line) => line!.slice(73))).toEqual(["[vvar]", "[vdso]"])
    expect(gate).toBe("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]")
    expect(textOf(p, smaps)).toMatch(/\[vsyscall\]\nSize: +4 kB\n[^]*Rss: +0 kB\n[^]*\nVmFlags: ex \n$/)
    expect(textOf(p, smapsRollup)).toMatch(/^200000000000-200000006000 /)
    expect(p.mremap("a4+2", "a10+2")).toBe("a10")
    expect(names(p)).toEqual(["[vvar]", "[vdso]", "[vsyscall]"])
    expect(names(world("", { vsyscall: "none" }))).toEqual([])
  })

  it("is never one that anonymous memory was given: nothing here gives it one [L-PROC-09]", () => {
    const p = world("as")
    p.write("a0+2")
    expect(names(p)).toEqual(["", "/dev/zero (deleted)"])
  })
})

const LABELS = [
  "Size",
  "KernelPageSize",
  "MMUPageSize",
  "Rss",
  "Pss",
  "Pss_Dirty",
  "Shared_Clean",
  "Shared_Dirty",
  "Private_Clean",
  "Private_Dirty",
  "Referenced",
  "Anonymous",
  "KSM",
  "LazyFree",
  "AnonHugePages",
  "ShmemPmdMapped",
  "FilePmdMapped",
  "Shared_Hugetlb",
  "Private_Hugetlb",
  "Swap",
  "SwapPss",
  "Locked",
  "THPeligible",
  "VmFlags"
]
const labelsOf = (text: string): readonly string[] => [...text.matchAll(/^(\w+):/gm)].map((match) => match[1]!)

describe("smaps", () => {
  it("has its lines in Linux's order, behind the line of maps [L-PROC-10]", () => {
    const p = world("a")
    expect(textOf(p, smaps).split("\n")[0]).toBe(linesOf(p)[0])
    expect(labelsOf(textOf(p, smaps))).toEqual(LABELS)
  })

  it("has numbers in eight columns behind sixteen of label; flags with a space behind each [L-PROC-11, L-PROC-12]", () => {
    const p = world("a")
    p.write("a0")
    const lines = textOf(p, smaps).split("\n").slice(1, -1)
    for (const line of lines.slice(0, -2)) expect(line).toMatch(/^[\w:]+ *\d+ kB$/)
    for (const line of lines.slice(0, -2)) expect(line).toHaveLength(27)
    expect(lines[3]).toBe("Rss:                   4 kB")
    expect(lines.at(-2)).toBe("THPeligible:           0")
    expect(lines.at(-1)).toBe("VmFlags: rd wr mr mw me ac ")
  })

  it("adds everything up in smaps_rollup, by kind, under one line from the first area to the last [L-PROC-13]", () => {
    const p = world("aa.s")
    p.mmap("a6+2", RW, MAP.PRIVATE, p.open("/f"))
    p.write("a0+2")
    p.write("a3")
    p.read("a6")
    const [head, ...lines] = textOf(p, smapsRollup).split("\n")
    expect(head).toBe("200000000000-200000008000 ---p 00000000 00:00 0                          [rollup]")
    const common = LABELS.slice(LABELS.indexOf("Rss"), LABELS.indexOf("THPeligible"))
    common.splice(common.indexOf("Pss_Dirty") + 1, 0, "Pss_Anon", "Pss_File", "Pss_Shmem")
    expect(labelsOf(lines.join("\n"))).toEqual(common)
    const table = new Map(lines.slice(0, -1).map((line) => [line.split(":")[0]!, parseInt(line.slice(16), 10)]))
    expect(["Rss", "Pss", "Pss_Anon", "Pss_File", "Pss_Shmem"].map((label) => table.get(label))).toEqual([
      20, 20, 8, 8, 4
    ])
  })

  it("splits pages by how often they are mapped and whether they are dirty; Pss shares them out [L-PROC-16]", () => {
    const p = world("aaaa")
    p.write("a0+4")
    p.mmap("a8+3", RW, MAP.SHARED, p.open("/f", 3))
    p.read("a8")
    p.write("a9")
    const all = [
      "Rss",
      "Pss",
      "Pss_Dirty",
      "Shared_Clean",
      "Shared_Dirty",
      "Private_Clean",
      "Private_Dirty",
      "Anonymous"
    ]
    expect(sizes(p, "a0", ...all)).toBe(
      "Rss 16, Pss 16, Pss_Dirty 16, Shared_Clean 0, Shared_Dirty 0, Private_Clean 0, Private_Dirty 16, Anonymous 16"
    )
    const child = p.fork()
    child.write("a0")
    const third = child.fork()
    // a0: the parent's own, and one that child and grandchild share; a1..a3 are everybody's
    expect(sizes(p, "a0", "Rss", "Pss", "Shared_Dirty", "Private_Dirty")).toBe(
      "Rss 16, Pss 7, Shared_Dirty 12, Private_Dirty 4"
    )
    expect(sizes(third, "a0", "Rss", "Pss", "Shared_Dirty", "Private_Dirty")).toBe(
      "Rss 16, Pss 5, Shared_Dirty 16, Private_Dirty 0"
    )
    third.madvise("a1+3", MADV.FREE)
    expect(sizes(third, "a0", "Shared_Clean", "Shared_Dirty", "LazyFree"), "clean in its own entries").toBe(
      "Shared_Clean 12, Shared_Dirty 4, LazyFree 12"
    )
    expect(sizes(p, "a8", "Rss", "Shared_Clean", "Private_Clean"), "a file's, which fork does not map").toBe(
      "Rss 12, Shared_Clean 0, Private_Clean 0"
    )
    child.read("a8+3")
    expect(sizes(p, "a8", "Rss", "Pss", "Shared_Dirty", "Anonymous")).toBe(
      "Rss 12, Pss 6, Shared_Dirty 12, Anonymous 0"
    )
  })

  it("keeps thirds of pages until they are added up [L-PROC-16]", () => {
    const p = world("aaaaaa")
    p.write("a0+6")
    p.fork().fork()
    expect(sizes(p, "a0", "Pss"), "not six times 1; a little is lost for each page, as in Linux").toBe("Pss 7")
    p.munmap("a5")
    expect(sizes(p, "a0", "Pss"), "6.67 is cut").toBe("Pss 6")
  })

  it("counts as used what was touched through the entry, or marked as used [L-PROC-16]", () => {
    const p = world("aa")
    p.write("a0+2")
    expect(sizes(p, "a0", "Referenced")).toBe("Referenced 8")
    const child = p.fork()
    expect(sizes(child, "a0", "Rss", "Referenced"), "copied entries are old").toBe("Rss 8, Referenced 0")
    child.read("a1")
    expect(sizes(child, "a0", "Referenced")).toBe("Referenced 4")
    child.exit()
    p.madvise("a0", MADV.COLD)
    expect(sizes(p, "a0", "Referenced")).toBe("Referenced 4")
  })

  it("has vvar and vdso with the flags that the kernel gives them [L-PROC-19]", () => {
    const p = world().placeSpecial("vvar", "a0+4").placeSpecial("vdso", "a4+2")
    expect(textOf(p, smaps).match(/^VmFlags:.*$/gm)).toEqual([
      "VmFlags: rd mr pf io de dd ",
      "VmFlags: rd ex mr mw me de "
    ])
  })

  it("has flags in the order of their bits [L-PROC-20]", () => {
    const every = ["rd wr ex sh mr mw me ms gd um pf gu uw lo io sr rr dc de lf ac nr ht sf ar wf dd sd mm hg nh mg"]
    expect(flagLetters(-1, 0)).toBe(every.join(" "))
    expect(flagLetters(0, -1)).toBe("ss ?? dp ui sl")
    expect(flagLetters(VM_HUGETLB | VM_SYNC | VM_ARCH_1 | VM_SOFTDIRTY | VM_MIXEDMAP, 0)).toBe("ht sf ar sd mm")
    const p = world("aa.aa")
    p.madvise("a0+2", MADV.GUARD_INSTALL)
    p.mlock("a3+2", 1)
    p.madvise("a3+2", MADV.DONTFORK)
    p.mseal("a3+2")
    expect([p.flags("a0"), p.flags("a3")]).toEqual(["rd wr mr mw me gu ac", "rd wr mr mw me lo dc lf ac sl"])
  })

  it("says of locked memory that its share of present pages is locked [L-PROC-21]", () => {
    const p = world("aaa|a")
    p.mlock("a0+3", 1)
    expect(sizes(p, "a0", "Locked"), "on fault: nothing is there").toBe("Locked 0")
    p.write("a0+2")
    expect(sizes(p, "a0", "Locked", "Pss")).toBe("Locked 8, Pss 8")
    p.fork()
    expect(sizes(p, "a0", "Locked", "Pss")).toBe("Locked 4, Pss 4")
    p.write("a3")
    expect(sizes(p, "a3", "Locked")).toBe("Locked 0")
  })
})

describe("status and statm", () => {
  it("status has its lines in Linux's order, a tab and eight columns [L-PROC-14]", () => {
    const p = world("aa.s.c")
    p.k.mms.setStat(p.mm, START_CODE, at("a5") + 0x100)
    p.k.mms.setStat(p.mm, END_CODE, at("a5") + 0x200)
    p.mmap("a8+2", RX, MAP.PRIVATE, p.open("/lib"))
    p.write("a0+2")
    p.write("a3")
    p.read("a8")
    p.mlock("a0")
    p.munmap("a1")
    expect(status(p.k, p.mm)).toBe(
      [
        "VmPeak:\t      24 kB",
        "VmSize:\t      20 kB",
        "VmLck:\t       4 kB",
        "VmPin:\t       0 kB",
        "VmHWM:\t      20 kB",
        "VmRSS:\t      16 kB",
        "RssAnon:\t       4 kB",
        "RssFile:\t       8 kB",
        "RssShmem:\t       4 kB",
        "VmData:\t       4 kB",
        "VmStk:\t       0 kB",
        "VmExe:\t       4 kB",
        "VmLib:\t       8 kB",
        "VmPTE:\t      12 kB",
        "VmSwap:\t       0 kB",
        "HugetlbPages:\t       0 kB",
        ""
      ].join("\n")
    )
  })

  it("the peak of address space is what there was at most, a move not counted twice [L-PROC-14]", () => {
    const p = world("aaaa")
    p.munmap("a0+3")
    expect(status(p.k, p.mm)).toMatch(/^VmPeak:\t +16 kB\nVmSize:\t +4 kB\n/)
    p.mmap("a8+6", RW)
    p.mremap("a8+6", "a16+6")
    expect(status(p.k, p.mm)).toMatch(/^VmPeak:\t +28 kB\nVmSize:\t +28 kB\n/)
  })

  it("statm has pages: size, resident, shared, text, 0, data and stack, 0 [L-PROC-15]", () => {
    const p = world("aa.s.c")
    p.k.mms.setStat(p.mm, START_CODE, at("a5"))
    p.k.mms.setStat(p.mm, END_CODE, at("a6") + 1)
    p.mmap("a8+2", RW, ANON | MAP.GROWSDOWN)
    p.write("a0+2")
    p.write("a3")
    p.read("a5")
    expect(statm(p.k, p.mm), "text as exec laid it out, more than is mapped").toBe("6 3 1 2 0 4 0\n")
  })
})

describe("pagemap", () => {
  const wordsOf = (p: Proc, page: number, pages: number, showPfn = false): string[] => {
    const bytes = new Uint8Array(pages * 8)
    runNow(p.k, () => pagemapRead(p.k, p.mm, showPfn, (A0 + page) * 8, pages * 8, bytes))
    return [...new BigUint64Array(bytes.buffer)].map((word) => word.toString(16))
  }

  it("has a word a page: present, marker, of a file, guard, mapped once; the page of zeroes is nobody's [L-PROC-17]", () => {
    const p = world("aaaaa.s")
    p.write("a0+2")
    p.read("a2")
    p.madvise("a4", MADV.GUARD_INSTALL)
    p.mprotect("a1", NONE)
    p.write("a6")
    expect(wordsOf(p, 0, 8)).toEqual([
      "8100000000000000",
      "8100000000000000",
      "8000000000000000",
      "0",
      "4400000000000000",
      "0",
      "a100000000000000",
      "0"
    ])
    const child = p.fork()
    child.read("a6")
    expect(wordsOf(p, 0, 7)).toEqual([
      "8000000000000000",
      "8000000000000000",
      "8000000000000000",
      "0",
      "4400000000000000",
      "0",
      "a000000000000000"
    ])
    const [own] = wordsOf(p, 0, 1, true)
    expect(wordsOf(child, 0, 1, true), "one frame").toEqual([own])
    expect(BigInt(`0x${own!}`) & ((1n << 55n) - 1n)).not.toBe(0n)
  })

  it("passes over raw frame numbers in a PFN map [L-PROC-17]", () => {
    const p = world().placeSpecial("vvar", "a0+4")
    expect(wordsOf(p, 0, 4)).toEqual(["0", "0", "0", "0"])
  })
})
