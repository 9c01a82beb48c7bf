/* Runs scripts on this kernel, step by step, in a process of many threads, and says after each step what can be seen.
 *
 *   threads CPU          scripts come in, transcripts go out
 *
 * A script is the line `script NAME`, a line a step, and the line `end`. Its answer begins with its first line, has a line a
 * step, and ends with `end`, or with `lost` and why. Each script runs in a process of its own.
 *
 * A step is a word and decimal numbers. Calls that may wait are made by a thread of their own (t0, t1, ... in the order of
 * their steps); calls on userfaultfds (u0, u1, ...) by the first thread. After each step all threads are left alone until each
 * of them sleeps or has ended. Everything runs on one processor: what several threads do is then one order, not a race.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Headers may be older than the kernel. */
struct poison { struct uffdio_range range; uint64_t mode; int64_t done; };
struct move { uint64_t to, from, length, mode; int64_t done; };
#define IOCTL_MOVE _IOWR(0xAA, 5, struct move)
#define IOCTL_POISON _IOWR(0xAA, 8, struct poison)

enum { PAGE = 4096, SHOWN_PAGES = 24, ARENA_PAGES = 36, SOURCE = 40, VECTOR = 60, FILE_PAGES = 12 };
enum { MOST_THREADS = 128, MOST_UFFDS = 32, MOST_NUMBERS = 6, STACK_BYTES = 256 * 1024 };
enum { SECONDS = 20, MOST_CLOCKS = CLOCKS_PER_SEC / 2, ENDLESS = 13 }; /* ENDLESS: exit status of a script whose call spins */

static const uintptr_t arena = 0x200000000000;
static void *page(long n) { return (void *)(arena + n * PAGE); }

typedef long call(const long *v);

struct thread {
  pthread_t id;
  atomic_int tid, has_ended;
  int is_told;
  call *perform;
  long numbers[MOST_NUMBERS];
  long number; /* the step's own: forks are ordered by it */
  long result;
  const char *signal; /* which ended it; none if null */
  sigjmp_buf back;
};

static struct thread threads[MOST_THREADS];
static int thread_count;
static _Thread_local struct thread *self;
static int uffds[MOST_UFFDS], uffd_count; /* descriptors; -1 closed */
static int memory_file, life[2]; /* a pipe: its reader sees the end of this process */
static struct { long number; pid_t pid; } children[MOST_THREADS];
static int child_count;
static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- what threads do: 0 or more is success, a negative errno failure */

static long answer(long r) { return r < 0 ? -errno : r; }
static long placed(const void *r) { return r == MAP_FAILED ? -errno : 0; }

