/* Calls that ordinary programs make rarely, a group for each word of the command line. Recorded for `pagewright replay`:
 *     gcc -O1 -pthread features.c -o features && rec -o forks.jsonl -- ./features forks
 * Answers do not matter here: the recorder has them.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf back;
static void on_fault(int signal) { siglongjmp(back, signal); }

/* Runs a statement that may fault. */
#define TRY(x)                 \
  do {                         \
    if (!sigsetjmp(back, 1)) { \
      x;                       \
    }                          \
  } while (0)

static char *map(unsigned long pages, int prot, int flags) {
  return mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static char *fixed(unsigned long at, int flags) {
  return mmap((void *)at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void *in_thread(void *unused) {
  char *p = map(20, RW, 0);
  memset(p, 1, 20 * PAGE);
  munmap(p + 5 * PAGE, 5 * PAGE);
  free(malloc(300000));
  return p;
}

static void threads(void) {
  pthread_t thread[6];
  for (int i = 0; i < 6; i++) pthread_create(&thread[i], NULL, in_thread, NULL);
  for (int i = 0; i < 6; i++) pthread_join(thread[i], NULL);
}

static int deep(int n) {
  volatile char frame[20000];
  frame[0] = 1;
  frame[19999] = 2;
  return n ? deep(n - 1) + frame[0] : 0;
}

static void stacks(void) {
  deep(100);
  char *p = mmap((void *)0x500000000, 16 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
  p[0] = 1;
  TRY(p[-100] = 1);
  TRY(p[-40 * 4096] = 1);
  TRY((void)*(volatile char *)(p - 60 * 4096));
  madvise(p, PAGE, MADV_DONTNEED);
  map(1, RW, 0);
  struct rlimit limit = {1 << 20, 1 << 20};
  setrlimit(RLIMIT_STACK, &limit);
  TRY(deep(200));
  map(1, PROT_READ, 0);
}

static int in_clone(void *unused) {
  char *p = map(3, RW, 0);
  p[0] = 1;
  munmap(p, PAGE);
  return 0;
}

static void clones(void) {
  for (int i = 0; i < 3; i++) {
    if (!vfork()) {
      execl("/bin/true", "true", NULL);
      _exit(1);
    }
    wait(NULL);
  }
  waitpid(clone(in_clone, map(16, RW, 0) + 16 * PAGE, CLONE_VM | SIGCHLD, NULL), NULL, 0);
  waitpid(clone(in_clone, map(16, RW, 0) + 16 * PAGE, SIGCHLD, NULL), NULL, 0);
}

static void forks(void) {
  char *p = map(40, RW, 0);
  memset(p, 1, 40 * PAGE);
  madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTFORK);
  madvise(p + 12 * PAGE, 4 * PAGE, MADV_WIPEONFORK);
  madvise(p + 20 * PAGE, 4 * PAGE, MADV_MERGEABLE);
  madvise(p + 24 * PAGE, 4 * PAGE, MADV_DONTDUMP);
  for (int i = 0; i < 3; i++) {
    if (fork()) continue;
    map(4, RW, 0);
    p[0] = 2;
    mprotect(p + 30 * PAGE, 2 * PAGE, PROT_READ);
    p[28 * PAGE] = 1;
    mprotect(p + 30 * PAGE, 2 * PAGE, RW);
    sbrk(100 * PAGE);
    ((char *)malloc(1 << 18))[1] = 1;
    madvise(p + 12 * PAGE, 4 * PAGE, MADV_KEEPONFORK);
    if (i == 1) {
      if (!fork()) {
        map(4, RW, 0);
        sbrk(33 * PAGE);
        _exit(0);
      }
      wait(NULL);
    }
    _exit(0);
  }
  while (wait(NULL) > 0)
    ;
  madvise(p + 4 * PAGE, 4 * PAGE, MADV_DOFORK);
  map(4, RW, 0);
}

static void memfds(void) {
  int fd = memfd_create("hello", MFD_ALLOW_SEALING);
  ftruncate(fd, 8 * PAGE);
  char *p = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
  fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE);
  mprotect(p, PAGE, PROT_READ);
  munmap(p, 8 * PAGE);
  fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK);
  mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
  p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
  mprotect(p, PAGE, RW);
  mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
  fcntl(fd, F_GET_SEALS, 0);
  TRY(p[9 * PAGE] = 1);
  int again = open("/proc/self/fd/3", O_RDONLY);
  mmap(NULL, PAGE, RW, MAP_SHARED, again, 0);
  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, again, PAGE);
  fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);
  fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
}

