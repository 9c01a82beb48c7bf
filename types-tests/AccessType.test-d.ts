/** Three letters, and what the compiler computes from them. */
import { AccessType } from "pagewright"
import { expectAssignable, expectNotAssignable, expectType } from "tsd"

declare const access: AccessType.Access
declare const readable: AccessType.Within<"r--">
declare const either: AccessType.Within<"rw-" | "r-x">

expectType<"r--">(AccessType.READ)
expectAssignable<AccessType.Access>(AccessType.ANY)
expectNotAssignable<AccessType.Access>("wr-")
expectNotAssignable<AccessType.Access>("r")

expectType<"---" | "r--">(readable)
expectAssignable<AccessType.Within<"rw-">>("-w-")
expectNotAssignable<AccessType.Within<"r-x">>("rw-")
expectAssignable<AccessType.Access>(access)
expectType<AccessType.Access>({} as AccessType.Within<"rwx">)

// of several ceilings, what each of them allows
expectType<"---" | "r--">(either)
expectType<"---">({} as AccessType.Within<AccessType.Access>)
expectAssignable<AccessType.WithinSome<"rw-" | "r-x">>("rw-")
expectNotAssignable<AccessType.WithinSome<"rw-" | "r-x">>("rwx")

// a processor reads what it writes or executes
expectType<"rw-">({} as AccessType.Effective<"-w-">)
expectType<"r-x">({} as AccessType.Effective<"--x">)
expectType<"---">({} as AccessType.Effective<"---">)