static long do_map(const long *v) {
  const int flags = (v[0] == 2 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_FIXED;
  return placed(mmap(page(v[1]), v[2] * PAGE, v[0] == 1 ? PROT_READ : PROT_READ | PROT_WRITE, flags, -1, 0));
}
static long do_map_file(const long *v) {
  const int flags = (v[0] ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED;
  return placed(mmap(page(v[1]), v[2] * PAGE, PROT_READ | PROT_WRITE, flags, memory_file, v[3] * PAGE));
}
static long do_munmap(const long *v) { return answer(munmap(page(v[0]), v[1] * PAGE)); }
static long do_mprotect(const long *v) { return answer(mprotect(page(v[0]), v[1] * PAGE, v[2])); }
static long do_madvise(const long *v) { return answer(madvise(page(v[0]), v[1] * PAGE, v[2])); }
static long do_mlock(const long *v) { return answer(mlock2(page(v[0]), v[1] * PAGE, v[2])); }
static long do_munlock(const long *v) { return answer(munlock(page(v[0]), v[1] * PAGE)); }
static long do_mremap(const long *v) {
  return placed(mremap(page(v[0]), v[1] * PAGE, v[2] * PAGE, v[3], page(v[4])));
}
static long do_truncate(const long *v) { return answer(ftruncate(memory_file, v[0])); }
static long do_punch(const long *v) {
  return answer(fallocate(memory_file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, v[0] * PAGE, v[1] * PAGE));
}
static long do_load(const long *v) {
  (void)*((volatile unsigned char *)page(v[0]) + v[1]);
  return 0;
}
static long do_store(const long *v) {
  *((volatile unsigned char *)page(v[0]) + v[1]) = 7;
  return 0;
}
/* The kernel stores a byte. */
static long do_kernel_store(const long *v) {
  return answer(mincore(page(VECTOR), PAGE, (unsigned char *)page(v[0]) + v[1]));
}
static long do_fork(const long *v) {
  (void)v;
  const pid_t pid = syscall(SYS_fork);
  if (pid == 0) { /* sleeps until the parent has ended or kills it */
    char byte;
    close(life[1]);
    (void)!read(life[0], &byte, 1);
    _exit(0);
  }
  if (pid < 0) return -errno;
  pthread_mutex_lock(&children_lock);
  int at = child_count++; /* in the order of their steps */
  for (; at > 0 && children[at - 1].number > self->number; at--) children[at] = children[at - 1];
  children[at].number = self->number;
  children[at].pid = pid;
  pthread_mutex_unlock(&children_lock);
  return 0;
}

static const struct { const char *name; call *perform; } calls[] = {
    {"map", do_map},         {"mapfile", do_map_file}, {"munmap", do_munmap},   {"mprotect", do_mprotect},
    {"madvise", do_madvise}, {"mlock", do_mlock},      {"munlock", do_munlock}, {"mremap", do_mremap},
    {"truncate", do_truncate}, {"punch", do_punch},    {"load", do_load},       {"store", do_store},
    {"kstore", do_kernel_store}, {"fork", do_fork},
};

static void on_signal(int signal, siginfo_t *info, void *context) {
  (void)context;
  if (self == NULL) _exit(3);
  self->signal = signal == SIGBUS ? "SIGBUS" : info->si_code == SEGV_MAPERR ? "SEGV_MAPERR" : "SEGV_ACCERR";
  siglongjmp(self->back, 1);
}

static void *run_thread(void *argument) {
  self = argument;
  self->tid = syscall(SYS_gettid);
  if (sigsetjmp(self->back, 1) == 0) self->result = self->perform(self->numbers);
  self->has_ended = 1;
  return NULL;
}

static void begin_thread(call *perform, const long *numbers) {
  struct thread *const t = &threads[thread_count];
  t->perform = perform;
  t->number = thread_count++;
  memcpy(t->numbers, numbers, sizeof t->numbers);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (pthread_create(&t->id, &attributes, run_thread, t) != 0) _exit(4);
  while (!t->tid && !t->has_ended) usleep(50);
}

static int sleeps(const struct thread *t) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", t->tid);
  const int fd = open(path, O_RDONLY);
  if (fd < 0) return t->has_ended;
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  text[n > 0 ? n : 0] = 0;
  const char *const state = strrchr(text, ')');
  return state != NULL && (state[2] == 'S' || state[2] == 'D');
}

/* Leaves the processor to the others until none of them wants it any more: three times in a row all sleep. Who has computed
 * for half a second in one step will do so for ever.
 */
static void settle(void) {
  const clock_t begin = clock();
  for (int quiet = 0; quiet < 3;) {
    usleep(100);
    quiet++;
    if (clock() - begin > MOST_CLOCKS) _exit(ENDLESS);
    for (int i = 0; i < thread_count; i++)
      if (!threads[i].has_ended && !sleeps(&threads[i])) quiet = 0;
  }
}

/* ---- userfaultfds */

static void say(long r) {
  if (r < 0) printf("%s", strerrorname_np(-r));
  else if (r == 0) printf("ok");
  else printf("%ld", r);
}

static void say_place(uint64_t address) {
  const uint64_t offset = address - arena;
  if (offset >= (uint64_t)ARENA_PAGES * PAGE) printf("far");
  else if (offset % PAGE) printf("a%lu:%lx", offset / PAGE, offset % PAGE);
  else printf("a%lu", offset / PAGE);
}

static void new_uffd(int fd) {
  if (uffd_count == MOST_UFFDS) _exit(5);
  uffds[uffd_count++] = fd;
}

static void say_message(const struct uffd_msg *m) {
  const uint64_t flags = m->arg.pagefault.flags;
  switch (m->event) {
  case UFFD_EVENT_PAGEFAULT:
    printf("fault ");
    say_place(m->arg.pagefault.address);
    printf("%s%s %s", flags & 2 ? " wp" : "", flags & 4 ? " minor" : "", flags & 1 ? "write" : "read");
    break;
  case UFFD_EVENT_FORK:
    printf("fork u%d", uffd_count);
    new_uffd(m->arg.fork.ufd);
    break;
  case UFFD_EVENT_REMAP:
    printf("remap ");
    say_place(m->arg.remap.from);
    printf(" ");
    say_place(m->arg.remap.to);
    printf(" %llu", m->arg.remap.len / PAGE);
    break;
  default:
    printf(m->event == UFFD_EVENT_REMOVE ? "remove " : m->event == UFFD_EVENT_UNMAP ? "unmap " : "unknown ");
    say_place(m->arg.remove.start);
    printf(" ");
    say_place(m->arg.remove.end);
  }
}

static void say_messages(int fd) {
  struct uffd_msg messages[16];
  const ssize_t n = read(fd, messages, sizeof messages);
  if (n < 0) return say(-errno);
  for (size_t i = 0; i < n / sizeof *messages; i++) {
    if (i > 0) printf(", ");
    say_message(&messages[i]);
  }
}

static void say_new_uffd(const long *v) {
  const int fd = syscall(SYS_userfaultfd, O_NONBLOCK | O_CLOEXEC | v[1]);
  if (fd < 0) return say(-errno);
  struct uffdio_api api = {.api = UFFD_API, .features = v[0]};
  new_uffd(fd);
  say(answer(ioctl(fd, UFFDIO_API, &api)));
}

static void say_done(long r, int64_t done) {
  say(answer(r));
  printf(" done ");
  say(done);
}

/* v: which, first page, pages, mode; of `move` also the page that is moved from. */
static void on_uffd(const char *name, const long *v) {
  if (v[0] >= uffd_count || uffds[v[0]] < 0) { printf("none"); return; }
  const int fd = uffds[v[0]];
  const struct uffdio_range range = {(uintptr_t)page(v[1]), v[2] * PAGE};
  const uint64_t mode = v[3];
  if (!strcmp(name, "register")) {
    struct uffdio_register r = {.range = range, .mode = mode};
    const long done = ioctl(fd, UFFDIO_REGISTER, &r);
    say(answer(done));
    if (done == 0) printf(" ioctls %llx", r.ioctls);
  } else if (!strcmp(name, "unregister")) {
    say(answer(ioctl(fd, UFFDIO_UNREGISTER, &range)));
  } else if (!strcmp(name, "wake")) {
    say(answer(ioctl(fd, UFFDIO_WAKE, &range)));
  } else if (!strcmp(name, "protect")) {
    struct uffdio_writeprotect r = {range, mode};
    say(answer(ioctl(fd, UFFDIO_WRITEPROTECT, &r)));
  } else if (!strcmp(name, "copy")) {
    struct uffdio_copy r = {range.start, (uintptr_t)page(SOURCE), range.len, mode, 0};
    const long done = ioctl(fd, UFFDIO_COPY, &r);
    say_done(done, r.copy);
  } else if (!strcmp(name, "zero")) {
    struct uffdio_zeropage r = {range, mode, 0};
    const long done = ioctl(fd, UFFDIO_ZEROPAGE, &r);
    say_done(done, r.zeropage);
  } else if (!strcmp(name, "continue")) {
    struct uffdio_continue r = {.range = range, .mode = mode};
    const long done = ioctl(fd, UFFDIO_CONTINUE, &r);
    say_done(done, r.mapped);
  } else if (!strcmp(name, "poison")) {
    struct poison r = {range, mode, 0};
    const long done = ioctl(fd, IOCTL_POISON, &r);
    say_done(done, r.done);
  } else if (!strcmp(name, "move")) {
    struct move r = {range.start, (uintptr_t)page(v[4]), range.len, mode, 0};
    const long done = ioctl(fd, IOCTL_MOVE, &r);
    say_done(done, r.done);
  } else if (!strcmp(name, "read")) {
    say_messages(fd);
  } else if (!strcmp(name, "close")) {
    close(fd);
    uffds[v[0]] = -1;
    printf("ok");
  } else _exit(6);
}

static void end_first_child(void) {
  if (child_count == 0) { printf("none"); return; }
  const pid_t pid = children[0].pid;
  child_count--;
  memmove(children, children + 1, child_count * sizeof *children);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  printf("ok");
}

/* ---- what can be seen */

static void say_threads(void) {
  int waiting = 0;
  for (int i = 0; i < thread_count; i++) {
    struct thread *const t = &threads[i];
    if (!t->has_ended) waiting++;
    if (!t->has_ended || t->is_told) continue;
    t->is_told = 1;
    pthread_join(t->id, NULL);
    printf(" t%d=", i);
    if (t->signal != NULL) printf("%s", t->signal);
    else say(t->result);
  }
  printf(" waiting %d", waiting);
}

/* Of each: can it be read, how many faults wait to be read, and how many wait. */
static void say_uffds(void) {
  for (int i = 0; i < uffd_count; i++) {
    if (uffds[i] < 0) continue;
    char path[64], text[256];
    struct pollfd p = {.fd = uffds[i], .events = POLLIN};
    poll(&p, 1, 0);
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", uffds[i]);
    const int fd = open(path, O_RDONLY);
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    int pending = -1, total = -1;
    const char *const at = strstr(text, "pending:");
    if (at != NULL) sscanf(at, "pending: %d total: %d", &pending, &total);
    printf(" u%d=%s%s,%d/%d", i, p.revents & POLLIN ? "IN" : "", p.revents & POLLERR ? "ERR" : "", pending, total);
  }
}

/* A letter a page: A anonymous, F of an object, small where it is mapped more than once; z zeroes; g guard; m another mark;
 * and ! where userfaultfd protects it. */
static void say_pages(void) {
  static int maps = -1, flags = -1, counts = -1;
  if (maps < 0) {
    maps = open("/proc/self/pagemap", O_RDONLY);
    flags = open("/proc/kpageflags", O_RDONLY);
    counts = open("/proc/kpagecount", O_RDONLY);
  }
  uint64_t entries[SHOWN_PAGES];
  if (pread(maps, entries, sizeof entries, arena / PAGE * 8) != sizeof entries) _exit(7);
  printf(" ");
  for (int i = 0; i < SHOWN_PAGES; i++) {
    const uint64_t entry = entries[i], frame = entry & ((1ull << 55) - 1);
    uint64_t its_flags = 0, count = 0;
    char letter = '.';
    if (entry >> 63 & 1) {
      if (pread(flags, &its_flags, 8, frame * 8) != 8 || pread(counts, &count, 8, frame * 8) != 8) _exit(8);
      letter = its_flags >> 24 & 1 ? 'z' : entry >> 61 & 1 ? (count > 1 ? 'f' : 'F') : count > 1 ? 'a' : 'A';
    } else if (entry >> 58 & 1) letter = 'g';
    else if (entry >> 62 & 1) letter = 'm';
    putchar(letter);
    if (entry >> 57 & 1) putchar('!');
  }
}

/* Each area: first page, pages, permissions, and some of its VmFlags. */
static void say_areas(void) {
  static const char *const wanted[] = {"um", "uw", "ui", "lo", "lf", "dc"};
  char line[1024];
  int is_shown = 0;
  FILE *const f = fopen("/proc/self/smaps", "r");
  if (f == NULL) _exit(9);
  while (fgets(line, sizeof line, f) != NULL) {
    unsigned long start, end;
    char permissions[8];
    if (sscanf(line, "%lx-%lx %4s", &start, &end, permissions) == 3) {
      is_shown = start >= arena && start < arena + (uintptr_t)ARENA_PAGES * PAGE;
      if (start >= arena + (uintptr_t)ARENA_PAGES * PAGE) break;
      if (is_shown) printf(" [a%lu+%lu %s", (start - arena) / PAGE, (end - start) / PAGE, permissions);
    } else if (is_shown && !strncmp(line, "VmFlags:", 8)) {
      for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strstr(line, wanted[i]) != NULL) printf(" %s", wanted[i]);
      printf("]");
    }
  }
  fclose(f);
}

