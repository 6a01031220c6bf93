// Reads commands from the console: programs of the image by name, and a few of its own.

#include "guests/lab/user/library.h"
#include "guests/lab/user/programs.h"

namespace user {

namespace {

constexpr unsigned line_bytes = 96, file_bytes = 512;
constexpr char backspace = 8, erase = 127;

/// A line without its end, shown as it is typed.
void read_line(char* line) {
  unsigned used = 0;
  while (true) {
    char c = 0;
    call(Call::Read, address(&c), 1);
    if (c == '\r' || c == '\n') break;
    if (c == backspace || c == erase) {
      if (used != 0) --used, print("\b \b");
    } else if (used + 1 < line_bytes) {
      line[used++] = c;
      print(c);
    }
  }
  print("\n");
  line[used] = 0;
}

void list_files() {
  char name[16];
  for (word i = 0; call(Call::FileName, i, address(name), sizeof(name)) != refused; ++i) print(name, "\n");
}

void show_file(const char* name) {
  char data[file_bytes + 1];
  const word bytes = call(Call::ReadFile, address(name), address(data), file_bytes);
  if (bytes == refused) return print("no file ", name, "\n");
  data[bytes] = 0;
  print(static_cast<const char*>(data), "\n");
}

void write_file(const char* arguments) {
  char name[16];
  const char* const text = take_word(arguments, name, sizeof(name));
  if (call(Call::WriteFile, address(name), address(text), length(text)) == refused) print("no room\n");
}

void help() {
  print("help, ls, cat FILE, write FILE TEXT, exit, or a program: check, bench, forkwait, echo, sensitive\n");
}

/// False: the shell ends.
bool execute(const char* line) {
  char name[32];
  const char* const arguments = take_word(line, name, sizeof(name));
  if (equal(name, "exit")) return false;
  if (equal(name, "help")) {
    help();
  } else if (equal(name, "ls")) {
    list_files();
  } else if (equal(name, "cat")) {
    show_file(arguments);
  } else if (equal(name, "write")) {
    write_file(arguments);
  } else if (name[0] != 0) {
    const int status = run(name, arguments);
    if (status != 0) print("status ", status, "\n");
  }
  return true;
}

}  // namespace

int shell(const char*) {
  char line[line_bytes];
  do {
    print("lab> ");
    read_line(line);
  } while (execute(line));
  return 0;
}

}  // namespace user
