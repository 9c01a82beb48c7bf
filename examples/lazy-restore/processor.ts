/**
 * A small processor, all of which lies in the memory of its process: sixteen registers and the program counter in one page,
 * instructions in another. Whoever has the memory has the machine, and can go on where it stopped.
 *
 *     instruction   0 operation   1..3 registers   4..7 a number, signed
 *
 * An instruction that faults has done nothing and begins again, as on a real machine; so it writes last.
 */
import { Effect } from "effect"
import { Task } from "pagewright"

/** Bytes of an instruction. */
const INSTRUCTION = 8
/** Where the sixteen registers lie, and the program counter behind them. */
export const REGISTERS = 0x60_0000
const COUNTER = REGISTERS + 64
/** r15: where the stack ends; it grows down. */
const STACK_POINTER = REGISTERS + 60
/** Instructions between two looks at what else there is to do. */
const BURST = 512

const operations = [
  "halt",
  "set",
  "move",
  "add",
  "addi",
  "muli",
  "andi",
  "remu",
  "load",
  "store",
  "branch",
  "call",
  "ret"
] as const
const codes: ReadonlyMap<string, number> = new Map(operations.map((name, code) => [name, code]))

/** Where the processor begins. */
export const startAt = (address: number) => Task.store32(COUNTER, address)

/** Runs instructions of the current process, and waits where memory is not there yet.
 * @param most - instructions
 * @returns how many ran, fewer where the program is over | the signal of one that touched what it must not
 */
export const execute = (most: number) =>
  Effect.gen(function* () {
    const cpu = yield* Task.cpu()
    for (let ran = 0; ran < most;) {
      const end = Math.min(most, ran + BURST)
      cpu.resume()
      let stop: Stop = undefined
      while (stop === undefined && ran < end) {
        stop = step(cpu)
        if (stop === undefined) ran++
      }
      if (stop === "halt") return ran
      if (stop?._tag === "WOULD_WAIT") yield* Task.load8(stop.address)
      else if (stop !== undefined) return yield* Effect.fail(stop)
      else yield* Effect.yieldNow
    }
    return most
  })

type Stop = Task.Signal | Task.WouldWait | "halt" | undefined

const registerAt = (number: number): number => REGISTERS + (number & 15) * 4

/** One instruction: fetched, decoded, done. */
const step = (cpu: Task.Cpu): Stop => {
  const at = cpu.load32(COUNTER) >>> 0
  let stop = cpu.takeFault()
  if (stop !== undefined) return stop
  const code = cpu.load32(at)
  stop = cpu.takeFault()
  if (stop !== undefined) return stop
  const number = cpu.load32(at + 4)
  const target = registerAt(code >>> 8)
  const left = cpu.load32(registerAt(code >>> 16))
  const right = cpu.load32(registerAt(code >>> 24))
  let next = at + INSTRUCTION
  switch (operations[code & 255]) {
    case "set":
      cpu.store32(target, number)
      break
    case "move":
      cpu.store32(target, left)
      break
    case "add":
      cpu.store32(target, left + right)
      break
    case "addi":
      cpu.store32(target, left + number)
      break
    case "muli":
      cpu.store32(target, Math.imul(left, number))
      break
    case "andi":
      cpu.store32(target, left & number)
      break
    case "remu":
      cpu.store32(target, (left >>> 0) % (right >>> 0))
      break
    case "load": {
      const value = cpu.load32((left + number) >>> 0)
      stop = cpu.takeFault()
      if (stop !== undefined) return stop
      cpu.store32(target, value)
      break
    }
    case "store":
      cpu.store32((left + number) >>> 0, cpu.load32(target))
      break
    case "branch":
      if (cpu.load32(target) !== left) next = number
      break
    case "call": {
      const top = cpu.load32(STACK_POINTER) - 4
      cpu.store32(top >>> 0, next)
      stop = cpu.takeFault()
      if (stop !== undefined) return stop
      cpu.store32(STACK_POINTER, top)
      next = number
      break
    }
    case "ret": {
      const top = cpu.load32(STACK_POINTER)
      next = cpu.load32(top >>> 0)
      stop = cpu.takeFault()
      if (stop !== undefined) return stop
      cpu.store32(STACK_POINTER, top + 4)
      break
    }
    case "halt":
    case undefined:
      return "halt"
  }
  stop = cpu.takeFault()
  if (stop !== undefined) return stop
  cpu.store32(COUNTER, next)
  return cpu.takeFault()
}

/** Translates a program: an instruction a line, registers as r0 to r15, numbers, labels, comments behind a semicolon.
 * @param base - byte address where it will lie
 */
export const assemble = (base: number, source: string): Uint8Array => {
  const labels = new Map<string, number>()
  const lines: (readonly string[])[] = []
  for (const line of source.split("\n")) {
    const words = line
      .replace(/;.*/, "")
      .split(/[\s,]+/)
      .filter((word) => word !== "")
    while (words[0]?.endsWith(":") === true) labels.set(words.shift()!.slice(0, -1), base + lines.length * INSTRUCTION)
    if (words.length > 0) lines.push(words)
  }
  const out = new DataView(new ArrayBuffer(lines.length * INSTRUCTION))
  for (const [row, [name = "", ...operands]] of lines.entries()) {
    const code = codes.get(name)
    if (code === undefined) throw new RangeError(`there is no operation ${name}`)
    out.setUint8(row * INSTRUCTION, code)
    let place = 1
    for (const word of operands) {
      if (/^r\d+$/.test(word)) out.setUint8(row * INSTRUCTION + place++, Number(word.slice(1)))
      else out.setInt32(row * INSTRUCTION + 4, labels.get(word) ?? Number(word), true)
    }
  }
  return new Uint8Array(out.buffer)
}
