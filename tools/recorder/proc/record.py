"""Records what /proc says of a process: reads the `> ` lines of a transcript, performs them on this kernel, and writes the
transcript again with this kernel's answers. See README.md here for the words of a transcript.

    python3 record.py FILE...
"""
import ctypes, errno, fcntl, os, re, shutil, signal, socket, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = 4096
ARENA = 0x200000000000
DIRS = {"/tmp/pagewright": "regular", "/dev/shm/pagewright": "tmpfs"}
libc = ctypes.CDLL(None, use_errno=True)

CALLS = dict(mmap=9, mprotect=10, munmap=11, brk=12, ioctl=16, mremap=25, msync=26, madvise=28, close=3, ftruncate=77,
             mlock=149, munlock=150, mlockall=151, munlockall=152, remap_file_pages=216, fallocate=285, mlock2=325,
             mseal=462)
NAMES = dict(
    PROT_NONE=0, PROT_READ=1, PROT_WRITE=2, PROT_EXEC=4,
    MAP_SHARED=1, MAP_PRIVATE=2, MAP_DROPPABLE=8, MAP_FIXED=0x10, MAP_ANONYMOUS=0x20, MAP_GROWSDOWN=0x100,
    MAP_LOCKED=0x2000, MAP_NORESERVE=0x4000, MAP_POPULATE=0x8000, MAP_STACK=0x20000, MAP_FIXED_NOREPLACE=0x100000,
    MREMAP_MAYMOVE=1, MREMAP_FIXED=2, MREMAP_DONTUNMAP=4,
    MADV_NORMAL=0, MADV_RANDOM=1, MADV_SEQUENTIAL=2, MADV_WILLNEED=3, MADV_DONTNEED=4, MADV_FREE=8, MADV_REMOVE=9,
    MADV_DONTFORK=10, MADV_DOFORK=11, MADV_MERGEABLE=12, MADV_UNMERGEABLE=13, MADV_HUGEPAGE=14, MADV_NOHUGEPAGE=15,
    MADV_DONTDUMP=16, MADV_DODUMP=17, MADV_WIPEONFORK=18, MADV_KEEPONFORK=19, MADV_COLD=20, MADV_PAGEOUT=21,
    MADV_POPULATE_READ=22, MADV_POPULATE_WRITE=23, MADV_DONTNEED_LOCKED=24, MADV_GUARD_INSTALL=102,
    MADV_GUARD_REMOVE=103, MCL_CURRENT=1, MCL_FUTURE=2, MCL_ONFAULT=4, MLOCK_ONFAULT=1,
    FALLOC_FL_KEEP_SIZE=1, FALLOC_FL_PUNCH_HOLE=2,
    UFFD_FEATURE_WP_UNPOPULATED=1 << 13, UFFD_FEATURE_WP_ASYNC=1 << 15, UFFDIO_REGISTER_MODE_MISSING=1,
    UFFDIO_REGISTER_MODE_WP=2,
    PROCMAP_QUERY=0xC0686611, PAGEMAP_SCAN=0xC0606610)
KIND = dict(SYSCALL=0, LOAD=1, STORE=2, FORK=3, EXIT=4, PEEK=5, POKE=6)
CHUNK = 256
MASK = (1 << 64) - 1


def signed(x):
    return x - (1 << 64) if x >> 63 else x


def word(token):
    """A number: 0x10, 12, -1, a3 (page 3 of the arena), a3+8, 4p (pages), NAME|NAME."""
    total = 0
    for part in token.split("|"):
        if part in NAMES:
            total |= NAMES[part]
        elif m := re.fullmatch(r"a(\d+)(?:\+(\w+))?", part):
            total |= ARENA + int(m[1]) * PAGE + (int(m[2], 0) if m[2] else 0)
        elif m := re.fullmatch(r"(\d+)p", part):
            total |= int(m[1]) * PAGE
        else:
            total |= int(part, 0)
    return total