static void segments(void) {
  int id = shmget(IPC_PRIVATE, 5 * PAGE, 0600 | IPC_CREAT);
  char *p = shmat(id, NULL, 0);
  p[0] = 1;
  char *q = shmat(id, NULL, SHM_RDONLY);
  mprotect(q, PAGE, PROT_NONE);
  if (!fork()) {
    shmdt(p);
    _exit(0);
  }
  wait(NULL);
  shmdt(p + PAGE);
  shmdt(p);
  shmctl(id, IPC_RMID, NULL);
  shmdt(q);
  shmat(id, NULL, 0);
  id = shmget(0x70617765, 3 * PAGE, 0600 | IPC_CREAT);
  p = shmat(id, NULL, 0);
  shmat(id, p, SHM_REMAP);
  shmat(id, (void *)0x600000000, 0);
  shmat(id, (void *)0x600000123, SHM_RND);
  shmctl(id, IPC_RMID, NULL);
  mremap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
}

static void limits(void) {
  struct rlimit limit = {64 * 1024, 64 * 1024};
  setrlimit(RLIMIT_MEMLOCK, &limit);
  char *p = map(64, RW, 0);
  mlock(p, 32 * PAGE);
  limit.rlim_cur = limit.rlim_max = 200 << 20;
  setrlimit(RLIMIT_AS, &limit);
  map(60000, RW, 0);
  map(1000, RW, 0);
  limit.rlim_cur = limit.rlim_max = 2 << 20;
  setrlimit(RLIMIT_DATA, &limit);
  map(600, RW, 0);
  sbrk(4 << 20);
  setuid(65534);
  mlock(p, 32 * PAGE);
  mlock(p, 8 * PAGE);
  mlockall(MCL_FUTURE);
  map(32, RW, 0);
  map(1, RW, MAP_LOCKED);
  limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
  setrlimit(RLIMIT_AS, &limit);
  fixed(0x1000, MAP_FIXED);
}

static void locks(void) {
  mlockall(MCL_CURRENT);
  map(50, RW, 0);
  munlockall();
  mlockall(MCL_FUTURE | MCL_ONFAULT);
  map(50, RW, 0);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  sbrk(1 << 20);
  munlockall();
  char *p = map(5, RW, 0);
  mlock2(p, 3 * PAGE, MLOCK_ONFAULT);
  munlock(p + PAGE, PAGE);
  map(3, RW, MAP_LOCKED);
  if (!fork()) {
    map(2, RW, 0);
    sbrk(40 * PAGE);
    _exit(0);
  }
  wait(NULL);
}

