/** Units: what is one number at run time is many types. */
import { Effect } from "effect"
import { Locked, Units } from "pagewright"
import { at, mm, one } from "./given.ts"
declare let user: Units.UserAddr
declare let phys: Units.PhysAddr
declare let frame: Units.Pfn
declare let index: Units.PageIndex
declare let length: Units.ByteLength
declare let offset: Units.FileOffset

//: M43 zap at an address that is not known to be page aligned [R-ZAP-06]
export const m43 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => vma.zapPageRangeSingle(Units.pageFloor(user), one)))
//! refused
export const m43x = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => vma.zapPageRangeSingle(Units.va("0x2010"), one)))

//: M44 swap address and size
export const m44 = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => vma.zapPageRangeSingle(at, one)))
//! refused
export const m44x = Locked.withUser(mm, (mm) => Locked.withVma(mm, at, (vma) => vma.zapPageRangeSingle(one, at)))

//: M45 pass a frame number for a physical address
phys = Units.physOf(frame)
//! refused
phys = frame

//: M46 pass a plain number for a user address
user = Units.userAddr(0x2000)
//! refused
user = 0x2000

//: M47 pass a physical address for a user address
user = Units.userAddr(Units.raw(phys))
//! refused
user = phys

//: M48 pass a page index for a file offset
offset = Units.fileOffset(Units.raw(index) * 4096)
//! refused
offset = index

//: M49 add a number to a unit
frame = Units.pfn(Units.raw(frame) + 1)
//! refused
frame = frame + 1

//: M50 compare a frame number with an address by ===
export const m50 = Units.raw(Units.physOf(frame)) === Units.raw(user)
//! refused
export const m50x = frame === user

//: M51 compare a frame number with an address by <
export const m51 = Units.raw(user) < Units.raw(Units.offset(user, length))
//! refused
export const m51x = frame < user

//: M51b add a frame number and a length
export const m51b = Units.offset(user, length)
//! refused
export const m51bx = frame + length
