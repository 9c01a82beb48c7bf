/** A kernel whose userfaultfd can do less than a client needs. There is none; its mask is what we change. */
import { Effect } from "effect"
import { Userfaultfd } from "pagewright"
import { expect, it, vi } from "vitest"
import { descriptors, failureOf, logged, run } from "./userfaultfd-support.ts"

vi.mock("../../lib/flags/UffdFlags.ts", async (original) => ({
  ...(await original<object>()),
  API_IOCTLS: 0x8000000000000002n
}))

it("without REGISTER or UNREGISTER a descriptor is good for nothing: that is told, and it is closed [U-CRT-05] [U-TRC-05]", () =>
  run(
    Effect.gen(function* () {
      const [tag, lines] = yield* logged(
        failureOf(Userfaultfd.open((fresh) => Effect.asVoid(fresh.api(["PAGEFAULT_FLAG_WP"]))))
      )
      expect(tag).toBe("EINVAL")
      expect(lines).toEqual([
        {
          level: "Trace",
          message: "uffd_create_fd_api_noioctl",
          about: { required: "0x3", supported: "0x2", errno: "22" }
        }
      ])
      expect(yield* descriptors).toBe(0)
    })
  ))
