/* The program that the traced processes run, as an ELF file made by hand: no compiler or linker has a say in what its
 * address space looks like. It needs no stack, no heap and no library, so that all of those may be taken from it.
 *
 *   400000  r--   headers
 *   401000  r-x   the code below
 *   402000  r--   nothing
 *   403000  rw-   four pages of the bytes C0, C1, C2, C3: the source of UFFDIO_COPY
 *   407000  rw-   what calls point to; half a page of the file, half zeroes
 *   408000        the heap would begin here
 */
#include "recorder.h"
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Every piece ends in a breakpoint: the recorder, which traces it, sets the registers and says where to go on. */
__asm__(".pushsection .rodata\n"
        "stub_code:\n"
        "stub_parked: int3\n"
        "stub_call: syscall\n int3\n"
        "stub_load: movzbl (%rdi), %eax\n int3\n"
        "stub_store: movb %sil, (%rdi)\n int3\n"
        /* rdi: address; rsi: where three bytes a page go; rcx: pages */
        "stub_sweep: movb (%rdi), %al\n movb %al, (%rsi)\n"
        " movb 7(%rdi), %al\n movb %al, 1(%rsi)\n"
        " movb 4095(%rdi), %al\n movb %al, 2(%rsi)\n"
        "stub_next_page: addq $4096, %rdi\n addq $3, %rsi\n decq %rcx\n jnz stub_sweep\n int3\n"
        "stub_code_end:\n"
        ".popsection\n");
extern const char stub_code[], stub_call[], stub_load[], stub_store[], stub_sweep[], stub_next_page[], stub_code_end[];

enum { BASE = 0x400000, CODE = 0x401000, FILE_BYTES = 8 * PAGE };

word stub_at(enum piece piece) {
  const char *const labels[] = {stub_call, stub_load, stub_store, stub_sweep, stub_next_page};
  return CODE + (word)(labels[piece] - stub_code);
}

static void segment(Elf64_Phdr *to, int flags, word offset, word in_file, word in_memory) {
  *to = (Elf64_Phdr){.p_type = PT_LOAD,
                     .p_flags = flags,
                     .p_offset = offset,
                     .p_vaddr = BASE + offset,
                     .p_paddr = BASE + offset,
                     .p_filesz = in_file,
                     .p_memsz = in_memory,
                     .p_align = PAGE};
}

int write_stub(const char *path) {
  static char image[FILE_BYTES];
  Elf64_Ehdr *head = (Elf64_Ehdr *)image;
  Elf64_Phdr *segments = (Elf64_Phdr *)(head + 1);
  *head = (Elf64_Ehdr){.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_EXEC,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_entry = CODE,
                       .e_phoff = sizeof *head,
                       .e_ehsize = sizeof *head,
                       .e_phentsize = sizeof *segments,
                       .e_phnum = 5};
  segment(&segments[0], PF_R, 0, PAGE, PAGE);
  segment(&segments[1], PF_R | PF_X, CODE - BASE, PAGE, PAGE);
  segment(&segments[2], PF_R, 2 * PAGE, PAGE, PAGE);
  segment(&segments[3], PF_R | PF_W, STUB_DATA - BASE, 4 * PAGE + SCRATCH_BYTES, 5 * PAGE);
  segments[4] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
  memcpy(image + (CODE - BASE), stub_code, stub_code_end - stub_code);
  for (int page = 0; page < STUB_DATA_PAGES; page++)
    memset(image + (STUB_DATA - BASE) + page * PAGE, 0xc0 + page, PAGE);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
  if (fd < 0) return -1;
  ssize_t n = write(fd, image, sizeof image);
  return close(fd) == 0 && n == sizeof image ? 0 : -1;
}
