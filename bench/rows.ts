/** What is measured, and what it should cost: the targets of the design's performance.md. */

/** Programs that measure, each in a process of its own: V8 compiles for what a process has seen. */
export const groups = ["areas", "pages", "access", "boot", "rim", "api", "uffd", "objects", "proc", "replay"] as const
/** One of them. */
export type Group = (typeof groups)[number]

/** One operation. */
export interface Row {
  /** What the measuring programs print it under. */
  readonly id: string
  /** Which program measures it. */
  readonly group: Group
  readonly name: string
  /** Nanoseconds an operation may take. */
  readonly ns?: number
  /** Share of the rival's time it may take. */
  readonly ratio?: number
  /** Whom it is compared with: "kernel" is the host kernel's figure of the same id, else the id of a plain loop. */
  readonly rival?: string
}

/** The table, in print order. */
export const rows: readonly Row[] = [
  { id: "mmap.empty", group: "areas", name: "mmap + munmap, empty mm", ns: 250, ratio: 0.1, rival: "kernel" },
  { id: "mmap.60k", group: "areas", name: "mmap + munmap, 60,000 VMAs", ns: 700, ratio: 0.25, rival: "kernel" },
  { id: "fixed.60k", group: "areas", name: "munmap + mmap fixed, 60,000 VMAs", ns: 800, ratio: 0.45, rival: "kernel" },
  { id: "mprotect.60k", group: "areas", name: "mprotect pair, 60,000 VMAs", ns: 350, ratio: 0.4, rival: "kernel" },
  {
    id: "splitmerge.60k",
    group: "areas",
    name: "mprotect, merge 3 + split 3, 60,000 VMAs",
    ns: 2000,
    ratio: 0.5,
    rival: "kernel"
  },
  { id: "mremap", group: "areas", name: "mremap, move of 4 populated pages", ns: 500, ratio: 0.15, rival: "kernel" },
  { id: "mmap.now", group: "areas", name: "mmap + munmap through runNow, empty mm" },
  { id: "fault.write", group: "pages", name: "anonymous write fault", ns: 330, ratio: 0.3, rival: "kernel" },
  { id: "fault.read", group: "pages", name: "anonymous read fault", ns: 50, ratio: 0.1, rival: "kernel" },
  { id: "cow.zero", group: "pages", name: "copy on write, from the zero page", ns: 400, ratio: 0.3, rival: "kernel" },
  { id: "cow.fork", group: "pages", name: "copy on write, after fork", ns: 650, ratio: 0.4, rival: "kernel" },
  { id: "zap.page", group: "pages", name: "zap, per page", ns: 30, ratio: 0.15, rival: "kernel" },
  {
    id: "mprotect.page",
    group: "pages",
    name: "mprotect of populated pages, per page",
    ns: 10,
    ratio: 0.15,
    rival: "kernel"
  },
  { id: "fork.page", group: "pages", name: "fork, per page", ns: 16, ratio: 0.2, rival: "kernel" },
  { id: "fork.vma", group: "pages", name: "fork + exit, per VMA (every second has a page)", rival: "kernel" },
  { id: "insert", group: "pages", name: "vm_insert_page", ns: 40 },
  { id: "scan", group: "pages", name: "zap of 512 GiB, 40 empty leaf tables", ns: 2000 },
  { id: "load32", group: "access", name: "load32, TLB hit", ns: 4, ratio: 8, rival: "plain.load32" },
  { id: "load8", group: "access", name: "load8, TLB hit", ns: 4, ratio: 8, rival: "plain.load8" },
  { id: "store32", group: "access", name: "store32, TLB hit", ns: 4, ratio: 8, rival: "plain.store32" },
  { id: "unaligned", group: "access", name: "load32, unaligned, in one page", ns: 6 },
  { id: "crossing", group: "access", name: "load32, across pages", ns: 25 },
  { id: "miss", group: "pages", name: "load32, TLB miss, entry good", ns: 50 },
  { id: "frame", group: "access", name: "frame: alloc + put", ns: 10 },
  { id: "frame.zeroed", group: "access", name: "frame: alloc zeroed + put", ns: 80 },
  { id: "boot.64", group: "boot", name: "boot of a 64-frame world", ns: 50_000 },
  { id: "rim.floor", group: "rim", name: "Effect.suspend alone (what Effect charges)" },
  { id: "rim.plain", group: "rim", name: "rim: a plain verb under a guard", ns: 120 },
  { id: "rim.door", group: "rim", name: "rim: door of an empty verb", ns: 300 },
  { id: "rim.mmap", group: "rim", name: "rim: mmap + munmap, empty mm" },
  { id: "api.section", group: "api", name: "Locked.mmapRead, empty body", ns: 300 },
  { id: "api.mmap", group: "api", name: "Task.mmap + Task.munmap" },
  { id: "api.loadBytes", group: "api", name: "Task.loadBytes of 64 pages, per page", ns: 4096 },
  { id: "api.storeBytes", group: "api", name: "Task.storeBytes of 64 pages, per page", ns: 4096 },
  { id: "api.load", group: "api", name: "Task.load32, TLB hit" },
  {
    id: "uffd.fault",
    group: "uffd",
    name: "userfaultfd: read fault, read, COPY, wake; two fibers",
    ns: 20_000,
    rival: "kernel"
  },
  { id: "uffd.wp", group: "uffd", name: "userfaultfd: write fault, read, WRITEPROTECT; two fibers", rival: "kernel" },
  { id: "uffd.core", group: "uffd", name: "userfaultfd: read fault, read, COPY, wake; verbs alone", rival: "kernel" },
  { id: "uffd.copy", group: "uffd", name: "UFFDIO_COPY of 64 pages, per page", rival: "kernel" },
  { id: "uffd.copy.bytes", group: "uffd", name: "UFFDIO_COPY of 64 pages of plain bytes, per page" },
  { id: "uffd.fill", group: "uffd", name: "copyPage of 64 pages of plain bytes, per page", ns: 4096 },
  { id: "object.file", group: "objects", name: "file: fault that maps 4 cached pages, + invalidation" },
  {
    id: "object.own",
    group: "objects",
    name: "object: translate + install of 4 pages, + invalidation",
    ratio: 1.5,
    rival: "object.file"
  },
  { id: "object.invalidate", group: "objects", name: "invalidation of a page, 100,000 mappings", ns: 5000 },
  { id: "maps.60k", group: "proc", name: "/proc/PID/maps of 60,000 VMAs, per VMA", ratio: 2, rival: "kernel" },
  { id: "smaps.60k", group: "proc", name: "/proc/PID/smaps of 60,000 VMAs, per VMA", ratio: 2, rival: "kernel" },
  { id: "replay.maps", group: "replay", name: "replay: a call of a recording with maps", ns: 50_000 },
  { id: "replay.maps.many", group: "replay", name: "replay: the same, with 30,000 areas", ns: 50_000 },
  { id: "replay.strace", group: "replay", name: "replay: a call of a strace log", ns: 50_000 },
  { id: "api.cpu", group: "api", name: "Task.cpu().load32, TLB hit" }
]
