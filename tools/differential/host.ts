/** The machine that answers: may the recorder run here, and which of its properties change what the kernel answers? */
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync } from "node:fs"
import { release, tmpdir } from "node:os"
import { join } from "node:path"
import type { Host } from "../../lib/proof/conform/record.ts"
import { root } from "../run.ts"

/** What must be known of the host to generate, record and judge. */
export interface HostFacts {
  /** As the header of a recording has it. */
  readonly host: Host
  readonly json: string
  /** Can it be root's process that is recorded? */
  readonly isRoot: boolean
  /** Soft and hard limits in bytes that processes begin with. */
  readonly limits: ReadonlyMap<string, readonly [soft: number, hard: number]>
  /** Processors that may be used. */
  readonly cpus: readonly number[]
  /** Names of what this host does by itself, so that programs must leave it alone. */
  readonly avoids: ReadonlySet<Avoided>
  /** Sentences about that, for people. */
  readonly notes: readonly string[]
}

/** What programs must leave alone on some hosts: pages go out to swap, equal pages are merged, huge pages are made. */
export type Avoided = "pageout" | "ksm" | "huge" | "segments" | "above47" | "memfd"

/** Why nothing can be recorded here, and what would help. */
export class CannotRun extends Error {
  override readonly name = "CannotRun"
}

/** The compiled recorder and the folders it works in, until they are removed. */
export interface Workshop {
  readonly program: string
  /** On a tmpfs. */
  readonly files: string
  readonly folder: string
  readonly close: () => void
}

export const limitNumbers: Readonly<Record<string, number>> = { DATA: 2, STACK: 3, MEMLOCK: 8, AS: 9 }

const TMPFS_MAGIC = 0x01021994
const MIB = 2 ** 20
const sources = join(root, "tools", "recorder")

/** Compiles the recorder. Throws CannotRun. */
export function openWorkshop(): Workshop {
  if (process.platform !== "linux") throw new CannotRun(`this is ${process.platform}; run it on Linux`)
  if (process.arch !== "x64") throw new CannotRun(`the processor is ${process.arch}; the recorder knows x86-64 only`)
  const compiler = process.env["CC"] ?? "cc"
  const shared = tmpfs()
  const folder = mkdtempSync(join(tmpdir(), "pagewright-"))
  const files = mkdtempSync(join(shared, "pagewright-"))
  const close = (): void => {
    rmSync(folder, { recursive: true, force: true })
    rmSync(files, { recursive: true, force: true })
  }
  try {
    for (const each of [folder, files]) chmodSync(each, 0o755)
    const program = join(folder, "recorder")
    const units = readdirSync(sources).filter((name) => name.endsWith(".c"))
    const args = ["-O2", "-o", program, ...units.map((name) => join(sources, name))]
    const { error, status, stderr } = spawnSync(compiler, args, { encoding: "utf8" })
    if (error !== undefined) {
      throw new CannotRun(`no C compiler: ${compiler} cannot be started; install one (gcc or clang), or name it in CC`)
    }
    if (status !== 0) throw new CannotRun(`${compiler} refuses the recorder: ${stderr.split("\n")[0] ?? ""}`)
    return { program, files, folder, close }
  } catch (error) {
    close()
    throw error
  }
}

function tmpfs(): string {
  const found = ["/dev/shm", "/run/shm", tmpdir()].find(
    (path) => existsSync(path) && statfsSync(path).type === TMPFS_MAGIC
  )
  return found ?? refuse("no tmpfs at /dev/shm; mount one, the recorded process maps a file of it")
}

const refuse = (why: string): never => {
  throw new CannotRun(why)
}

const text = (path: string): string => {
  try {
    return readFileSync(path, "utf8").trim()
  } catch {
    return ""
  }
}

const sysctl = (name: string, otherwise: number): number => {
  const found = text(`/proc/sys/${name}`)
  return found === "" ? otherwise : Number(found)
}

/** The bits of capabilities that the simulation knows, by their names. */
const capabilityBits: Readonly<Record<string, number>> = {
  DAC_OVERRIDE: 1,
  FOWNER: 3,
  IPC_LOCK: 14,
  IPC_OWNER: 15,
  SYS_RAWIO: 17,
  SYS_PTRACE: 19,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24
}