static void files(void) {
  int fd = open("one", O_RDWR | O_CREAT | O_TRUNC, 0644);
  ftruncate(fd, 10 * PAGE);
  char *p = mmap(NULL, 10 * PAGE, RW, MAP_SHARED, fd, 0);
  char *q = mmap(NULL, 10 * PAGE, RW, MAP_PRIVATE, fd, 0);
  rename("one", "two");
  mprotect(p, PAGE, PROT_READ);
  unlink("two");
  mprotect(q + PAGE, PAGE, PROT_READ);
  TRY(p[11 * PAGE] = 1);
  ftruncate(fd, PAGE);
  TRY((void)*(volatile char *)(q + 5 * PAGE));
  int again = open("/proc/self/fd/3", O_RDONLY);
  mmap(NULL, PAGE, RW, MAP_SHARED, again, 0);
  mmap(NULL, PAGE, RW, MAP_PRIVATE, again, 0);
  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 99, 0);
  int both[2];
  pipe(both);
  mmap(NULL, PAGE, PROT_READ, MAP_SHARED, both[0], 0);
  const char *const paths[] = {"/tmp", "/dev/null", "/dev/zero", "/proc/self/maps"};
  for (int i = 0; i < 4; i++) {
    fd = open(paths[i], O_RDONLY);
    mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  fd = open("/dev/zero", O_RDWR);
  mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
  fd = open("/bin/true", O_PATH);
  mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
  fd = open("/dev/shm/large", O_RDWR | O_CREAT, 0600);
  ftruncate(fd, 4 << 20);
  mmap(NULL, 4 << 20, RW, MAP_SHARED, fd, 0);
  mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  unlink("/dev/shm/large");
  fd = open("large", O_RDWR | O_CREAT, 0600);
  ftruncate(fd, 9 << 20);
  mmap(NULL, 5 << 20, RW, MAP_SHARED, fd, 0);
  mmap(NULL, 3 << 20, PROT_READ, MAP_PRIVATE, fd, 3 * PAGE);
  fd = open("large", O_WRONLY);
  mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0);
  unlink("large");
}

static void odd(void) {
  mmap(NULL, 2 << 20, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  map(3, RW, MAP_32BIT);
  map(3, RW, MAP_32BIT);
  fixed(0x7f0000000000, 0);
  fixed(0x10000, MAP_FIXED_NOREPLACE);
  fixed(0x10000, MAP_FIXED_NOREPLACE);
  fixed(0x123, 0);
  fixed(-4096, MAP_FIXED);
  char *p = map(10, RW, 0);
  syscall(462, p, 2 * PAGE, 0); /* mseal */
  munmap(p, PAGE);
  mprotect(p + PAGE, 3 * PAGE, PROT_READ);
  p = map(2048, RW, 0);
  madvise(p, 2048 * PAGE, MADV_HUGEPAGE);
  map(512, RW, 0);
  map(513, RW, 0);
  int self = syscall(SYS_pidfd_open, getpid(), 0);
  struct iovec both[2] = {{p, PAGE}, {p + 5 * PAGE, 2 * PAGE}};
  syscall(SYS_process_madvise, self, both, 2, MADV_PAGEOUT, 0);
  syscall(SYS_process_madvise, self, both, 2, MADV_DONTNEED, 0);
  personality(READ_IMPLIES_EXEC);
  map(1, RW, 0);
  mmap(NULL, PAGE, PROT_READ, 0x8 | MAP_ANONYMOUS, -1, 0); /* MAP_DROPPABLE */
  remap_file_pages(p, PAGE, 0, 0, 0);
  msync(p, PAGE, MS_SYNC);
  unsigned char in_core[10];
  mincore(p, 10 * PAGE, in_core);
  mincore(p, 10 * PAGE, NULL);
  prctl(65, 1, 0, 0, 0); /* PR_SET_MDWE, REFUSE_EXEC_GAIN */
  mprotect(p, PAGE, RW | PROT_EXEC);
  TRY(*(volatile char *)0xdead0000000000UL = 1);
  TRY(((void (*)(void))(p + PAGE))());
  mremap(p, 0, PAGE, MREMAP_MAYMOVE);
  mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
}

static const struct {
  const char *name;
  void (*run)(void);
} groups[] = {{"threads", threads}, {"stacks", stacks},     {"clones", clones}, {"forks", forks},
              {"memfds", memfds},   {"segments", segments}, {"limits", limits}, {"locks", locks},
              {"files", files},     {"odd", odd}};

int main(int count, char **words) {
  static char other_stack[65536];
  stack_t stack = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER | SA_ONSTACK};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  for (int i = 1; i < count; i++)
    for (unsigned j = 0; j < sizeof groups / sizeof *groups; j++)
      if (!strcmp(words[i], groups[j].name)) groups[j].run();
  return 0;
}
