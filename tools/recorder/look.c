/* What /proc shows of the traced processes: areas, page states, statistics; and what changed since the last look. */
#include "recorder.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* The bits of a pagemap entry. */
#define PRESENT (1ull << 63)
#define SWAPPED (1ull << 62)
#define OF_FILE (1ull << 61)
#define GUARD (1ull << 58)
#define PROTECTED (1ull << 57)
#define EXCLUSIVE (1ull << 56)
#define FRAME ((1ull << 55) - 1)

/* What <linux/fs.h> calls struct pm_scan_arg; older headers lack it. */
struct scan {
  word size, flags, start, end, walk_end, vec, vec_len, max_pages, inverted, mask, any, wanted;
};
struct region {
  word start, end, categories;
};
#define SCAN _IOWR('f', 16, struct scan)
#define IS_ZERO_PAGE (1ull << 5)

enum { NUMBERS = 8, STATS = 5, MOST_NAME = 512, NEVER_MAPPED = 1 };

struct area {
  word start, end;
  size_t at, length; /* its line in the text */
  int is_stub;
};

/* One look at one process. */
struct view {
  struct text lines;
  struct area *areas;
  int n, room;
  word stats[STATS];
};
static struct view views[MOST_PROCESSES][2];
static int newest[MOST_PROCESSES]; /* which of the two */
static int is_known[MOST_PROCESSES];
static int order[MOST_PROCESSES], n_order; /* as they were born */

static word zero_frame;
static int sees_frames;

void find_zero_page(void) {
  word entry = 0;
  volatile char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  (void)page[0];
  if (pread(fd, &entry, sizeof entry, (word)page / PAGE * sizeof entry) == sizeof entry) zero_frame = entry & FRAME;
  sees_frames = zero_frame != 0;
  close(fd);
  munmap((void *)page, PAGE);
}

/* All of a file, in a buffer that stays. Answers the length. */
static size_t read_all(int fd, struct text *into) {
  into->length = 0;
  for (;;) {
    if (into->room - into->length < 1 << 16) {
      into->room = into->room * 2 + (1 << 17);
      into->bytes = realloc(into->bytes, into->room);
      if (into->bytes == NULL) abort();
    }
    ssize_t n = pread(fd, into->bytes + into->length, into->room - into->length - 1, into->length);
    if (n < 0) lose("/proc cannot be read");
    if (n <= 0) break;
    into->length += n;
  }
  into->bytes[into->length] = 0;
  return into->length;
}

static word hex_at(const char **at) {
  word n = 0;
  for (;; (*at)++) {
    char c = **at;
    if (c >= '0' && c <= '9') n = n * 16 + (c - '0');
    else if (c >= 'a' && c <= 'f') n = n * 16 + (c - 'a' + 10);
    else return n;
  }
}

static word decimal_at(const char *at) {
  word n = 0;
  while (*at == ' ' || *at == '\t') at++;
  for (; *at >= '0' && *at <= '9'; at++) n = n * 10 + (*at - '0');
  return n;
}

/* Without the right to see frame numbers: marks the entries of the page of zeroes, which is then frame 1. */
static void mark_zero_pages(int fd, word start, word *entries, int n) {
  struct region regions[MOST_PAGES];
  struct scan scan = {.size = sizeof scan, .start = start, .end = start + (word)n * PAGE, .vec = (word)regions,
                      .vec_len = MOST_PAGES, .mask = IS_ZERO_PAGE, .wanted = IS_ZERO_PAGE};
  int found = ioctl(fd, SCAN, &scan);
  if (found < 0) lose("neither root nor PAGEMAP_SCAN: the page of zeroes cannot be told from others");
  for (int i = 0; i < found; i++)
    for (word at = regions[i].start; at < regions[i].end; at += PAGE) entries[(at - start) / PAGE] |= 1;
}

static char letter_of(word entry) {
  if (entry & PRESENT) {
    if (entry & OF_FILE) return entry & EXCLUSIVE ? 'F' : 'f';
    if (entry & EXCLUSIVE) return 'A';
    return (entry & FRAME) == (sees_frames ? zero_frame : 1) ? 'z' : 'a';
  }
  if (entry & GUARD) return 'g';
  return entry & SWAPPED ? 'm' : '.';
}

static int is_ambiguous(word entry) { return (entry & (PRESENT | OF_FILE | EXCLUSIVE)) == PRESENT; }

/* States of the pages of an area, run-length. */
static void put_pages(struct text *to, int fd, word start, word end) {
  static word entries[MOST_PAGES];
  word n = (end - start) / PAGE;
  if (n > MOST_PAGES) {
    put(to, "*", 1);
    return;
  }
  if (pread(fd, entries, n * sizeof *entries, start / PAGE * sizeof *entries) != (ssize_t)(n * sizeof *entries)) {
    lose("pagemap cannot be read");
    return;
  }
  if (!sees_frames)
    for (word i = 0; i < n; i++)
      if (is_ambiguous(entries[i])) {
        mark_zero_pages(fd, start, entries, n);
        break;
      }
  for (word from = 0, till; from < n; from = till) {
    char letter = letter_of(entries[from]);
    word is_protected = entries[from] & PROTECTED;
    for (till = from + 1; till < n; till++)
      if (letter_of(entries[till]) != letter || (entries[till] & PROTECTED) != is_protected) break;
    put(to, &letter, 1);
    if (is_protected) put(to, "w", 1);
    if (till - from > 1) put_decimal(to, till - from);
  }
}