/** Everything but `lsmMinAddr`, which only a call shows. Throws CannotRun. */
export function readFacts(lsmMinAddr: number): HostFacts {
  const status = text("/proc/self/status")
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(status)?.[1] ?? "0"}`)
  const isRoot = process.getuid?.() === 0
  const overcommit = sysctl("vm/overcommit_memory", 0)
  if (overcommit === 2) {
    refuse("vm.overcommit_memory is 2: answers depend on what all other programs use; set it to 0 or 1")
  }
  const host: Host = {
    kernel: release(),
    ramPages: Math.floor(Number(/^MemTotal:\s*(\d+)/m.exec(text("/proc/meminfo"))?.[1] ?? 0) / 4),
    maxMapCount: sysctl("vm/max_map_count", 65530),
    mmapMinAddr: sysctl("vm/mmap_min_addr", 4096),
    lsmMinAddr,
    overcommit: overcommit === 1 ? 1 : 0,
    memfdNoexec: memfdNoexec(),
    capabilities: Object.keys(capabilityBits).filter((name) => (effective >> BigInt(capabilityBits[name]!)) & 1n),
    isOwner: !isRoot
  }
  const { avoids, notes } = whatToAvoid(isRoot, host)
  const limits = limitsOf(text("/proc/self/limits"))
  return { host, json: JSON.stringify(host), isRoot, limits, cpus: allowedCpus(status), avoids, notes }
}

function memfdNoexec(): 0 | 1 | 2 {
  const found = sysctl("vm/memfd_noexec", 0)
  return found === 1 ? 1 : found === 2 ? 2 : 0
}

function whatToAvoid(isRoot: boolean, host: Host): { readonly avoids: ReadonlySet<Avoided>; readonly notes: string[] } {
  const avoids = new Set<Avoided>()
  const notes: string[] = []
  const avoid = (what: Avoided, why: string): void => {
    avoids.add(what)
    notes.push(why)
  }
  const chosen = (path: string): string => /\[(\w+)\]/.exec(text(path))?.[1] ?? ""
  const huge = "/sys/kernel/mm/transparent_hugepage"
  if (text("/proc/swaps").split("\n").length > 1) avoid("pageout", "there is swap: no MADV_PAGEOUT")
  if (sysctl("../../sys/kernel/mm/ksm/run", 0) === 1) avoid("ksm", "KSM runs: no MADV_MERGEABLE")
  const sizes = existsSync(huge) ? readdirSync(huge).filter((name) => name.startsWith("hugepages-")) : []
  if ([huge, ...sizes.map((size) => `${huge}/${size}`)].some((path) => chosen(`${path}/enabled`) === "always")) {
    avoid(
      "huge",
      "huge pages are made of all memory: they are switched off for the recorded processes, which do not ask for it"
    )
  }
  if (/always|within_size|force/.test(chosen(`${huge}/shmem_enabled`))) {
    refuse("shared memory gets huge pages here; echo never >/sys/kernel/mm/transparent_hugepage/shmem_enabled")
  }
  if (!isRoot) avoid("segments", "not root: only processes without privileges, and no System V segments")
  if (host.memfdNoexec === 2) refuse("vm.memfd_noexec is 2: no memory file may be executable; set it to 0 or 1")
  if (/\bla57\b/.test(text("/proc/cpuinfo")))
    avoid("above47", "the processor has 57-bit addresses: none above 47 bits is used")
  return { avoids, notes }
}

const limitLines: Readonly<Record<string, string>> = {
  DATA: "Max data size",
  STACK: "Max stack size",
  MEMLOCK: "Max locked memory",
  AS: "Max address space"
}

/** What the recorded processes begin with: 8 MiB to be locked, 8 MiB of stack, the rest unlimited; or less, where less is allowed. */
function limitsOf(text: string): ReadonlyMap<string, readonly [number, number]> {
  const limits = new Map<string, readonly [number, number]>()
  for (const [name, title] of Object.entries(limitLines)) {
    const word = new RegExp(`^${title}\\s+\\S+\\s+(\\S+)`, "m").exec(text)?.[1] ?? "unlimited"
    const most = word === "unlimited" ? Infinity : Number(word)
    if (name === "MEMLOCK") limits.set(name, [Math.min(most, 8 * MIB), Math.min(most, 8 * MIB)])
    else limits.set(name, [name === "STACK" ? Math.min(most, 8 * MIB) : most, most])
  }
  return limits
}

function allowedCpus(status: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "0"
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number)
    return Array.from({ length: to - from + 1 }, (_, i) => from + i)
  })
}
