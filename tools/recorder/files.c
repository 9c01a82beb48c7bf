/* The descriptors that a sequence begins with, made anew for each, and the names of files in what is recorded.
 *
 *   10 f0, a memory file of 16 pages, every byte of page p 10+p (hex); it may be sealed      17 the same, read only
 *   11 f1, a file of a tmpfs, ten pages and 100 bytes of 40+p   12 the same, read only   13 the same, write only
 *   14 /dev/zero   15 a directory   16 the reading end of a pipe   0, 1, 2 /dev/null
 */
#include "recorder.h"
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FIRST = 10, LAST = 17, PROGRAM = 18, HIGH = 400, MOST_LABELS = 512 };

static int files[LAST + 1];
static int write_end = -1;
static char path_of_f1[4096];

static struct known {
  unsigned major, minor;
  word inode;
  char label[8];
} known[MOST_LABELS];
static int n_known, n_unnamed;

static void name_inode(unsigned major, unsigned minor, word inode, const char *label) {
  if (n_known == MOST_LABELS) return;
  struct known *one = &known[n_known++];
  one->major = major;
  one->minor = minor;
  one->inode = inode;
  snprintf(one->label, sizeof one->label, "%s", label);
}

static void name_file(int fd, const char *label) {
  struct stat found;
  if (fstat(fd, &found) == 0) name_inode(major(found.st_dev), minor(found.st_dev), found.st_ino, label);
}

static int fill(int fd, size_t size, unsigned char pattern) {
  unsigned char page[PAGE];
  for (size_t at = 0; at < size; at += PAGE) {
    size_t n = size - at < PAGE ? size - at : PAGE;
    memset(page, pattern + at / PAGE, n);
    if (pwrite(fd, page, n, at) != (ssize_t)n) return -1;
  }
  return 0;
}

static int open_again(int fd, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return open(path, flags | O_CLOEXEC);
}

int open_files(const char *folder) {
  int ends[2];
  n_known = n_unnamed = 0;
  snprintf(path_of_f1, sizeof path_of_f1, "%s/f1", folder);
  files[10] = memfd_create("f0", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  files[17] = open_again(files[10], O_RDONLY);
  files[11] = open(path_of_f1, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  files[12] = open_again(files[11], O_RDONLY);
  files[13] = open_again(files[11], O_WRONLY);
  files[14] = open("/dev/zero", O_RDWR | O_CLOEXEC);
  files[15] = open(folder, O_RDONLY | O_CLOEXEC);
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  files[16] = ends[0];
  write_end = ends[1];
  for (int fd = FIRST; fd <= LAST; fd++)
    if (files[fd] < 0) return -1;
  name_file(files[10], "f0");
  name_file(files[11], "f1");
  name_file(files[14], "zero");
  return fill(files[10], 16 * PAGE, 0x10) == 0 && fill(files[11], 10 * PAGE + 100, 0x40) == 0 ? 0 : -1;
}

void close_files(void) {
  for (int fd = FIRST; fd <= LAST; fd++) close(files[fd]);
  close(write_end);
  unlink(path_of_f1);
}

int hand_over_files(int program) {
  int high[LAST + 1];
  for (int fd = FIRST; fd <= LAST; fd++) high[fd] = fcntl(files[fd], F_DUPFD, HIGH);
  program = fcntl(program, F_DUPFD, HIGH);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    if (dup2(null, fd) < 0) return -1;
  for (int fd = FIRST; fd <= LAST; fd++)
    if (dup2(high[fd], fd) < 0) return -1;
  if (dup3(program, PROGRAM, O_CLOEXEC) < 0) return -1;
  for (int fd = 3; fd < FIRST; fd++) close(fd);
  return syscall(SYS_close_range, PROGRAM + 1, ~0u, 0) == 0 ? PROGRAM : -1;
}

const char *label_of(unsigned major, unsigned minor, word inode, const char *name) {
  if (inode == 0 && strncmp(name, "/SYSV", 5) != 0) return "-"; /* a segment's inode number is its identifier */
  for (int i = 0; i < n_known; i++)
    if (known[i].inode == inode && known[i].major == major && known[i].minor == minor) return known[i].label;
  char label[8];
  /* File systems that put devices together show another device here than stat does: the program goes by its name. */
  if (strcmp(name, "/subject") == 0) snprintf(label, sizeof label, "exe");
  else snprintf(label, sizeof label, "s%d", n_unnamed++);
  name_inode(major, minor, inode, label);
  return n_known == 0 ? "?" : known[n_known - 1].label;
}
