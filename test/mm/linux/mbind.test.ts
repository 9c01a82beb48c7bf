/** mbind: memory policies, on a machine of one node. What counts is which areas are one. */
import { describe, expect, it } from "vitest"
import { mprotect } from "../../../lib/mm/sys/mprotect.ts"
import * as MPOL from "../../../lib/mm/sys/mbind.ts"
import { mbind } from "../../../lib/mm/sys/mbind.ts"
import { at, type Pages, parse, RO, RW, RWX } from "./words.ts"
import { type Proc, world } from "./world.ts"

const { MPOL_BIND, MPOL_DEFAULT, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED } = MPOL
const { MPOL_F_RELATIVE_NODES, MPOL_F_STATIC_NODES, MPOL_MF_MOVE, MPOL_MF_STRICT } = MPOL

const bind = (p: Proc, range: Pages, mode: number, nodes: number | bigint = 0, flags = 0): string => {
  const [page, pages] = parse(range)
  return p.sys(mbind, page * 4096, pages * 4096, mode, nodes, flags)
}

describe("a memory policy", () => {
  it("splits areas and lets them merge, and is not seen otherwise [L-VMA-37, L-VMA-01]", () => {
    const p = world("aaaa")
    expect(bind(p, "a1+2", MPOL_BIND, 1)).toBe("ok")
    expect(p.draw()).toBe("a|aa|a")
    expect(p.areas()).toEqual(["a0 rw-p", "a1+2 rw-p", "a3 rw-p"])
    expect(bind(p, "a1", MPOL_PREFERRED, 1), "another mode is another policy").toBe("ok")
    expect(p.draw()).toBe("a|a|a|a")
    expect(bind(p, "a1", MPOL_BIND, 1)).toBe("ok")
    expect(p.draw()).toBe("a|aa|a")
    expect(bind(p, "a0+4", MPOL_DEFAULT)).toBe("ok")
    expect(p.draw()).toBe("aaaa")
  })

  it("is another one in each mode, and none in the default one", () => {
    const p = world("aaaaaaa")
    const { MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE } = MPOL
    const modes = [MPOL_BIND, MPOL_PREFERRED, MPOL_INTERLEAVE, MPOL_PREFERRED_MANY, MPOL_WEIGHTED_INTERLEAVE]
    modes.forEach((mode, i) => expect(bind(p, `a${i + 1}`, mode, 1)).toBe("ok"))
    expect(p.draw()).toBe("a|a|a|a|a|a|a")
    for (const mode of modes) {
      expect(bind(p, "a0+7", mode, 1)).toBe("ok")
      expect(p.draw()).toBe("aaaaaaa")
    }
  })

  it("is not had by new memory, which stays apart; it is kept by what moves, splits or is inherited [L-VMA-37]", () => {
    const p = world("aa")
    bind(p, "a0+2", MPOL_BIND, 1)
    p.mmap("a2", RW)
    expect(p.draw()).toBe("aa|a")
    p.mremap("a0+2", "a20+2")
    p.mremap("a2", "a22")
    expect(p.areas()).toEqual(["a20+2 rw-p", "a22 rw-p"])
    p.sys(mprotect, at("a20"), 4096, RWX)
    p.sys(mprotect, at("a20"), 4096, RW)
    expect(bind(p, "a22", MPOL_BIND, 1)).toBe("ok")
    expect(p.areas()).toEqual(["a20+3 rw-p"])
    const child = p.fork()
    child.mmap("a23", RW)
    expect(child.areas()).toEqual(["a20+3 rw-p", "a23 rw-p"])
  })

  it("that differs keeps anon_vmas apart from the first write on [L-VMA-22, L-VMA-37]", () => {
    const p = world("aaaa")
    bind(p, "a1", MPOL_BIND, 1)
    p.write("a0+2")
    expect(bind(p, "a1", MPOL_DEFAULT)).toBe("ok")
    expect(p.draw(), "with what was never written, and not with a0").toBe("a|aaa")
    const same = world("aaaa")
    bind(same, "a0+2", MPOL_BIND, 1)
    same.mprotect("a1", RWX)
    same.write("a0+2")
    same.mprotect("a1", RW)
    expect(same.draw()).toBe("aa|aa")
  })

  it("counts the nodes that there are; the mask itself only if it was to be kept", () => {
    const p = world("aaaa")
    bind(p, "a0", MPOL_BIND, 1)
    expect(bind(p, "a1", MPOL_BIND, 3)).toBe("ok")
    expect(p.draw()).toBe("aa|aa")
    bind(p, "a0", MPOL_BIND | MPOL_F_STATIC_NODES, 1)
    bind(p, "a1", MPOL_BIND | MPOL_F_STATIC_NODES, 3)
    expect(p.draw()).toBe("a|a|aa")
    expect(bind(p, "a0", MPOL_BIND | MPOL_F_RELATIVE_NODES, 2), "the second of one is the first").toBe("ok")
    expect(bind(p, "a0+2", MPOL_PREFERRED), "no node preferred: the local one").toBe("ok")
    expect(bind(p, "a2", MPOL_LOCAL)).toBe("ok")
    expect(p.draw()).toBe("aaa|a")
  })
})

