/* What the host kernel charges for the operations of rows.ts: one line each, "id ns", CPU time, best of ROUNDS.
 *
 * CPU time and not the wall clock, so that other processes on the machine do not count against the kernel. Huge pages are
 * refused, or one fault would stand for 512.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAIRS = 10000, PAGES = 20000, HALF = 30000, ROUNDS = 5, FEW = 200 };
#define NONE PROT_NONE
#define R PROT_READ
#define RW (PROT_READ | PROT_WRITE)

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
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
    double t = cpu();
    body();
    t = (cpu() - t) / operations;
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
    double t = cpu();
    pid_t child = spawn(gate);
    t = (cpu() - t) / PAGES;
    if (t < fork_least) fork_least = t;
    t = cpu();
    write_all();
    t = (cpu() - t) / PAGES;
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
    double t = cpu();
    fork_few();
    t = cpu() - t;
    if (t < bare) bare = t;
  }
  char *few = lonely(2 * FEW, NONE);
  for (long i = 0; i < FEW; i++) {
    must(mprotect(few + 2 * i * PAGE, PAGE, RW));
    few[2 * i * PAGE] = 1;
  }
  for (int round = 0; round < 4 * ROUNDS; round++) {
    double t = cpu();
    fork_few();
    t = cpu() - t;
    if (t < full) full = t;
  }
  printf("fork.vma %.2f\n", (full - bare) / (2 * FEW));
}

int main(void) {
  areas();
  pages();
  fork_areas();
  return 0;
}
