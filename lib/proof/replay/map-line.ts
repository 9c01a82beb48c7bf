/** Lines of /proc/PID/maps as logs hold them: columns one space apart, no spaces at the end. Floor 9. */
import type { MapLine } from "./event.ts"

/** The legacy page of system calls: printed, but no area. */
export const VSYSCALL = "[vsyscall]"

const shape =
  /^([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][sp]) ([0-9a-f]{1,16}) ([0-9a-f]{2,}:[0-9a-f]{2,}) (\d{1,20})(?: +(.*))?$/

/** What `text` says; undefined where it is no line of a map. */
export function mapLineOf(text: string): MapLine | undefined {
  const found = shape.exec(text)
  if (found === null) return undefined
  const start = pageOfHex(found[1]!)
  const end = pageOfHex(found[2]!)
  if (end <= start || !isWhole(found[1]!) || !isWhole(found[2]!) || !isWhole(found[4]!)) return undefined
  return {
    text,
    start,
    end,
    perms: found[3]!,
    offset: pageOfHex(found[4]!),
    dev: found[5]!,
    ino: Number(found[6]),
    name: found[7] ?? ""
  }
}

/** Page number of a byte address in hex, exact up to 64 bits. */
const pageOfHex = (hex: string): number => (hex.length > 3 ? Number.parseInt(hex.slice(0, -3), 16) : 0)

const isWhole = (hex: string): boolean => hex === "0" || hex.endsWith("000") || /^0+$/.test(hex)

/** A line as a recorder writes it: the padding before the name becomes one space. */
export const squeezed = (line: string): string => line.replace(/ {2,}/, " ").trimEnd()