describe("mbind", () => {
  it("refuses modes, masks and flags that make no sense", () => {
    const p = world("a")
    for (const [mode, nodes, flags] of [
      [99, 1, 0],
      [-1, 1, 0],
      [MPOL_BIND, 0, 0],
      [MPOL_BIND, 2, 0],
      [MPOL_BIND | MPOL_F_STATIC_NODES, 2, 0],
      [MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, 1, 0],
      [MPOL_INTERLEAVE | MPOL.MPOL_F_NUMA_BALANCING, 1, 0],
      [MPOL_DEFAULT, 1, 0],
      [MPOL_LOCAL, 1, 0],
      [MPOL_PREFERRED | MPOL_F_STATIC_NODES, 0, 0],
      [MPOL_BIND, 1, 8]
    ] as const)
      expect(bind(p, "a0", mode, nodes, flags), `${mode} ${nodes} ${flags}`).toBe("EINVAL")
    expect(p.sys(mbind, at("a0") + 1, 4096, MPOL_BIND, 1, 0)).toBe("EINVAL")
    expect(p.sys(mbind, at("a0"), -4096, MPOL_BIND, 1, 0), "wraps").toBe("EINVAL")
    expect(p.sys(mbind, at("a0"), -1, MPOL_BIND, 0, 0), "rounds to nothing, before the mask").toBe("ok")
    expect(bind(p, "a5", MPOL_BIND, 2), "the mask before the hole").toBe("EINVAL")
    expect(bind(p.asUser(), "a0", MPOL_BIND, 1, MPOL.MPOL_MF_MOVE_ALL)).toBe("EPERM")
  })

  it("wants memory everywhere, but for the default policy; some there must be", () => {
    const p = world("aa.a")
    for (const range of ["a0+4", "a1+2", "a2+2", "a8"] as const) expect(bind(p, range, MPOL_BIND, 1)).toBe("EFAULT")
    expect(p.draw()).toBe("aa.a")
    expect(bind(p, "a0+9", MPOL_DEFAULT)).toBe("ok")
    expect(bind(p, "a8", MPOL_DEFAULT)).toBe("EFAULT")
  })

  it("is EIO where a page must be on a node that the policy names, and it names none", () => {
    const p = world("aa")
    p.write("a0")
    expect(bind(p, "a0", MPOL_BIND, 1, MPOL_MF_STRICT)).toBe("ok")
    expect(bind(p, "a0", MPOL_DEFAULT, 0, MPOL_MF_STRICT)).toBe("ok")
    expect(bind(p, "a0+2", MPOL_LOCAL, 0, MPOL_MF_STRICT)).toBe("EIO")
    expect(p.draw(), "it has no policy").toBe("aa")
    expect(bind(p, "a1", MPOL_LOCAL, 0, MPOL_MF_STRICT), "no page is there").toBe("ok")
    expect(bind(p, "a0", MPOL_LOCAL, 0, MPOL_MF_STRICT | MPOL_MF_MOVE), "moved, to where it was").toBe("ok")
    expect(p.draw()).toBe("aa")
    expect(p.read("a0")).toBe("101")
  })

  it("fails where areas would be too many, and what came before has the policy", () => {
    const p = world("abbb", { maxMapCount: 3 })
    expect(bind(p, "a0+3", MPOL_BIND, 1)).toBe("ok")
    expect(p.draw()).toBe("abb|b")
    expect(bind(p, "a0+2", MPOL_DEFAULT)).toBe("ENOMEM")
    p.mprotect("a0", RO)
    expect(p.draw(), "a0 has the default now, a1 has not").toBe("a|aa|a")
  })
})