static int is_stub_name(const char *name) {
  static const char *const names[] = {"/subject", "[stack]", "[vdso]", "[vvar]", "[vvar_vclock]", "[vsyscall]"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0) return 1;
  return 0;
}

/* Files of ours are named as if they lay at the top; the folder in which they do is nobody's business. */
static void shorten(const char *name, size_t n, char *to) {
  static const struct {
    const char *ending, *name;
  } ours[] = {{"/subject", "/subject"}, {"/f1", "/tmpfs/f1"}};
  if (n >= MOST_NAME) n = MOST_NAME - 1;
  memcpy(to, name, n);
  to[n] = 0;
  for (size_t i = 0; i < 2; i++) {
    size_t ending = strlen(ours[i].ending);
    if (to[0] == '/' && n > ending && strstr(to, "pagewright-") != NULL && strcmp(to + n - ending, ours[i].ending) == 0)
      strcpy(to, ours[i].name);
  }
}

/* Reads the first line of an area up to its name; the rest of the record follows line by line. */
static struct area *begin_area(struct view *view, const char *at, const char *end, char *name) {
  if (view->n == view->room) {
    view->room = view->room * 2 + 32;
    view->areas = realloc(view->areas, view->room * sizeof *view->areas);
    if (view->areas == NULL) abort();
  }
  struct area *area = &view->areas[view->n++];
  area->start = hex_at(&at);
  at++;
  area->end = hex_at(&at);
  const char *perms = ++at;
  at += 5;
  word offset = hex_at(&at);
  at++;
  unsigned major = hex_at(&at);
  at++;
  unsigned minor = hex_at(&at);
  word inode = decimal_at(at);
  while (*at == ' ') at++;
  while (at < end && *at != ' ') at++;
  while (at < end && *at == ' ') at++;
  shorten(at, end - at, name);
  area->is_stub = is_stub_name(name);
  area->at = view->lines.length;
  struct text *to = &view->lines;
  put_hex(to, area->start);
  put(to, "-", 1);
  put_hex(to, area->end);
  put(to, " ", 1);
  put(to, perms, 4);
  put(to, " ", 1);
  put_hex(to, offset);
  put(to, " ", 1);
  puts_to(to, label_of(major, minor, inode, name));
  return area;
}

static const struct {
  const char *key;
  int length;
} numbers_of_smaps[NUMBERS] = {{"Rss:", 4},         {"Pss:", 4},           {"Shared_Clean:", 13}, {"Shared_Dirty:", 13},
                               {"Private_Clean:", 14}, {"Private_Dirty:", 14}, {"Anonymous:", 10},    {"Locked:", 7}};

/* The record's last line: what was gathered becomes the area's own line. */
static void end_area(struct view *view, struct area *area, int pages_fd, const char *flags, const char *end,
                     const char *name, const word *numbers) {
  struct text *to = &view->lines;
  while (flags < end && *flags == ' ') flags++;
  while (end > flags && end[-1] == ' ') end--;
  put(to, "|", 1);
  put(to, flags, end - flags);
  put(to, "|", 1);
  put_quoted(to, name, strlen(name));
  if (!area->is_stub) {
    put(to, "|", 1);
    put_pages(to, pages_fd, area->start, area->end);
    for (int i = 0; i < NUMBERS; i++) {
      put(to, i == 0 ? "|" : ",", 1);
      put_decimal(to, numbers[i]);
    }
  }
  area->length = to->length - area->at;
}

static void view_areas(struct view *view, const struct process *process) {
  static struct text smaps;
  char name[MOST_NAME];
  word numbers[NUMBERS];
  struct area *area = NULL;
  view->n = 0;
  view->lines.length = 0;
  const char *at = smaps.bytes, *end;
  size_t length = read_all(process->areas_fd, &smaps);
  for (at = smaps.bytes; at < smaps.bytes + length; at = end + 1) {
    end = strchr(at, '\n');
    if (end == NULL) break;
    if (*at < 'A' || *at > 'Z') {
      area = begin_area(view, at, end, name);
      memset(numbers, 0, sizeof numbers);
    } else if (memcmp(at, "VmFlags:", 8) == 0) {
      if (area != NULL) end_area(view, area, process->pages_fd, at + 8, end, name, numbers);
    } else {
      for (int i = 0; i < NUMBERS; i++)
        if (memcmp(at, numbers_of_smaps[i].key, numbers_of_smaps[i].length) == 0)
          numbers[i] = decimal_at(at + numbers_of_smaps[i].length);
    }
  }
}

