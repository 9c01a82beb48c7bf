/* Strings that grow. */
#include "recorder.h"
#include <stdlib.h>
#include <string.h>

static char *room_for(struct text *to, size_t n) {
  if (to->length + n > to->room) {
    to->room = (to->length + n) * 2 + 256;
    to->bytes = realloc(to->bytes, to->room);
    if (to->bytes == NULL) abort();
  }
  char *at = to->bytes + to->length;
  to->length += n;
  return at;
}

void put(struct text *to, const char *bytes, size_t n) {
  if (n > 0) memcpy(room_for(to, n), bytes, n);
}

void puts_to(struct text *to, const char *string) { put(to, string, strlen(string)); }

static void put_in_base(struct text *to, word n, unsigned base) {
  char digits[20];
  int at = sizeof digits;
  do {
    digits[--at] = "0123456789abcdef"[n % base];
    n /= base;
  } while (n != 0);
  put(to, digits + at, sizeof digits - at);
}

void put_hex(struct text *to, word n) { put_in_base(to, n, 16); }

void put_decimal(struct text *to, word n) { put_in_base(to, n, 10); }

void put_quoted(struct text *to, const char *bytes, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char c = bytes[i];
    if (c == '"' || c == '\\') put(to, "\\", 1);
    if (c < 32 || c > 126) put(to, "?", 1);
    else put(to, bytes + i, 1);
  }
}
