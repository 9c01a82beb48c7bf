/* The recorder: performs operations in small traced processes and writes down what the host's kernel made of them.
 * README.md says how the parts fit. */
#ifndef RECORDER_H
#define RECORDER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

typedef uint64_t word;

enum { PAGE = 4096, MOST_PROCESSES = 4, MOST_PAGES = 1024 };

/* text.c: strings that grow */
struct text {
  char *bytes;
  size_t length, room;
};
void put(struct text *to, const char *bytes, size_t n);
void puts_to(struct text *to, const char *string);
void put_hex(struct text *to, word n);
void put_decimal(struct text *to, word n);
/* As the inside of a JSON string. */
void put_quoted(struct text *to, const char *bytes, size_t n);

/* stub.c: the program that the traced processes run; README.md draws its address space */
enum { STUB_DATA = 0x403000, STUB_DATA_PAGES = 4, STUB_SCRATCH = 0x407000, SCRATCH_BYTES = 2048 };
enum piece { AT_CALL, AT_LOAD, AT_STORE, AT_SWEEP, AT_NEXT_PAGE };
word stub_at(enum piece piece);
int write_stub(const char *path);

/* files.c: the descriptors of a sequence, and the names of files in what is recorded */
int open_files(const char *folder);
void close_files(void);
/* In the child, before the stub is executed: the documented descriptors and nothing else, but for `program`, which is
 * moved and closes with the exec. Answers its new place, or -1. */
int hand_over_files(int program);
/* "f0", "s1", "exe" .. for the file of an area; "-" for none. */
const char *label_of(unsigned major, unsigned minor, word inode, const char *name);

/* trace.c: the traced processes */
struct process {
  pid_t pid; /* 0: no such process */
  int areas_fd, pages_fd, stats_fd;
};
struct answer {
  word value;
  int signal, code; /* signal 0: none */
  word addr;
};
struct limit {
  int resource;
  word soft, hard;
};
extern struct process processes[MOST_PROCESSES];
/* Why the current sequence cannot go on; NULL while it can. */
extern const char *lost;
void lose(const char *why);
/* How a process begins. */
struct start {
  const char *program;
  const struct limit *limits;
  int n_limits;
  int is_root, has_segments, has_no_huge_pages;
};
void begin_process(const struct start *start);
struct answer do_call(int p, word number, const word args[6]);
struct answer do_load(int p, word addr);
struct answer do_store(int p, word addr, word value);
word do_fork(int p, int child);
void do_exit(int p);
/* Reads three bytes of each of `n` pages into `bytes`; `failed` gets 0, or the letter of the failure. */
void do_sweep(int p, word addr, int n, unsigned char bytes[][3], char *failed);
void write_scratch(int p, const void *bytes, size_t n);
void read_scratch(int p, void *bytes, size_t n);
void end_processes(void);

/* look.c: what /proc shows of them */
void find_zero_page(void);
/* Writes what changed since the last look, as members of a JSON object. */
void look(struct text *to);
/* The first look: all areas and statistics of process 0. */
void look_first(struct text *to);
void forget(int p);
/* Calls `each` for every area that is not the stub's own. */
void each_area(int p, void (*each)(word start, word end, void *with), void *with);

#endif
