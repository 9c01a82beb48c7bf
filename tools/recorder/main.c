/* Reads sequences of operations from standard input, performs them, and writes what came of them: README.md has the two
 * languages. Usage: recorder FOLDER STUB CPU: the folder, on a tmpfs, gets the files; STUB is where the stub is written. */
#include "recorder.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum { MOST_WORDS = 64, MOST_LIMITS = 16, SECONDS = 10, SWEEP_AREA = 64, SWEEP_PROCESS = 320 };

static const char *folder, *program;
static struct text out;
static word kept; /* what the last quiet call answered */
static int is_open;

static void put_member_of(const char *name, word value) {
  puts_to(&out, "\"");
  puts_to(&out, name);
  puts_to(&out, "\":\"0x");
  put_hex(&out, value);
  puts_to(&out, "\",");
}

/* A field of /proc/PID/stat, counted as in its documentation. */
static word stat_field(pid_t pid, int field) {
  char path[64], line[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  const char *at = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
  fclose(file);
  for (int i = 2; at != NULL && i < field; i++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

/* begin ROOT SEGMENTS NOHUGE [RESOURCE SOFT HARD]...: as root; with System V segments of its own; without huge pages */
static void begin(char **words, int n) {
  struct limit limits[MOST_LIMITS];
  int count = 0;
  for (int i = 4; i + 2 < n && count < MOST_LIMITS; i += 3)
    limits[count++] = (struct limit){strtoul(words[i], NULL, 16), strtoull(words[i + 1], NULL, 16),
                                     strtoull(words[i + 2], NULL, 16)};
  struct itimerval patience = {.it_interval = {1, 0}, .it_value = {SECONDS, 0}};
  setitimer(ITIMER_REAL, &patience, NULL);
  lost = NULL;
  is_open = open_files(folder) == 0;
  struct start start = {.program = program, .limits = limits, .n_limits = count, .is_root = words[1][0] == '1',
                        .has_segments = words[2][0] == '1', .has_no_huge_pages = words[3][0] == '1'};
  if (is_open) begin_process(&start);
  else lose("the files of a sequence cannot be made");
  puts_to(&out, "H\t");
  if (lost == NULL) {
    put_member_of("brk", stat_field(processes[0].pid, 47));
    put_member_of("stack", stat_field(processes[0].pid, 28));
    look_first(&out);
  }
  puts_to(&out, "\n");
}

static word number_of(const char *text, int p) {
  if (strcmp(text, "$pid") == 0) return processes[p].pid;
  if (strcmp(text, "$kept") == 0) return kept;
  return strtoull(text, NULL, 16);
}

static void put_bytes(const unsigned char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) {
    char pair[3];
    snprintf(pair, sizeof pair, "%02x", bytes[i]);
    put(&out, pair, 2);
  }
}

/* call P NUMBER POINTERS OUTPUT A0 .. A5 [BYTES]: bit i of POINTERS makes argument i an offset into the scratch memory,
 * which holds BYTES; after the call OUTPUT bytes of it are answered. */
static struct answer call(char **words, int n, int p, unsigned char *output, size_t *outputs) {
  word args[6] = {0};
  unsigned pointers = strtoul(words[3], NULL, 16);
  *outputs = strtoul(words[4], NULL, 16);
  if (*outputs > SCRATCH_BYTES) *outputs = SCRATCH_BYTES;
  for (int i = 0; i < 6 && 5 + i < n; i++) args[i] = number_of(words[5 + i], p) + (pointers >> i & 1 ? STUB_SCRATCH : 0);
  if (pointers != 0 || *outputs != 0) {
    unsigned char bytes[SCRATCH_BYTES] = {0};
    for (size_t i = 0; n > 11 && i < sizeof bytes && words[11][2 * i] != 0 && words[11][2 * i + 1] != 0; i++) {
      const char pair[3] = {words[11][2 * i], words[11][2 * i + 1], 0};
      bytes[i] = strtoul(pair, NULL, 16);
    }
    write_scratch(p, bytes, sizeof bytes);
  }
  struct answer answer = do_call(p, number_of(words[2], p), args);
  if (*outputs != 0) read_scratch(p, output, *outputs);
  return answer;
}

static void put_answer(const struct answer *answer, const unsigned char *output, size_t outputs) {
  puts_to(&out, "O\t");
  put_hex(&out, answer->value);
  puts_to(&out, "\t");
  put_decimal(&out, answer->signal);
  puts_to(&out, "\t");
  put_decimal(&out, answer->code);
  puts_to(&out, "\t");
  put_hex(&out, answer->addr);
  puts_to(&out, "\t");
  put_bytes(output, outputs);
  puts_to(&out, "\t");
  look(&out);
  puts_to(&out, "\n");
}

/* One operation; N where there is no such process, or one already. */
static void perform(char **words, int n) {
  static unsigned char output[SCRATCH_BYTES];
  const char *name = words[0];
  int p = n > 1 ? atoi(words[1]) : -1;
  word addr = n > 2 ? strtoull(words[2], NULL, 16) : 0;
  size_t outputs = 0;
  struct answer answer = {0};
  int is_quiet = strcmp(name, "quiet") == 0, is_fork = strcmp(name, "fork") == 0;
  int is_there = p >= 0 && p < MOST_PROCESSES && processes[p].pid != 0;
  if (lost != NULL) return;
  if (!is_there || (is_fork && (addr >= MOST_PROCESSES || processes[addr].pid != 0))) {
    if (!is_quiet) puts_to(&out, is_there ? "N\tbadslot\n" : "N\tnoproc\n");
    return;
  }
  if (is_fork) answer.value = do_fork(p, addr);
  else if (strcmp(name, "exit") == 0) do_exit(p);
  else if (strcmp(name, "load") == 0) answer = do_load(p, addr);
  else if (strcmp(name, "store") == 0) answer = do_store(p, addr, n > 3 ? strtoull(words[3], NULL, 16) : 0);
  else if (n >= 11 && (is_quiet || strcmp(name, "call") == 0)) answer = call(words, n, p, output, &outputs);
  else lose("the recorder does not know this operation");
  if (is_quiet) kept = answer.value;
  else put_answer(&answer, output, outputs);
}

struct sweep {
  int p, left;
  size_t begin;
};

static void sweep_area(word start, word end, void *with) {
  struct sweep *sweep = with;
  unsigned char bytes[SWEEP_AREA][3];
  char failed[SWEEP_AREA];
  word pages = (end - start) / PAGE;
  int n = pages < SWEEP_AREA ? (int)pages : SWEEP_AREA;
  if (n > sweep->left) n = sweep->left;
  if (n <= 0) return;
  sweep->left -= n;
  do_sweep(sweep->p, start, n, bytes, failed);
  puts_to(&out, out.length == sweep->begin ? "\"" : ",\"");
  put_hex(&out, start);
  puts_to(&out, "\":\"");
  for (int from = 0, till; from < n; from = till) {
    for (till = from + 1; till < n; till++)
      if (failed[till] != failed[from] || (failed[from] == 0 && memcmp(bytes[till], bytes[from], 3) != 0)) break;
    if (from > 0) puts_to(&out, " ");
    if (failed[from] != 0) put(&out, &failed[from], 1);
    else put_bytes(bytes[from], 3);
    if (till - from > 1) {
      puts_to(&out, "*");
      put_decimal(&out, till - from);
    }
  }
  puts_to(&out, "\"");
}

/* end: the last sweep, then everything goes. */
static void end(void) {
  size_t begin = out.length;
  puts_to(&out, "E\t{");
  for (int p = 0, is_first = 1; p < MOST_PROCESSES; p++) {
    if (processes[p].pid == 0 || lost != NULL) continue;
    puts_to(&out, is_first ? "\"" : ",\"");
    put_decimal(&out, p);
    puts_to(&out, "\":{");
    struct sweep sweep = {.p = p, .left = SWEEP_PROCESS, .begin = out.length};
    each_area(p, sweep_area, &sweep);
    puts_to(&out, "}");
    is_first = 0;
  }
  puts_to(&out, "}\n");
  if (lost != NULL) {
    out.length = begin;
    puts_to(&out, "D\t");
    puts_to(&out, lost);
    puts_to(&out, "\n");
  }
  end_processes();
  if (is_open) close_files();
  is_open = 0;
}

static int split(char *line, char **words) {
  int n = 0;
  for (char *at = strtok(line, " \n"); at != NULL && n < MOST_WORDS; at = strtok(NULL, " \n")) words[n++] = at;
  return n;
}

static void on_alarm(int signal) { (void)signal; }

static int flush(void) {
  for (size_t at = 0; at < out.length;) {
    ssize_t n = write(1, out.bytes + at, out.length - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    at += n;
  }
  out.length = 0;
  return 0;
}

int main(int argc, char **argv) {
  char *line = NULL, *words[MOST_WORDS];
  size_t room = 0;
  if (argc != 4) return 2;
  folder = argv[1];
  program = argv[2];
  if (write_stub(program) != 0) {
    fprintf(stderr, "cannot write the stub %s\n", program);
    return 2;
  }
  int cpu = atoi(argv[3]);
  if (cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus); /* only quicker: the processes take turns anyway */
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART: waiting ends */
  sigaction(SIGALRM, &action, NULL);
  find_zero_page();
  while (getline(&line, &room, stdin) > 0) {
    int n = split(line, words);
    if (n == 0) continue;
    if (strcmp(words[0], "begin") == 0 && n > 3) begin(words, n);
    else if (strcmp(words[0], "end") == 0) end();
    else perform(words, n);
    if (strcmp(words[0], "end") == 0 && flush() != 0) return 1;
  }
  end_processes();
  return 0;
}
