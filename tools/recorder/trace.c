/* The traced processes: started, told what to do, ended. A process is always parked at a breakpoint of the stub; to make
 * it do something is to set its registers and to let it run up to the next one. Signals stop it and are never delivered,
 * so that it needs no handler and no stack. */
#include "recorder.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, CANNOT_START = 99 };

struct process processes[MOST_PROCESSES];
static struct user_regs_struct registers[MOST_PROCESSES];
static pid_t newborn; /* child of the last fork that stopped us */
const char *lost;

void lose(const char *why) {
  if (lost == NULL) lost = why;
}

/* Waits for the next stop of `pid`; answers its wait status, or -1 if there is none. */
static int next_stop(pid_t pid) {
  int status;
  while (waitpid(pid, &status, __WALL) != pid) {
    lose(errno == EINTR ? "an operation takes too long" : "a process is gone");
    return -1;
  }
  if (WIFSTOPPED(status)) return status;
  lose("a process has ended");
  return -1;
}

/* Lets process `p` run to its next breakpoint or fault. */
static struct answer run(int p) {
  struct answer answer = {0};
  pid_t pid = processes[p].pid;
  for (;;) {
    if (ptrace(PTRACE_CONT, pid, 0, 0) != 0) lose("a process does not go on");
    int status = lost == NULL ? next_stop(pid) : -1;
    if (status < 0) return answer;
    int signal = WSTOPSIG(status);
    if (status >> 16 == PTRACE_EVENT_FORK) {
      unsigned long child = 0;
      ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
      newborn = child;
    } else if (signal == SIGSEGV || signal == SIGBUS) {
      siginfo_t info;
      ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
      return (struct answer){.signal = signal, .code = info.si_code, .addr = (word)info.si_addr};
    } else if (signal == SIGTRAP) {
      struct user_regs_struct now;
      ptrace(PTRACE_GETREGS, pid, 0, &now);
      answer.value = now.rax;
      return answer;
    } /* any other signal is none of the kernel's answers: it is dropped */
  }
}

static struct answer run_at(int p, enum piece piece, word number, const word args[6]) {
  struct user_regs_struct *r = &registers[p];
  r->rip = stub_at(piece);
  r->rax = number;
  r->orig_rax = -1; /* or the kernel would take it for an interrupted call */
  r->rdi = args[0];
  r->rsi = args[1];
  r->rdx = args[2];
  r->r10 = args[3];
  r->r8 = args[4];
  r->r9 = args[5];
  r->rcx = args[2];
  if (ptrace(PTRACE_SETREGS, processes[p].pid, 0, r) != 0) {
    lose("registers cannot be set");
    return (struct answer){0};
  }
  return run(p);
}

struct answer do_call(int p, word number, const word args[6]) { return run_at(p, AT_CALL, number, args); }

struct answer do_load(int p, word addr) {
  const word args[6] = {addr};
  struct answer answer = run_at(p, AT_LOAD, 0, args);
  answer.value &= 255;
  return answer;
}

struct answer do_store(int p, word addr, word value) {
  const word args[6] = {addr, value};
  struct answer answer = run_at(p, AT_STORE, 0, args);
  answer.value = 0;
  return answer;
}

static int open_of(pid_t pid, const char *name) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) lose("/proc does not show a traced process");
  return fd;
}

/* Takes note of a process that is stopped, and parks it. */
static void adopt(int p, pid_t pid) {
  processes[p] = (struct process){
    .pid = pid, .areas_fd = open_of(pid, "smaps"), .pages_fd = open_of(pid, "pagemap"), .stats_fd = open_of(pid, "status")};
  run(p);
  if (ptrace(PTRACE_GETREGS, pid, 0, &registers[p]) != 0) lose("registers cannot be read");
}

word do_fork(int p, int child) {
  static const word none[6];
  newborn = 0;
  struct answer answer = do_call(p, SYS_fork, none);
  if (newborn == 0) return answer.value;
  if (next_stop(newborn) < 0) return 0;
  adopt(child, newborn);
  return 0;
}

static void forget_process(int p) {
  close(processes[p].areas_fd);
  close(processes[p].pages_fd);
  close(processes[p].stats_fd);
  processes[p].pid = 0;
  forget(p);
}

void do_exit(int p) {
  struct user_regs_struct *r = &registers[p];
  pid_t pid = processes[p].pid;
  int status = 0;
  r->rip = stub_at(AT_CALL);
  r->rax = SYS_exit_group;
  r->orig_rax = -1;
  r->rdi = 0;
  ptrace(PTRACE_SETREGS, pid, 0, r);
  ptrace(PTRACE_CONT, pid, 0, 0);
  if (waitpid(pid, &status, __WALL) != pid || !WIFEXITED(status)) lose("a process does not exit");
  else forget_process(p);
}

