/* What the host kernel charges for the operations of rows.ts: one line each, "id ns", CPU time, best of ROUNDS.
 *
 * CPU time and not the wall clock, so that other processes on the machine do not count against the kernel. Huge pages are
 * refused, or one fault would stand for 512. The exception are faults that a thread on another processor answers: there it is
 * the wall clock, because most of such a fault is two wake-ups across processors, while which nobody runs.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<linux/userfaultfd.h>)
#include <linux/userfaultfd.h>
#endif

enum { PAGE = 4096, PAIRS = 10000, PAGES = 20000, HALF = 30000, ROUNDS = 5, FEW = 200 };
#define NONE PROT_NONE
#define R PROT_READ
#define RW (PROT_READ | PROT_WRITE)

static clockid_t watch = CLOCK_PROCESS_CPUTIME_ID;
static double now(void) {
  struct timespec t;
  clock_gettime(watch, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static char *map(char *at, size_t pages, int prot) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0);
  char *p = mmap(at, pages * PAGE, prot, flags, -1, 0);
  if (p == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  return p;
}

static void must(int r) {
  if (r == 0) return;
  perror("kernel.c");
  exit(1);
}

/* A mapping that touches no other: joined to an area that was written, its pieces would keep that area's anon_vma. */
static char *lonely(size_t pages, int prot) {
  char *p = map(0, pages + 2, NONE);
  must(munmap(p, (pages + 2) * PAGE));
  return map(p + PAGE, pages, prot);
}

/* One operation: its timed body, and what prepares it untimed. */
typedef void step(void);
static void time_it(const char *id, double operations, step *prepare, step *body) {
  double least = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    if (prepare) prepare();
    double t = now();
    body();
    t = (now() - t) / operations;
    if (t < least) least = t;
  }
  printf("%s %.2f\n", id, least);
}

/* ---- areas */
static char *comb; /* 2 * HALF + 1 pages; every second one has no access, so each is an area of its own */
static char *tooth(int i) { return comb + 2L * ((i * 7919L) % HALF) * PAGE; }

static void map_pair(void) {
  for (int i = 0; i < PAIRS; i++) must(munmap(map(0, 1, RW), PAGE));
}
static void fixed_pair(void) {
  for (int i = 0; i < PAIRS; i++) {
    must(munmap(tooth(i), PAGE));
    map(tooth(i), 1, RW);
  }
}
static void protect_pair(void) {
  for (int i = 0; i < PAIRS; i++) {
    must(mprotect(tooth(i), PAGE, R));
    must(mprotect(tooth(i), PAGE, RW));
  }
}
static void split_merge_pair(void) {
  for (int i = 0; i < PAIRS; i++) {
    must(mprotect(tooth(i), PAGE, NONE));
    must(mprotect(tooth(i), PAGE, RW));
  }
}

