/* Random calls on 48 pages, with random loads and stores in between, which no recorder sees; and forks of it.
 *     ./random SEED CALLS PERCENT-OF-TOUCHES FORKS
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 48UL

static sigjmp_buf back;
static void on_fault(int signal) { siglongjmp(back, signal); }
static unsigned long below(unsigned long n) { return random() % n; }

static char *base;

static void touch(void) {
  if (sigsetjmp(back, 1)) return;
  volatile char *at = base + below(PAGES) * PAGE;
  if (below(3))
    *at = 1;
  else
    (void)*at;
}

static void grow_or_shrink(char *at, unsigned long len) {
  unsigned long new_len = (1 + below(4)) * PAGE;
  char *now = mremap(at, len, new_len, below(2));
  if (now != MAP_FAILED && (now < base || now >= base + PAGES * PAGE)) munmap(now, new_len);
}

int main(int count, char **words) {
  static const int prots[] = {0, 1, 3, 3, 3, 1};
  static const int advice[] = {0, 1, 2, 3, 4, 8, 10, 11, 14, 15, 16, 17, 18, 19, 102, 103};
  if (count != 5) return 2;
  srandom(atoi(words[1]));
  int calls = atoi(words[2]);
  unsigned long touches = atoi(words[3]), forks = atoi(words[4]);
  int depth = 0;
  struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
  sigaction(SIGSEGV, &action, NULL);
  sigaction(SIGBUS, &action, NULL);
  base = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = open("random.data", O_RDWR | O_CREAT, 0644);
  ftruncate(fd, 16 * PAGE);
  for (int i = 0; i < calls; i++) {
    unsigned long page = below(PAGES), pages = 1 + below(6);
    if (page + pages > PAGES) pages = PAGES - page;
    char *at = base + page * PAGE;
    unsigned long len = pages * PAGE, other = below(PAGES - pages + 1);
    int prot = prots[below(6)];
    if (below(100) < touches) touch();
    switch (below(14)) {
      case 0:
      case 1:
      case 2:
        mmap(at, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | (below(8) ? 0 : MAP_NORESERVE), -1, 0);
        break;
      case 3:
        mmap(at, len, prot, (below(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED, fd, below(8) * PAGE);
        break;
      case 4:
      case 5:
        munmap(at, len);
        break;
      case 6:
      case 7:
      case 8:
        mprotect(at, len, prot);
        break;
      case 9:
        mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, base + other * PAGE);
        break;
      case 10:
        grow_or_shrink(at, len);
        break;
      case 11:
        madvise(at, len, advice[below(16)]);
        break;
      case 12:
        if (below(2))
          mlock(at, len);
        else
          munlock(at, len);
        break;
      default:
        if (below(100) >= forks * 10 || depth == 3) break;
        if (fork()) {
          if (below(2)) wait(NULL);
        } else {
          depth++;
          calls = i + 30;
        }
    }
  }
  while (wait(NULL) > 0)
    ;
  return 0;
}