void do_sweep(int p, word addr, int n, unsigned char bytes[][3], char *failed) {
  const word args[6] = {addr, STUB_SCRATCH, n};
  memset(failed, 0, n);
  struct answer answer = run_at(p, AT_SWEEP, 0, args);
  while (answer.signal != 0 && lost == NULL) {
    struct user_regs_struct now;
    ptrace(PTRACE_GETREGS, processes[p].pid, 0, &now);
    int is_memory = answer.signal == SIGSEGV;
    char letter = '?';
    if (is_memory && answer.code == SEGV_MAPERR) letter = 'M';
    else if (is_memory && answer.code == SEGV_ACCERR) letter = 'A';
    else if (!is_memory && answer.code == BUS_ADRERR) letter = 'B';
    else if (!is_memory && answer.code == BUS_MCEERR_AR) letter = 'P';
    failed[n - now.rcx] = letter;
    now.rip = stub_at(AT_NEXT_PAGE);
    ptrace(PTRACE_SETREGS, processes[p].pid, 0, &now);
    answer = run(p);
  }
  read_scratch(p, bytes, 3 * n);
}

void write_scratch(int p, const void *bytes, size_t n) {
  struct iovec from = {(void *)bytes, n}, to = {(void *)(word)STUB_SCRATCH, n};
  if (process_vm_writev(processes[p].pid, &from, 1, &to, 1, 0) != (ssize_t)n) lose("the stub's memory cannot be written");
}

void read_scratch(int p, void *bytes, size_t n) {
  struct iovec to = {bytes, n}, from = {(void *)(word)STUB_SCRATCH, n};
  if (process_vm_readv(processes[p].pid, &to, 1, &from, 1, 0) != (ssize_t)n) lose("the stub's memory cannot be read");
}

/* The child's side: everything that the stub inherits. */
static void become_stub(const struct start *start) {
  sigset_t none;
  char *const arguments[] = {"subject", NULL}, *const environment[] = {NULL};
  int fd = open(start->program, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || (fd = hand_over_files(fd)) < 0) _exit(CANNOT_START);
  if (start->has_segments && unshare(CLONE_NEWIPC) != 0) _exit(CANNOT_START); /* identifiers begin at 0 */
  for (int i = 0; i < start->n_limits; i++) {
    struct rlimit limit = {start->limits[i].soft, start->limits[i].hard};
    if (setrlimit(start->limits[i].resource, &limit) != 0) _exit(CANNOT_START);
  }
  signal(SIGCHLD, SIG_IGN); /* forked processes that end leave nothing behind */
  sigemptyset(&none);
  sigaddset(&none, SIGCHLD);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (start->has_no_huge_pages) prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (personality(ADDR_NO_RANDOMIZE) < 0) _exit(CANNOT_START);
  if (!start->is_root && getuid() == 0)
    if (setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0) _exit(CANNOT_START);
  if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(CANNOT_START);
  syscall(SYS_execveat, fd, "", arguments, environment, 0x1000 /* AT_EMPTY_PATH */);
  _exit(CANNOT_START);
}

void begin_process(const struct start *start) {
  static const word none[6];
  lost = NULL;
  pid_t pid = fork();
  if (pid < 0) {
    lose("no process can be made");
    return;
  }
  if (pid == 0) become_stub(start);
  processes[0] = (struct process){.pid = pid, .areas_fd = -1, .pages_fd = -1, .stats_fd = -1};
  if (next_stop(pid) < 0) {
    lost = "the stub cannot be started or traced";
    return;
  }
  ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK);
  adopt(0, pid);
  for (word addr = STUB_DATA; addr < STUB_SCRATCH; addr += PAGE) do_store(0, addr, 0xc0 + (addr - STUB_DATA) / PAGE);
  do_store(0, STUB_SCRATCH, 0);
  /* All protection keys are taken, so that memory that may only be executed gets none: as on a processor without keys. */
  while (lost == NULL && (int64_t)do_call(0, SYS_pkey_alloc, none).value >= 0) {}
}

void end_processes(void) {
  for (int p = MOST_PROCESSES - 1; p >= 0; p--) {
    if (processes[p].pid == 0) continue;
    kill(processes[p].pid, SIGKILL);
    while (waitpid(processes[p].pid, NULL, __WALL) < 0 && errno == EINTR) {}
    forget_process(p);
  }
}