/* ---- scripts */

static void step(const char *line) {
  char name[16];
  long v[MOST_NUMBERS] = {0};
  int at = 0, length = 0;
  if (sscanf(line, "%15s%n", name, &at) != 1) _exit(10);
  for (int i = 0; i < MOST_NUMBERS && sscanf(line + at, "%ld%n", &v[i], &length) == 1; i++) at += length;
  call *perform = NULL;
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (!strcmp(calls[i].name, name)) perform = calls[i].perform;
  if (perform != NULL && thread_count == MOST_THREADS) _exit(11);
  if (perform != NULL) printf("t%d", thread_count), begin_thread(perform, v);
  else if (!strcmp(name, "userfaultfd")) say_new_uffd(v);
  else if (!strcmp(name, "exit")) end_first_child();
  else on_uffd(name, v);
  settle();
  printf(" |");
  say_threads();
  printf(" |");
  say_uffds();
  printf(" |");
  say_pages();
  printf(" |");
  say_areas();
  printf("\n");
  fflush(stdout);
}

/* Eight pages to copy from, one for mincore to ask about, and a memory file, half of which has pages. */
static void prepare(void) {
  static char bytes[FILE_PAGES / 2 * PAGE];
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  alarm(SECONDS);
  memory_file = memfd_create("m", 0);
  if (mmap(page(SOURCE), 8 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) _exit(12);
  if (mmap(page(VECTOR), PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED) _exit(12);
  memset(page(SOURCE), 1, 8 * PAGE);
  if (pipe(life) != 0 || ftruncate(memory_file, FILE_PAGES * PAGE) != 0) _exit(12);
  if (pwrite(memory_file, bytes, sizeof bytes, 0) != sizeof bytes) _exit(12);
}

static void run_script(char *const *lines, size_t count) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prepare();
  for (size_t i = 0; i < count; i++) step(lines[i]);
  while (child_count > 0) kill(children[--child_count].pid, SIGKILL);
  _exit(0);
}

int main(int argc, char **argv) {
  enum { MOST_STEPS = 1000 };
  static char *lines[MOST_STEPS];
  char *line = NULL;
  size_t room = 0, count = 0;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) return perror("sched_setaffinity"), 1;
  for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
    line[n - 1] = 0;
    if (!strncmp(line, "script ", 7)) puts(line);
    else if (strcmp(line, "end") && count < MOST_STEPS) lines[count++] = strdup(line);
    else {
      fflush(stdout);
      int status = 0;
      const pid_t pid = fork();
      if (pid == 0) run_script(lines, count);
      waitpid(pid, &status, 0);
      if (status == 0) puts("end");
      else if (WIFEXITED(status) && WEXITSTATUS(status) == ENDLESS) puts("lost a call spins");
      else printf("lost %s %d\n", WIFSIGNALED(status) ? "signal" : "exit",
                  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
      fflush(stdout);
      while (count > 0) free(lines[--count]);
    }
  }
  return 0;
}