/* four written pages, there and back */
static char *wanderer;
static void moves(void) {
  char *there = wanderer + 8 * PAGE;
  for (int i = 0; i < PAIRS; i += 2) {
    if (mremap(wanderer, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == MAP_FAILED) must(-1);
    if (mremap(there, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, wanderer) == MAP_FAILED) must(-1);
  }
}

/* reading /proc/self, a page at a time as it comes */
static void read_file(const char *path) {
  static char buffer[1 << 16];
  int fd = open(path, O_RDONLY);
  if (fd < 0) must(-1);
  while (read(fd, buffer, sizeof buffer) > 0) {
  }
  close(fd);
}
static void read_maps(void) { read_file("/proc/self/maps"); }
static void read_smaps(void) { read_file("/proc/self/smaps"); }

static void areas(void) {
  wanderer = lonely(12, RW);
  for (int i = 0; i < 4; i++) wanderer[i * PAGE] = 1;
  must(munmap(wanderer + 4 * PAGE, 8 * PAGE));
  time_it("mremap", PAIRS, 0, moves);
  must(munmap(wanderer, 4 * PAGE));
  time_it("mmap.empty", PAIRS, 0, map_pair);
  comb = lonely(2 * HALF + 1, RW);
  for (int i = 0; i < HALF; i++) must(mprotect(comb + (2L * i + 1) * PAGE, PAGE, NONE));
  time_it("mmap.60k", PAIRS, 0, map_pair);
  time_it("fixed.60k", PAIRS, 0, fixed_pair);
  time_it("mprotect.60k", PAIRS, 0, protect_pair);
  time_it("splitmerge.60k", PAIRS, 0, split_merge_pair);
  time_it("maps.60k", 2 * HALF + 1, 0, read_maps);
  time_it("smaps.60k", 2 * HALF + 1, 0, read_smaps);
  must(munmap(comb, (2L * HALF + 1) * PAGE));
}

/* ---- pages */
static char *region;
static void write_all(void) {
  for (long i = 0; i < PAGES; i++) region[i * PAGE] = 1;
}
static void read_all(void) {
  for (long i = 0; i < PAGES; i++) (void)*(volatile char *)(region + i * PAGE);
}
static void drop_all(void) { must(madvise(region, (long)PAGES * PAGE, MADV_DONTNEED)); }
static void drop_and_read(void) {
  drop_all();
  read_all();
}
static void protect_all(void) {
  must(mprotect(region, (long)PAGES * PAGE, R));
  must(mprotect(region, (long)PAGES * PAGE, RW));
}

/* A child that does nothing until it is told to go; the parent goes on while it lives. */
static pid_t spawn(int gate[2]) {
  must(pipe(gate));
  pid_t child = fork();
  if (child != 0) return child;
  char c;
  close(gate[1]);
  _exit(read(gate[0], &c, 1) < 0);
}
static void let_go(int gate[2], pid_t child) {
  close(gate[0]);
  close(gate[1]);
  waitpid(child, 0, 0);
}

static void forks(void) {
  double fork_least = 1e18, cow_least = 1e18;
  for (int round = 0; round < ROUNDS; round++) {
    int gate[2];
    double t = now();
    pid_t child = spawn(gate);
    t = (now() - t) / PAGES;
    if (t < fork_least) fork_least = t;
    t = now();
    write_all();
    t = (now() - t) / PAGES;
    if (t < cow_least) cow_least = t;
    let_go(gate, child);
  }
  printf("fork.page %.2f\ncow.fork %.2f\n", fork_least, cow_least);
}

static void pages(void) {
  region = lonely(PAGES, RW);
  madvise(region, (long)PAGES * PAGE, MADV_NOHUGEPAGE);
  time_it("fault.write", PAGES, drop_all, write_all);
  time_it("zap.page", PAGES, write_all, drop_all);
  time_it("fault.read", PAGES, drop_all, read_all);
  time_it("cow.zero", PAGES, drop_and_read, write_all);
  write_all();
  forks();
  time_it("mprotect.page", 2 * PAGES, 0, protect_all);
  must(munmap(region, (long)PAGES * PAGE));
}

/* ---- fork by area: FEW areas of one page, written */
static void fork_few(void) {
  int gate[2];
  pid_t child = spawn(gate);
  let_go(gate, child);
}
static void fork_areas(void) {
  /* the price of a process alone is taken off: ours are no processes */
  double bare = 1e18, full = 1e18;
  for (int round = 0; round < 4 * ROUNDS; round++) {
    double t = now();
    fork_few();
    t = now() - t;
    if (t < bare) bare = t;
  }
  char *few = lonely(2 * FEW, NONE);
  for (long i = 0; i < FEW; i++) {
    must(mprotect(few + 2 * i * PAGE, PAGE, RW));
    few[2 * i * PAGE] = 1;
  }
  for (int round = 0; round < 4 * ROUNDS; round++) {
    double t = now();
    fork_few();
    t = now() - t;
    if (t < full) full = t;
  }
  printf("fork.vma %.2f\n", (full - bare) / (2 * FEW));
}

/* ---- userfaultfd: nothing is printed where it, or the right to it, is missing */
#ifdef UFFDIO_WRITEPROTECT
enum { ASKED = 2048, CHUNK = 64 };
static int uffd;
static char *asked, *source;

static void ask(unsigned long request, void *argument) {
  if (ioctl(uffd, request, argument) < 0) must(-1);
}
static void copy_pages(unsigned long to, size_t pages) {
  struct uffdio_copy copy = {to, (unsigned long)source, pages * PAGE, 0, 0};
  ask(UFFDIO_COPY, &copy);
}
static void protect_pages(unsigned long at, size_t pages, int on) {
  struct uffdio_writeprotect protect = {{at, pages * PAGE}, on ? UFFDIO_WRITEPROTECT_MODE_WP : 0};
  ask(UFFDIO_WRITEPROTECT, &protect);
}
static void *answer_all(void *nothing) {
  struct uffd_msg m;
  while (read(uffd, &m, sizeof m) == sizeof m) {
    if (m.event != UFFD_EVENT_PAGEFAULT) continue;
    unsigned long at = m.arg.pagefault.address & ~(PAGE - 1UL);
    if (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) protect_pages(at, 1, 0);
    else copy_pages(at, 1);
  }
  return nothing;
}

static void forget_asked(void) { must(madvise(asked, (long)ASKED * PAGE, MADV_DONTNEED)); }
static void copy_asked(void) {
  for (long i = 0; i < ASKED; i += CHUNK) copy_pages((unsigned long)asked + i * PAGE, CHUNK);
}
static void read_asked(void) {
  for (long i = 0; i < ASKED; i++) (void)*(volatile char *)(asked + i * PAGE);
}
static void protect_asked(void) { protect_pages((unsigned long)asked, ASKED, 1); }
static void write_asked(void) {
  for (long i = 0; i < ASKED; i++) asked[i * PAGE] = 1;
}

/* Left to itself the scheduler puts both threads on one processor in some runs, and not in others. */
static int put_on(pthread_t thread, int processor) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  return pthread_setaffinity_np(thread, sizeof one, &one) == 0;
}
static int another_than(int processor) {
  cpu_set_t all;
  if (sched_getaffinity(0, sizeof all, &all)) return -1;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (i != processor && CPU_ISSET(i, &all)) return i;
  return -1;
}