static void view_stats(struct view *view, const struct process *process) {
  static const char *const keys[STATS] = {"\nVmSize:", "\nVmLck:", "\nVmData:", "\nVmStk:", "\nVmExe:"};
  static struct text status;
  read_all(process->stats_fd, &status);
  for (int i = 0; i < STATS; i++) {
    const char *found = strstr(status.bytes, keys[i]);
    view->stats[i] = found == NULL ? 0 : decimal_at(found + strlen(keys[i]));
  }
}

static struct view *view_of(int p) {
  struct view *view = &views[p][newest[p] ^= 1];
  view_areas(view, &processes[p]);
  view_stats(view, &processes[p]);
  return view;
}

static void put_line(struct text *to, const struct view *view, const struct area *area) {
  put(to, "\"", 1);
  put(to, view->lines.bytes + area->at, area->length);
  put(to, "\"", 1);
}

static void put_all(struct text *to, const struct view *view) {
  for (int i = 0; i < view->n; i++) {
    put(to, i == 0 ? "[" : ",", 1);
    put_line(to, view, &view->areas[i]);
  }
  put(to, "]", 1);
}

static void put_stats(struct text *to, const struct view *view) {
  for (int i = 0; i < STATS; i++) {
    put(to, i == 0 ? "[" : ",", 1);
    put_decimal(to, view->stats[i]);
  }
  put(to, "]", 1);
}

/* Separates members of an object that is written piece by piece. */
static void put_key(struct text *to, size_t begin, int p) {
  put(to, to->length == begin ? "{" : ",", 1);
  put(to, "\"", 1);
  put_decimal(to, p);
  put(to, "\":", 2);
}

/* Areas that went and came, as {"-":[starts],"+":[lines]}; nothing where nothing changed. */
static int put_delta(struct text *to, const struct view *before, const struct view *now) {
  static struct text gone, here;
  gone.length = here.length = 0;
  for (int i = 0, j = 0; i < before->n || j < now->n;) {
    const struct area *old = i < before->n ? &before->areas[i] : NULL, *new = j < now->n ? &now->areas[j] : NULL;
    if (new == NULL || (old != NULL && old->start < new->start)) {
      puts_to(&gone, gone.length == 0 ? "\"" : ",\"");
      put_hex(&gone, old->start);
      put(&gone, "\"", 1);
      i++;
      continue;
    }
    int is_same = old != NULL && old->start == new->start;
    if (!is_same || old->length != new->length ||
        memcmp(before->lines.bytes + old->at, now->lines.bytes + new->at, new->length) != 0) {
      if (here.length > 0) put(&here, ",", 1);
      put_line(&here, now, new);
    }
    i += is_same;
    j++;
  }
  if (gone.length == 0 && here.length == 0) return 0;
  puts_to(to, gone.length == 0 ? "{" : "{\"-\":[");
  put(to, gone.bytes, gone.length);
  if (gone.length > 0) puts_to(to, here.length == 0 ? "]" : "],");
  if (here.length > 0) puts_to(to, "\"+\":[");
  put(to, here.bytes, here.length);
  puts_to(to, here.length == 0 ? "}" : "]}");
  return 1;
}

static void put_member(struct text *to, const char *name, const struct text *members) {
  if (members->length == 0) return;
  puts_to(to, ",\"");
  puts_to(to, name);
  puts_to(to, "\":");
  put(to, members->bytes, members->length);
  put(to, "}", 1);
}

void look(struct text *to) {
  static struct text deltas, births, stats;
  deltas.length = births.length = stats.length = 0;
  for (int p = 0; p < MOST_PROCESSES; p++)
    if (processes[p].pid != 0 && !is_known[p]) order[n_order++] = p;
  for (int i = 0; i < n_order; i++) {
    int p = order[i], is_new = !is_known[p];
    const struct view *before = &views[p][newest[p]], *now = view_of(p);
    is_known[p] = 1;
    if (is_new) {
      put_key(&births, 0, p);
      put_all(&births, now);
    } else {
      size_t begin = deltas.length;
      put_key(&deltas, 0, p);
      if (!put_delta(&deltas, before, now)) deltas.length = begin;
    }
    if (is_new || memcmp(before->stats, now->stats, sizeof now->stats) != 0) {
      put_key(&stats, 0, p);
      put_stats(&stats, now);
    }
  }
  put_member(to, "d", &deltas);
  put_member(to, "f", &births);
  put_member(to, "st", &stats);
}

void look_first(struct text *to) {
  is_known[0] = 1;
  n_order = 1;
  order[0] = 0;
  const struct view *view = view_of(0);
  puts_to(to, "\"st\":");
  put_stats(to, view);
  puts_to(to, ",\"init\":");
  put_all(to, view);
}

void forget(int p) {
  int kept = 0;
  is_known[p] = 0;
  for (int i = 0; i < n_order; i++)
    if (order[i] != p) order[kept++] = order[i];
  n_order = kept;
}

void each_area(int p, void (*each)(word start, word end, void *with), void *with) {
  const struct view *view = view_of(p);
  for (int i = 0; i < view->n; i++)
    if (!view->areas[i].is_stub) each(view->areas[i].start, view->areas[i].end, with);
}
