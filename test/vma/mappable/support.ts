/** An object that writes down what it is told and asked, and a process that maps it page by page. */
import { Effect } from "effect"
import { AccessType, Fail, Mappable, MemoryFile, Range, Task, Units } from "pagewright"

/** Where mappings go; page numbers of tests count from here. */
export const AT = 0x7f00_0000_0000

/** Bytes `[page, page + pages)` of the process, as an address range. */
export const pagesOf = (page: number, pages: number) => Range.ofPages<"addr">(AT / 4096 + page, pages)
const text = ({ end, start }: Range.Range<Range.Kind>) => `[${(start - AT) / 4096}, ${(end - AT) / 4096})`

/** An object of `pages`, whose page `i` begins with the byte `i + 1`. */
export const recorder = Effect.fn(function* (pages: number = 8, name: string = "object") {
  const file = yield* MemoryFile.make(name)
  const own = file.allocate(pages)
  if (own === undefined) return yield* Effect.die("no memory for a test")
  for (let i = 0; i < pages; i++) file.mapInternal(Range.make(i * 4096, i * 4096 + 1))[0]![0] = i + 1
  const heard: string[] = []
  const state = {
    /** What the next add or copy is refused with. */
    refusal: undefined as Fail.Fail<"EBUSY" | "EINVAL"> | undefined,
    /** What a translation may be used for. */
    perms: undefined as AccessType.Access | undefined,
    /** Does it answer for all that is optional? */
    generous: false,
    spaces: new Set<Mappable.MappingSpace>()
  }
  const hears = (
    what: string,
    { offset, range, space, writable }: Mappable.Mapping<Range.AddrRange>,
    to = ""
  ): void => {
    state.spaces.add(space)
    heard.push(`${what} ${text(range)}${to} @${offset / 4096}${writable ? " writable" : ""}`)
  }
  const object = yield* Mappable.make({
    name,
    addMapping: (mapping) => {
      hears("add", mapping)
      return state.refusal
    },
    removeMapping: (mapping) => hears("remove", mapping),
    copyMapping: (mapping, to) => {
      hears("copy", mapping, ` to ${text(to)}`)
      return state.refusal
    },
    translate: (ask) => {
      heard.push(`translate ${ask.required.start / 4096} ${ask.at}`)
      if (ask.required.start >= own.end) return { translations: [], error: Mappable.busError(Fail.make("EFAULT")) }
      const source = state.generous ? Range.intersect(ask.optional, Range.make<"mappable">(0, own.end)) : ask.required
      return ask.translation({
        source,
        file,
        offset: source.start,
        ...(state.perms === undefined ? {} : { perms: state.perms })
      })
    }
  })
  /** What it heard since it was last asked. */
  const news = (): string[] => heard.splice(0)
  return { file, news, object, state }
})

/** Maps `pages` at a page of the process, in place of what is there. */
export const mapAt = <Max extends AccessType.Access>(
  identity: Mappable.MappingIdentity<Max>,
  page: number,
  pages: number,
  offset = 0,
  more: Partial<Mappable.PrivateOpts<Max>> | Partial<Mappable.SharedOpts<"rwx">> = {}
) =>
  Mappable.map({
    length: pages * 4096,
    addr: AT + page * 4096,
    fixed: true,
    unmap: true,
    offset: offset * 4096,
    perms: AccessType.READ_WRITE,
    ...more,
    identity
  } as Mappable.MMapOpts<Max>)

/** The first byte of a page of the process, or the name of the signal. */
export const read = (page: number) =>
  Task.load8(AT + page * 4096).pipe(Effect.catch((signal) => Effect.succeed(signal._tag)))
/** Writes one: "done", or the name of the signal. */
export const write = (page: number, byte = 0x77) =>
  Task.store8(AT + page * 4096, byte).pipe(
    Effect.as("done"),
    Effect.catch((signal) => Effect.succeed(signal._tag))
  )
export const unmap = (page: number, pages: number) => Task.munmap(AT + page * 4096, pages * 4096)
export const protect = (page: number, pages: number, prot: number) =>
  Task.mprotect(AT + page * 4096, pages * 4096, prot)
/** Name of the failure, or "done". */
export const outcome = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Effect.as("done"),
    Effect.catch((e) => Effect.succeed(e._tag))
  )
/** Lines of /proc/self/maps, without the stack. */
export const mapsLines = Effect.map(Task.maps, (maps) =>
  maps.split("\n").filter((line) => line !== "" && !line.endsWith("[stack]"))
)
export const addressOf = (at: Units.Unit) => (Units.raw(at) - AT) / 4096