def address(value):
    """An address as a transcript shows it."""
    page, offset = divmod(value - ARENA, PAGE)
    return f"a{page}" if 0 <= page < 1 << 20 and offset == 0 else hex(value)


def path_of(token):
    return token.replace("\\012", "\n").replace("\\011", "\t").replace("\\040", " ")


class World:
    def __init__(self, subject):
        self.subject = subject
        self.fds, self.shared, self.pids = {}, {}, {}
        self.sockets = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(4)]
        for directory in DIRS:
            shutil.rmtree(directory, ignore_errors=True)
            os.makedirs(directory, 0o755)

    # ---- before the process begins

    def file(self, fd, kind, path, pages, mode="rw"):
        """Descriptor `fd`: each page is full of its number plus 1, written page by page, and clean."""
        path = path_of(path)
        flags = {"rw": os.O_RDWR, "r": os.O_RDONLY, "w": os.O_WRONLY}[mode]
        if kind == "memfd":
            f = os.memfd_create(path, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        elif kind == "zero":
            f = os.open("/dev/zero", flags)
        else:
            assert DIRS[os.path.dirname(path)] == kind, f"{path} is no place for a {kind} file"
            f = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        if kind != "zero":
            for page in range(int(pages)):
                os.pwrite(f, bytes([page + 1]) * PAGE, page * PAGE)
            os.fsync(f)
        if kind in ("regular", "tmpfs"):
            f = os.open(path, flags)
        self.fds[int(fd)] = f
        return [f"= {self.id_of(os.fstat(f))}"]

    @staticmethod
    def id_of(st):
        return f"{os.major(st.st_dev):02x}:{os.minor(st.st_dev):02x} {st.st_ino}"

    def start(self):
        pid = os.fork()
        if pid == 0:
            try:
                self.become_subject()
            finally:
                os._exit(99)
        self.pids["0"] = pid
        self.ask("0", "SYSCALL", 39)
        stat = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        words = dict(start_code=23, end_code=24, start_stack=25, start_data=42, end_data=43, start_brk=44)
        answer = ["= " + " ".join(f"{name}={int(stat[at]):#x}" for name, at in words.items())]
        answer[0] += f" mmap_base={self.first_gap(pid):#x} exe={self.id_of(os.stat(self.subject))}"
        for area in self.areas(pid):
            answer.append(f"area {area['head']}|{area['flags']}|{self.letters(pid, area)}")
        return answer

    def become_subject(self):
        high = [(fcntl.fcntl(f, fcntl.F_DUPFD, 400), fd) for fd, f in self.fds.items()]
        high += [(fcntl.fcntl(pair[1].fileno(), fcntl.F_DUPFD, 400), 100 + i) for i, pair in enumerate(self.sockets)]
        null = os.open("/dev/null", os.O_RDWR)
        for f, fd in high + [(null, 0), (null, 1), (null, 2)]:
            os.dup2(f, fd, inheritable=True)
        keep = {fd for _, fd in high} | {0, 1, 2}
        for fd in map(int, os.listdir("/proc/self/fd")):
            if fd not in keep:
                try:
                    os.close(fd)
                except OSError:
                    pass
        libc.personality(0x0040000)  # ADDR_NO_RANDOMIZE
        os.execve(self.subject, ["subject"], {})

    # ---- the process

    def ask(self, process, kind, number=0, args=(), pointers=0, data=b""):
        link = self.sockets[int(process)][0]
        padded = [a & MASK for a in args] + [0] * (6 - len(args))
        link.send(struct.pack("<4I6Q", KIND[kind], number, pointers, len(data), *padded) + data)
        if kind == "EXIT":
            return None
        link.settimeout(10)
        value, number, code, at, length, _ = struct.unpack("<QIIQII", (packet := link.recv(2048))[:32])
        return signed(value), number, code, at, packet[32 : 32 + length]

    def result(self, reply, is_address=False):
        value, number, code, at, _ = reply
        if number:
            names = {(11, 1): "SIGSEGV MAPERR", (11, 2): "SIGSEGV ACCERR", (7, 2): "SIGBUS ADRERR"}
            return [f"= {names.get((number, code), f'signal {number} {code}')} {address(at)}"]
        if -4096 < value < 0:
            return [f"= {errno.errorcode[-value].replace('ENOTSUP', 'EOPNOTSUPP')}"]
        return [f"= {address(value) if is_address else value}"]

    def access(self, process, kind, at, pages="1", byte="7", step="1"):
        for page in range(0, int(pages), int(step)):
            reply = self.ask(process, kind, 0, (word(at) + page * PAGE, word(byte)))
            if reply[1]:
                return self.result(reply)
        return ["= ok"]

    def poke(self, process, at, text):
        data = bytes.fromhex(text)
        for i in range(0, len(data), CHUNK):
            reply = self.ask(process, "POKE", 0, (word(at) + i,), 0, data[i : i + CHUNK])
            if reply[1]:
                return self.result(reply)
        return ["= ok"]

    def peek(self, process, at, length):
        out = b""
        for i in range(0, word(length), CHUNK):
            reply = self.ask(process, "PEEK", 0, (word(at) + i, min(CHUNK, word(length) - i)))
            if reply[1]:
                return self.result(reply)
            out += reply[4]
        return [f"= {out.hex()}"]

    def put(self, process, at, *words):
        """Stores 64-bit words."""
        return self.poke(process, at, struct.pack(f"<{len(words)}Q", *(word(w) & MASK for w in words)).hex())

    def get(self, process, at, count):
        """Loads 64-bit words."""
        answer = self.peek(process, at, str(8 * int(count)))
        if answer[0].startswith("= SIG"):
            return answer
        return ["= " + " ".join(f"{x:x}" for (x,) in struct.iter_unpack("<Q", bytes.fromhex(answer[0][2:])))]

    def open(self, process, fd, name):
        """Opens /proc/self/NAME as descriptor `fd`."""
        path = f"/proc/self/{name}".encode() + b"\0"
        return self.placed(process, fd, self.ask(process, "SYSCALL", 2, (0, 0), 1, path))

    def placed(self, process, fd, reply):
        """Gives the descriptor of a reply the number `fd`."""
        if reply[0] < 0:
            return self.result(reply)
        got = self.ask(process, "SYSCALL", 33, (reply[0], word(fd)))
        self.ask(process, "SYSCALL", 3, (reply[0],))
        return self.result(got)

    def uffd(self, process, fd, features):
        """A userfaultfd as descriptor `fd`, and what it and its user agree upon."""
        self.placed(process, fd, self.ask(process, "SYSCALL", 323, (0,)))
        return self.struct(process, fd, 0xC018AA3F, 0xAA, word(features), 0)

    def register(self, process, fd, at, length, mode):
        return self.struct(process, fd, 0xC020AA00, word(at), word(length), word(mode), 0)

    def unregister(self, process, fd, at, length):
        return self.struct(process, fd, 0x8010AA01, word(at), word(length))

    def struct(self, process, fd, command, *words):
        """An ioctl with a struct of 64-bit words, which is no memory of the world's."""
        data = struct.pack(f"<{len(words)}Q", *words)
        return self.result(self.ask(process, "SYSCALL", 16, (word(fd), command, 0), 4, data))

    def drop(self, process, bit):
        """Gives up a capability, by its number."""
        header = struct.pack("<Ii", 0x20080522, 0)
        reply = self.ask(process, "SYSCALL", 125, (0, 8), 3, header + bytes(24))
        assert reply[0] == 0
        caps = [line.split()[1] for line in open(f"/proc/{self.pids[process]}/status") if line.startswith("CapEff")][0]
        left = int(caps, 16) & ~(1 << word(bit))
        halves = (left & 0xFFFFFFFF, left >> 32)
        sets = b"".join(struct.pack("<3I", half, half, 0) for half in halves)
        return self.result(self.ask(process, "SYSCALL", 126, (0, 8), 3, header + sets))

    def fork(self, process, child):
        reply = self.ask(process, "FORK", 0, (100 + int(child),))
        if reply[0] > 0:
            self.pids[child] = reply[0]
            self.ask(child, "SYSCALL", 39)
            self.ask(process, "SYSCALL", 39)
            return ["= ok"]
        return self.result(reply)

    def exit(self, process):
        pid = self.pids.pop(process)
        end = os.pidfd_open(pid)
        self.ask(process, "EXIT")
        import select

        poll = select.poll()
        poll.register(end, select.POLLIN)
        poll.poll(5000)
        os.close(end)
        return ["= ok"]

    # ---- what /proc says

    @staticmethod
    def drain():
        """Pages that wait in a processor's lists for their place in the LRU get there: this advice empties the lists. A
        call may pass over a page that waits.
        """
        with tempfile.TemporaryFile(dir="/tmp") as f:
            f.write(bytes(PAGE))
            f.flush()
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def text(self, process, name):
        with open(f"/proc/{self.pids[process]}/{name}", "rb") as f:
            return [line.decode("utf-8", "surrogateescape") for line in f.read().split(b"\n")[:-1]]

    def smaps(self, process, *bounds):
        """All of it, or what lies in [from, to). Without the lines of protection keys, which some processors have."""
        low, high = (word(bounds[0]), word(bounds[1])) if bounds else (0, 1 << 64)
        out, shown = [], True
        for line in self.text(process, "smaps"):
            if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                shown = low <= int(head[1], 16) and int(head[2], 16) <= high
            if shown and not line.startswith("ProtectionKey:"):
                out.append(line)
        return out

    def own_id(self, process, at):
        """Device and inode of the shared anonymous memory at an address: it has an inode of its own."""
        with open(f"/proc/{self.pids[process]}/maps") as f:
            for line in f:
                bounds, _, _, dev, ino, *name = line.split()
                if int(bounds.split("-")[0], 16) == at and name == ["/dev/zero", "(deleted)"]:
                    return f" {dev} {ino}"
        return ""

    def status(self, process):
        lines = self.text(process, "status")
        names = [line.split(":")[0] for line in lines]
        return lines[names.index("VmPeak") : names.index("HugetlbPages") + 1]

    def words(self, pid, at, pages):
        with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as f:
            return [x for (x,) in struct.iter_unpack("<Q", os.pread(f.fileno(), pages * 8, at // PAGE * 8))]

    def pagemap(self, *ranges):
        """Words of pages, in groups of three: process, address, pages. A frame is shown by a number of its own."""
        out, seen = [], {zero_frame(): "zero"}
        for process, at, pages in zip(*[iter(ranges)] * 3):
            for x in self.words(self.pids[process], word(at), int(pages)):
                frame = ""
                if x >> 63:
                    low = x & ((1 << 55) - 1)
                    frame = " " + seen.setdefault(low, f"frame {len(seen)}")
                    x &= ~((1 << 55) - 1)
                out.append(f"{x:016x}{frame}")
        return out

    # ---- the subject's own areas

    def areas(self, pid):
        out = []
        with open(f"/proc/{pid}/smaps") as f:
            for line in f:
                if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                    out.append(dict(head=line.rstrip("\n"), start=int(m[1], 16), end=int(m[2], 16)))
                elif line.startswith("VmFlags:"):
                    out[-1]["flags"] = line[9:].strip()
        return out

    def letters(self, pid, area):
        """A letter a page: . none, A anonymous, F of a file, z the page of zeroes."""
        if area["start"] >> 47:
            return ""
        return "".join(
            "." if not x >> 63 else "F" if x >> 61 & 1 else "z" if x & ((1 << 55) - 1) == zero_frame() else "A"
            for x in self.words(pid, area["start"], (area["end"] - area["start"]) // PAGE)
        )

    @staticmethod
    def first_gap(pid):
        """Where the first mapping without a place would end: the kernel's mmap_base."""
        lines = [line.split()[0].split("-") for line in open(f"/proc/{pid}/maps")]
        user = [(int(a, 16), int(b, 16)) for a, b in lines if int(a, 16) < 1 << 47]
        stack = user[-1]
        soft = 8 << 20
        gap = min(max(soft + (1 << 20), 128 << 20), 0x7FFFFFFFF000 // 6 * 5)
        assert stack[1] == 0x7FFFFFFFF000
        return -(-(0x7FFFFFFFF000 - gap) // PAGE) * PAGE

    def close(self):
        for pid in self.pids.values():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        try:
            os.waitpid(-1, 0)
        except OSError:
            pass
        for pair in self.sockets:
            pair[0].close(), pair[1].close()
        for f in self.fds.values():
            os.close(f)
        for directory in DIRS:
            shutil.rmtree(directory, ignore_errors=True)

    # ---- one line of a transcript

    def do(self, line):
        first, *rest = line.split()
        if first == "file":
            return self.file(*rest)
        if first == "start":
            return self.start()
        if first == "unlink":
            os.unlink(path_of(rest[0]))
            return ["= ok"]
        if first == "pagemap":
            return self.pagemap(*rest)
        process, (verb, *args) = first, rest
        self.drain()
        if verb in ("r", "w"):
            return self.access(process, {"r": "LOAD", "w": "STORE"}[verb], *args)
        if verb in ("poke", "peek", "put", "get", "open", "uffd", "register", "unregister", "drop", "fork", "exit", "smaps", "status"):
            return getattr(self, verb)(process, *args)
        if verb in ("maps", "smaps_rollup", "statm"):
            return self.text(process, verb)
        if verb in ("pread", "pwrite"):
            number = {"pread": 17, "pwrite": 18}[verb]
            return self.result(self.ask(process, "SYSCALL", number, [word(a) for a in args]))
        reply = self.ask(process, "SYSCALL", CALLS[verb], [word(a) for a in args])
        answer = self.result(reply, verb in ("mmap", "mremap", "brk"))
        if verb == "mmap" and reply[0] >= 0 and word(args[3]) & 3 == 1:
            answer[0] += self.own_id(process, reply[0])
        return answer


_zero = []


def zero_frame():
    """The frame of zeroes: what a page that was only read shows."""
    if not _zero:
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
        at = libc.mmap(None, PAGE, 1, 0x22, -1, 0)
        ctypes.string_at(at, 1)
        with open("/proc/self/pagemap", "rb", buffering=0) as f:
            (x,) = struct.unpack("<Q", os.pread(f.fileno(), 8, at // PAGE * 8))
        _zero.append(x & ((1 << 55) - 1))
    return _zero[0]


def build(directory):
    """The subject, at a path of its own: /proc shows it."""
    os.makedirs(directory, exist_ok=True)
    out = os.path.join(directory, "subject")
    flags = "-O1 -static -nostdlib -no-pie -fno-stack-protector -fno-builtin -fno-zero-initialized-in-bss"
    flags += " -fcf-protection=none -fno-asynchronous-unwind-tables -fno-jump-tables -Wl,--build-id=none"
    subprocess.run(["gcc", *flags.split(), os.path.join(HERE, "subject.c"), "-o", out], check=True)
    f = os.open(out, os.O_RDONLY)
    os.fsync(f)  # clean pages in its cache
    os.close(f)
    return out


def record(path, subject):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as f:
        lines = [line for line in f.read().split("\n") if line.startswith(("# ", "> "))]
    world, out = World(subject), []
    try:
        for line in lines:
            out.append(line)
            if line.startswith("> "):
                try:
                    out += world.do(line[2:])
                except BaseException:
                    print(f"{path}: {line}", file=sys.stderr)
                    raise
    finally:
        world.close()
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    os.sched_setaffinity(0, {0})  # what each processor keeps for itself is kept by one
    home = "/tmp/pagewright-subject"
    exe = build(home)
    for name in sys.argv[1:]:
        record(name, exe)
    shutil.rmtree(home)