static void user_faults(void) {
  uffd = syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY: needs no right */);
  if (uffd < 0) return;
  asked = lonely(ASKED, RW);
  source = lonely(CHUNK, RW);
  for (long i = 0; i < CHUNK; i++) source[i * PAGE] = 1;
  struct uffdio_api api = {UFFD_API, UFFD_FEATURE_PAGEFAULT_FLAG_WP, 0};
  struct uffdio_register both = {
      {(unsigned long)asked, (long)ASKED * PAGE}, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP, 0};
  if (ioctl(uffd, UFFDIO_API, &api) < 0 || ioctl(uffd, UFFDIO_REGISTER, &both) < 0) return;
  time_it("uffd.copy", ASKED, forget_asked, copy_asked);
  pthread_t handler; /* waits in read() until the program ends */
  must(pthread_create(&handler, 0, answer_all, 0));
  int here = sched_getcpu(), there = another_than(here);
  if (!put_on(pthread_self(), here)) return;
  if (there >= 0 && put_on(handler, there)) {
    watch = CLOCK_MONOTONIC;
    time_it("uffd.fault", ASKED, forget_asked, read_asked);
    time_it("uffd.wp", ASKED, protect_asked, write_asked);
    watch = CLOCK_PROCESS_CPUTIME_ID;
  }
  if (put_on(handler, here)) time_it("uffd.core", ASKED, forget_asked, read_asked);
}
#else
static void user_faults(void) {}
#endif

int main(void) {
  areas();
  pages();
  fork_areas();
  user_faults();
  return 0;
}
