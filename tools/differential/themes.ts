/** What random programs are about: how often which kind of call. */
import { call } from "./program.ts"
import type { Scene, Step } from "./scene.ts"
import * as areas from "./steps-areas.ts"
import { bad } from "./steps-bad.ts"
import * as files from "./steps-files.ts"
import * as pages from "./steps-pages.ts"
import { userfaultfd } from "./steps-uffd.ts"

const fork: Step = (scene, p) => {
  const child = scene.freeProcess()
  return child === undefined ? pages.store(scene, p) : call("fork", [child], { process: p })
}

const ofChildren: readonly Step[] = [
  pages.store,
  pages.store,
  pages.store,
  pages.load,
  areas.munmap,
  areas.mprotect,
  areas.mremap,
  pages.madvise,
  areas.mmap,
  pages.mincore,
  pages.mlock,
  files.fileContents
]

/** Something that a forked process does, a fork of its own and its end included. */
const child: Step = (scene, p) => {
  const others = scene.processes().filter((each) => each !== p)
  if (others.length === 0) return fork(scene, p)
  const its = scene.random.of(others)
  if (scene.random.chance(0.1)) return call("exit", [], { process: its })
  return scene.random.chance(0.05) ? fork(scene, its) : scene.random.of(ofChildren)(scene, its)
}

const steps = {
  ...areas,
  ...pages,
  ...files,
  bad,
  userfaultfd,
  fork,
  child
}

type Weights = Partial<Readonly<Record<keyof typeof steps, number>>>

const themes = {
  merge: { mmap: 6, munmap: 3, mprotect: 5, mremap: 3, adviseFlags: 2, store: 3, load: 1 },
  mixed: {
    mmap: 6,
    munmap: 3,
    mprotect: 4,
    mremap: 4,
    madvise: 4,
    mlock: 2,
    store: 4,
    load: 3,
    mincore: 1,
    msync: 1,
    fork: 1,
    child: 1,
    fileContents: 1,
    mseal: 0.3,
    bad: 1,
    brk: 0.5,
    denyWriteExec: 0.1
  },
  mremap: { mmap: 5, munmap: 2, mprotect: 2, mremap: 10, store: 4, load: 2, madvise: 2, mlock: 1, fork: 0.4, child: 1 },
  file: {
    mmapFile: 7,
    munmap: 2,
    mprotect: 3,
    mremap: 3,
    store: 5,
    load: 4,
    fileContents: 5,
    madvise: 3,
    msync: 2,
    mincore: 1.5,
    fork: 0.5,
    child: 1,
    remapFilePages: 1,
    guard: 0.5
  },
  memfd: {
    memoryFile: 12,
    mmapFile: 2,
    store: 5,
    load: 4,
    madvise: 2,
    mprotect: 2,
    munmap: 1,
    mremap: 2,
    fork: 0.5,
    child: 1,
    fileContents: 1,
    denyWriteExec: 0.1
  },
  segments: {
    segment: 12,
    mmap: 2,
    store: 4,
    load: 3,
    munmap: 2,
    mprotect: 2,
    mremap: 2,
    madvise: 1,
    fork: 0.7,
    child: 2
  },
  fork: {
    mmap: 5,
    munmap: 2,
    mprotect: 3,
    mremap: 2,
    store: 7,
    load: 4,
    fork: 2,
    child: 9,
    adviseFlags: 3,
    fileContents: 1
  },
  advice: {
    mmap: 4,
    madvise: 8,
    guard: 4,
    store: 5,
    load: 3,
    munmap: 1,
    mprotect: 2,
    mremap: 2,
    fork: 0.6,
    child: 4,
    msync: 0.5,
    mincore: 1
  },
  lock: {
    mmap: 5,
    munmap: 2,
    mprotect: 3,
    mremap: 4,
    mlock: 8,
    store: 2,
    load: 1,
    madvise: 2,
    fork: 0.3,
    child: 0.6,
    brk: 1
  },
  limits: {
    mmap: 7,
    munmap: 2,
    mprotect: 4,
    mremap: 5,
    mlock: 6,
    brk: 3,
    store: 2,
    setrlimit: 1.5,
    growsDown: 1,
    madvise: 1,
    fork: 0.3,
    child: 0.5
  },
  guard: {
    mmap: 4,
    munmap: 2,
    mprotect: 2,
    mremap: 3,
    guard: 8,
    store: 4,
    load: 3,
    madvise: 3,
    fork: 0.5,
    child: 1,
    mlock: 1
  },
  bad: { mmap: 3, munmap: 1, mprotect: 1, bad: 14, store: 1, load: 1 },
  top: {
    mmapAnywhere: 9,
    munmap: 4,
    mprotect: 3,
    mremap: 4,
    store: 3,
    brk: 2,
    growsDown: 0.7,
    mmap: 1,
    fork: 0.3,
    child: 0.5
  },
  seal: {
    mmap: 7,
    munmap: 4,
    mprotect: 4,
    mremap: 4,
    madvise: 6,
    mseal: 4,
    store: 3,
    load: 1,
    mlock: 1.5,
    growsDown: 1,
    brk: 0.5
  },
  stack: {
    mmap: 3,
    growsDown: 6.5,
    munmap: 2,
    mprotect: 3,
    mremap: 2,
    store: 5,
    load: 3,
    mlock: 0.7,
    fork: 0.4,
    child: 1
  },
  flags: {
    mmapFlags: 8,
    munmap: 3,
    mprotect: 4,
    store: 4,
    load: 3,
    mlock: 1,
    fork: 0.5,
    child: 2,
    brk: 0.5,
    denyWriteExec: 0.1,
    fileContents: 1,
    growsDown: 0.5
  },
  uffd: {
    mmap: 4,
    munmap: 2,
    mprotect: 2,
    mremap: 3,
    userfaultfd: 12,
    store: 4,
    load: 4,
    madvise: 2,
    fork: 0.4,
    child: 0.5
  }
} as const satisfies Readonly<Record<string, Weights>>

export type Theme = keyof typeof themes

export const themeNames = Object.keys(themes) as readonly Theme[] // the keys are those of a literal

export const isTheme = (name: string): name is Theme => Object.hasOwn(themes, name)

/** The kinds of call of a theme with their weights. */
export function stepsOf(theme: Theme): ReadonlyArray<readonly [step: Step, weight: number]> {
  const weights: Weights = themes[theme]
  return Object.entries(weights).map(([name, weight]) => [steps[name as keyof Weights], weight] as const)
}

/** What a program begins with: areas, so that there is something to change. */
export function firstStep(theme: Theme, scene: Scene): Step | undefined {
  if (theme === "bad") return undefined
  if (theme === "top") return areas.mmapAnywhere
  if (theme === "memfd") return files.memoryFile
  if (theme === "segments") return files.segment
  return theme === "file" && scene.random.chance(0.9) ? areas.mmapFile : areas.mmap
}
