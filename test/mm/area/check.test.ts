/** A check that cannot fail checks nothing: one corruption for each sentence that checkMm and checkIdle can say. */
import { readdirSync, readFileSync } from "node:fs"
import { afterAll, describe, expect, it } from "vitest"
import { VM_UFFD_MISSING } from "../../../lib/flags/bits.ts"
import { SHARED } from "../../../lib/flags/MapFlags.ts"
import { READ, WRITE } from "../../../lib/flags/ProtFlags.ts"
import { PRESENT } from "../../../lib/flags/PteFlags.ts"
import * as UFFD from "../../../lib/flags/UffdFlags.ts"
import { uffdCreate, uffdGet } from "../../../lib/mm/area/uffd.ts"
import { checkIdle, checkMm, findings } from "../../../lib/mm/area/check.ts"
import { READ as READ_LOCK } from "../../../lib/mm/base/stop.ts"
import type { Kernel } from "../../../lib/mm/kernel.ts"
import { createFile, installFd, openPath, writeObject } from "../../../lib/mm/object/file.ts"
import { follow } from "../../../lib/mm/page/walk.ts"
import { FILE_REGULAR, FMODE_READ, FMODE_WRITE } from "../../../lib/mm/store/files.ts"
import { F_EXCLUSIVE } from "../../../lib/mm/store/frames.ts"
import { RSS_ANON, TOTAL_VM } from "../../../lib/mm/store/mms.ts"
import type { Segment } from "../../../lib/mm/store/shm.ts"
import { Q_EVENTS, Q_READ, Q_READERS } from "../../../lib/mm/store/uffds.ts"
import { VMA_DETACHED } from "../../../lib/mm/store/vmas.ts"
import { fork } from "../../../lib/mm/sys/process.ts"
import { shmat, shmget } from "../../../lib/mm/sys/shm.ts"
import { uffdRegister } from "../../../lib/mm/sys/uffd-register.ts"
import { installUffd, uffdApi, userfaultfd } from "../../../lib/mm/sys/userfaultfd.ts"
import { userLoad8, userStore8 } from "../../../lib/mm/sys/trap.ts"
import { bootTiny, call, HERE, spawnTask } from "../../../lib/proof/testing/calls.ts"
import { mapPicture } from "../../../lib/proof/testing/picture.ts"

/** A world with some of everything: written and read areas, a file mapped twice, a fork, a tree of two levels. */
interface Scene {
  readonly k: Kernel
  readonly task: number
  readonly mm: number
  /** An area that was written to, another that was not, and two of one file. */
  readonly written: number
  readonly fresh: number
  readonly files: readonly [number, number]
  readonly obj: number
  /** A page of the written area that its fork's child shares, and one of the file. */
  readonly shared: number
  readonly cached: number
  /** Top node of the tree of a process with forty areas. */
  readonly root: number
  readonly big: number
  /** A segment that is attached once. */
  readonly segment: Segment
  /** A userfaultfd that is open once, and the area that it answers for. */
  readonly uffd: number
  readonly answered: number
}

function scene(): Scene {
  const k = bootTiny({ frames: 128 })
  const task = spawnTask(k)
  const mm = k.tasks.mm(task)
  createFile(k, "/f", FILE_REGULAR, 0)
  writeObject(k, k.paths.get("/f")!.obj, 0, new Uint8Array(3 * 4096).fill(9))
  installFd(k, task, openPath(k, "/f", FMODE_READ | FMODE_WRITE))
  mapPicture(k, task, "aab.f.f..a", { f: { prot: READ | WRITE, flags: SHARED, fd: 0, pgoff: -4 } })
  for (const page of [0, 4]) userStore8(k, mm, (HERE + page) * 4096, 7)
  call(k, () => fork(k, task, "child"))
  userLoad8(k, mm, HERE * 4096)
  const id = shmget(k, task, 0, 4096, 0o600)
  call(k, () => shmat(k, task, id, (HERE + 20) * 4096, 0))
  const fd = userfaultfd(k, task, 0)
  uffdApi(k, task, fd, UFFD.API, 0)
  call(k, () => uffdRegister(k, task, fd, (HERE + 9) * 4096, 4096, UFFD.REGISTER_MODE_MISSING))
  const big = spawnTask(k, "big")
  mapPicture(k, big, "a.".repeat(40))
  const v = (page: number): number => k.maple.lookup(mm, HERE + page)
  return {
    k,
    task,
    mm,
    written: v(0),
    fresh: v(2),
    files: [v(4), v(6)],
    obj: k.vmas.obj(v(4)),
    shared: follow(k, mm, HERE),
    cached: follow(k, mm, HERE + 4),
    root: k.maple["root"][k.tasks.mm(big)]!,
    big: k.tasks.mm(big),
    segment: k.shm.find(id)!,
    uffd: k.files.private(k.tasks.file(task, fd)),
    answered: v(9)
  }
}

