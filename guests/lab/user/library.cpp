#include "guests/lab/user/library.h"

namespace user {

namespace {

char line[128];
unsigned used = 0;

}  // namespace

int run(const char* program, const char* arguments) {
  const word child = fork();
  if (child == 0) {
    call(Call::Execute, address(program), address(arguments));
    print("lab: no program ", program, "\n");
    exit(127);
  }
  return child == refused ? -1 : wait_for(child);
}

unsigned length(const char* text) {
  unsigned i = 0;
  while (text[i] != 0) ++i;
  return i;
}

bool equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

bool starts_with(const char* text, const char* beginning) {
  while (*beginning != 0 && *text == *beginning) ++text, ++beginning;
  return *beginning == 0;
}

const char* skip_spaces(const char* text) {
  while (*text == ' ') ++text;
  return text;
}

const char* take_word(const char* text, char* to, unsigned bytes) {
  unsigned i = 0;
  for (text = skip_spaces(text); *text != 0 && *text != ' '; ++text) {
    if (i + 1 < bytes) to[i++] = *text;
  }
  to[i] = 0;
  return skip_spaces(text);
}

word option(const char* text, const char* name, word otherwise) {
  const unsigned name_length = length(name);
  for (; *text != 0; ++text) {
    if (!starts_with(text, name) || text[name_length] != '=') continue;
    const char* at = text + name_length + 1;
    word value = 0;
    while (*at >= '0' && *at <= '9') value = value * 10 + static_cast<word>(*at++ - '0');
    if (*at == 'K') return value << 10;
    if (*at == 'M') return value << 20;
    return *at == 'G' ? value << 30 : value;
  }
  return otherwise;
}

void flush() {
  call(Call::Write, address(line), used);
  used = 0;
}

void print_one(char c) {
  if (used == sizeof(line)) flush();
  line[used++] = c;
}

void print_one(const char* text) {
  for (; *text != 0; ++text) print_one(*text);
}

void print_one(u64 value) {
  char digits[20];
  unsigned count = 0;
  do {
    u32 digit;
    value = guest::divide(value, 10, &digit);
    digits[count++] = static_cast<char>('0' + digit);
  } while (value != 0);
  while (count != 0) print_one(digits[--count]);
}

void print_one(u32 value) { print_one(u64{value}); }

}  // namespace user