/** A run that waits in a queue of userfaultfd `c`, and says `event`; it holds what it should. */
function waits(k: Kernel, c: number, queue: number, event: number, of = 0): void {
  const r = k.runs.alloc(0)
  k.runs.current = r
  k.uffds.setMessage(r, event, 0, of, 0, 0)
  k.runs.enqueue(k.runs.uffdQueue(c, queue))
  uffdGet(k, c)
  if (queue === Q_EVENTS) k.uffds.addChanging(c, 1)
}

/** Puts the lower of two mappings of `obj` above the other. */
function turnOver(k: Kernel, obj: number): void {
  const links = k.mappings["links"]
  const root = k.mappings["roots"][obj]!
  const side = links[root << 2] === 0 ? 1 : 0
  const below = links[(root << 2) + side]!
  links[(root << 2) + side] = 0
  links[(root << 2) + 2] = below
  links[(below << 2) + (side ^ 1)] = root
  links[(below << 2) + 2] = 0
  k.mappings["roots"][obj] = below
}

/** Frees a userfaultfd that is open. */
function freeUffd(k: Kernel, c: number): void {
  k.uffds.addRefs(c, -1)
  k.uffds.free(c)
}

/** What is broken, and the sentence that must be said of it. */
const corruptions: readonly (readonly [says: RegExp, what: (s: Scene) => void])[] = [
  [/is in the tree of mm \d+ but not attached/, ({ k, written }) => k.vmas.setState(written, VMA_DETACHED)],
  [/is in the tree of mm \d+ and says mm 7/, ({ k, written }) => k.vmas.setMm(written, 7)],
  [/has bounds \[65536, 65536\)/, ({ k, written }) => (k.vmas.end[written] = HERE)],
  [/has anon_vma 99 but no link to it/, ({ k, written }) => k.vmas.setAnon(written, 99)],
  [/is linked to anon_vmas of two families/, ({ k, written }) => k.anon.prepare(written, 0)],
  [/has links but no anon_vma/, ({ k, written }) => k.vmas.setAnon(written, 0)],
  [/tree nodes are in use, the trees have/, ({ k }) => k.maple.live++],
  [/areas are in use, the trees have/, ({ k, mm }) => k.vmas.alloc(mm, 1, 2)],
  [/is in the mapping set of object \d+ and says 0/, ({ k, files }) => k.vmas.setObj(files[0], 0)],
  [/hangs below \d+, says 77/, ({ k, files }) => files.forEach((v) => (k.mappings["links"][(v << 2) + 2] = 77))],
  [/in the mapping set of object \d+ reaches 77/, ({ k, files }) => (k.mappings["reach"][files[0]] = 77)],
  [/comes after area \d+ in the mapping set/, ({ k, files }) => files.forEach((v, i) => k.vmas.setPgoff(v, 9 - i))],
  [/lies below \d+ in a mapping set, expected above/, ({ k, obj }) => turnOver(k, obj)],
  [/counts \d+ mappings, its set has/, ({ k, obj }) => k.mappings["sizes"][obj]!++],
  [/counts \d+ writable mappings and has/, ({ k, obj }) => k.files.addWritable(obj, 1)],
  [/is 0 times in the mapping set of object/, ({ k, obj, files }) => k.mappings.remove(obj, files[1])],
  [/file \d+ is freed and \d+ still hold it/, ({ k, files }) => (k.files["fi"][(k.vmas.file(files[0]) << 3) + 3] = 0)],
  [/file \d+ has \d+ references and \d+ holders/, ({ k, files }) => k.files.addFileRefs(k.vmas.file(files[0]), -1)],
  [/total_vm of mm \d+ is \d+, its areas have/, ({ k, mm }) => k.mms.addStat(mm, TOTAL_VM, 1)],
  [/pages are committed, areas and objects account for/, ({ k }) => k.committed++],
  [/address spaces wait for their teardown/, ({ k, mm }) => k.deferredMmput.push(mm)],
  [/references, entries and caches hold/, ({ k, cached }) => k.frames.get(cached)],
  [/is page \d+ of object \d+, and says page/, ({ k, cached }) => k.frames.clearCache(cached)],
  [/counts \d+ cached pages and has/, ({ k, obj }) => k.files.addCached(obj, 1)],
  [
    /entry of page \d+ of mm \d+ lies outside every area/,
    ({ k, mm }) => k.ptes.set(k.ptes.slotAlloc(k.mms.pgd(mm), HERE + 3), 0, PRESENT)
  ],
  [
    /table \d+ of mm \d+ says \d+ entries, it has/,
    ({ k, mm }) => k.ptes.pop[k.ptes.slot(k.mms.pgd(mm), HERE) >> 10]!++
  ],
  [/rss kind 1 of mm \d+ is \d+, its entries say/, ({ k, mm }) => k.mms.addRss(mm, RSS_ANON, 1)],
  [/mapcount of frame \d+ is \d+, \d+ entries map it/, ({ k, cached }) => k.frames.addMap(cached)],
  [/references, entries, caches and flushes hold/, ({ k, cached }) => k.frames.put(cached)],
  [/is exclusive and mapped 2 times/, ({ k, shared }) => k.frames.setFlag(shared, F_EXCLUSIVE)],
  [
    /frame \d+ is free and 1 entries map it/,
    ({ k, mm }) => {
      const p = k.frames.alloc()
      k.frames.put(p)
      k.ptes.set(k.ptes.slot(k.mms.pgd(mm), HERE), p, PRESENT)
    }
  ],
  [/the page of zeroes has 3 at byte 20/, ({ k }) => (k.frames.words[5] = 3)],
  [/page tables are in use, address spaces reach/, ({ k }) => k.ptes.newTable()],
  [/belongs to anon_vma 99, area \d+ maps it without a link/, ({ k, shared }) => k.frames.moveAnon(shared, 99)],
  [/belongs to object 31, area \d+ maps it and shows object/, ({ k, cached }) => k.frames.setCache(cached, 31, 0, 0)],
  [
    /is page 5 of what it belongs to, area \d+ maps it as page 0/,
    ({ k, cached, obj }) => k.frames.setCache(cached, obj, 5, 0)
  ],
  [
    /the TLB translates page \d+ of mm \d+ to frame \d+, its entry does not/,
    ({ k, mm }) => k.ptes.clear(k.ptes.slot(k.mms.pgd(mm), HERE))
  ],
  [/segment \d+ counts 2 attachments, and has 1/, ({ segment }) => segment.attached++],
  [/1 areas map segment \d+, which is gone/, ({ k, segment }) => k.shm.remove(segment)],
  [/userfaultfd \d+ is freed and 1 still hold it/, ({ k, uffd }) => freeUffd(k, uffd)],
  [/userfaultfd \d+ has 2 references and 1 holders/, ({ k, uffd }) => uffdGet(k, uffd)],
  [/2 userfaultfds are counted, there are 1/, ({ k }) => k.uffds.live++],
  [/run \d+ waits for userfaultfd 9, which is freed/, ({ k }) => waits(k, 9, Q_READERS, 0)],
  [/waits for a fault's answer with message 0/, ({ k, uffd }) => waits(k, uffd, Q_READ, 0)],
  [/waits to be heard with message 0/, ({ k, uffd }) => waits(k, uffd, Q_EVENTS, 0)],
  [/tells of userfaultfd 1, which somebody has/, ({ k, uffd }) => waits(k, uffd, Q_EVENTS, UFFD.EVENT_FORK, uffd)],
  [/has flags of a userfaultfd, and none/, ({ k, answered }) => k.vmas.setUffd(answered, 0)],
  [
    /has userfaultfd 1, and no flag of one/,
    ({ k, answered }) => k.vmas.setFlags(answered, k.vmas.flags(answered) & ~VM_UFFD_MISSING, 0)
  ],
  [/names userfaultfd 9, which is freed/, ({ k, answered }) => k.vmas.setUffd(answered, 9)],
  [/names userfaultfd 2, which is released/, ({ k, mm, answered }) => k.vmas.setUffd(answered, uffdCreate(k, mm, 0))],
  [
    /of mm \d+ names userfaultfd 2 of mm/,
    ({ k, task, big, answered }) => {
      const other = uffdCreate(k, big, 0)
      installUffd(k, task, other)
      k.vmas.setUffd(answered, other)
    }
  ],
  [/mm \d+ is freed and 1 still hold it/, ({ k, uffd }) => (k.uffds["i"][(uffd << 3) + 5] = 7)],
  [/mm \d+ has 1 references and 2 holders/, ({ k, mm }) => k.mms.addCount(mm, -1)],
  [
    /userfaultfd \d+ awaits 1 changes, nobody makes one/,
    ({ k, uffd }) => (uffdGet(k, uffd), k.uffds.addChanging(uffd, 1))
  ],
  [/userfaultfd \d+ is a child's, and nobody forks/, ({ k, big }) => k.uffds.setUnheard(uffdCreate(k, big, 0), true)],
  [/tree of mm \d+: empty node/, ({ k, root }) => (k.maple["cnt"][k.maple["kid"][root << 4]!] = 0)],
  [/key \d+ of area \d+ is not its end/, ({ k, written }) => (k.vmas.end[written] = HERE + 1)],
  [/gap \d+ below area \d+, expected/, ({ k, fresh }) => (k.vmas.start[fresh] = HERE + 1.5)],
  [/inner key of node/, ({ k, root }) => k.maple["key"][root << 4]!++],
  [/inner gap of node/, ({ k, root }) => k.maple["gap"][root << 4]!++],
  [/areas, counted 41/, ({ k, big }) => k.maple["count"][big]!++],
  [
    /free block 1 of order 1 is not aligned/,
    ({ k }) => {
      k.frames["head"][1] = 1
      k.frames["rec"][(1 << 3) + 6] = 0
    }
  ],
  [
    /free block \d+ does not point back to 0/,
    ({ k }) => k.frames["head"].forEach((p) => (k.frames["rec"][(p << 3) + 7] = p === 0 ? 0 : 5))
  ],
  [/frames are counted free, the lists hold/, ({ k }) => k.frames["freePages"]++],
  [
    /free frame \d+ has references/,
    ({ k }) => {
      const p = k.frames.alloc()
      k.frames.put(p)
      k.frames.get(p)
    }
  ],
  [
    /mmap lock of mm \d+ is not idle: state 1, 0 waiting/,
    ({ k, mm }) => {
      k.runs.current = k.runs.alloc(0)
      k.runs.tryLock(k.runs.mmapLock(mm), READ_LOCK)
    }
  ],
  [/1 verbs are still in flight/, ({ k }) => k.runs.alloc(0)]
]

/** Every sentence that a check of the core can say, as a pattern. */
function sentences(): RegExp[] {
  const top = new URL("../../../lib/mm/", import.meta.url)
  const files = readdirSync(top, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"))
  return files.flatMap((name) =>
    [...readFileSync(new URL(name, top), "utf8").matchAll(/\bwrong\.push\(\s*`([^`]*)`/g)].map(
      (match) =>
        new RegExp(
          match[1]!
            .split(/\$\{[^}]*\}/)
            .map((text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
            .join(".*")
        )
    )
  )
}

describe("checkMm and checkIdle", () => {
  const said: string[] = []

  it("find nothing in a world that is right", () => {
    const { k } = scene()
    expect(findings(k)).toEqual([])
    expect(() => checkMm(k)).not.toThrow()
    expect(() => checkIdle(k)).not.toThrow()
  })

  for (const [says, what] of corruptions)
    it(`say of a broken world: ${says.source}`, () => {
      const s = scene()
      what(s)
      let report = ""
      try {
        checkIdle(s.k)
      } catch (bug) {
        report = String(bug)
      }
      said.push(...report.split("\n").filter((line) => says.test(line)))
      expect(report).toMatch(says)
    })

  it("have no sentence that none of these breaks", () => {
    expect(sentences().filter((sentence) => !said.some((line) => sentence.test(line)))).toEqual([])
    expect(sentences().length).toBeGreaterThan(40)
  })

  it("checkMm holds while verbs are in flight and locks are held; checkIdle does not", () => {
    const { k, mm } = scene()
    k.runs.current = k.runs.alloc(0)
    k.runs.tryLock(k.runs.mmapLock(mm), READ_LOCK)
    expect(() => checkMm(k)).not.toThrow()
    expect(() => checkIdle(k)).toThrow(/the world is broken/)
  })

  afterAll(() => {
    said.length = 0
  })
})
