#include "guests/lab/user/programs.h"

#include "guests/lab/user/library.h"

namespace user {

int sensitive(const char*) { return call(Call::Sensitive) == 0 ? 0 : 1; }

int misbehave(const char* arguments) {
  char name[16];
  take_word(arguments, name, sizeof(name));
  using lab::Misbehaviour;
  constexpr struct {
    const char* name;
    Misbehaviour kind;
  } kinds[] = {{"panic", Misbehaviour::Panic},
               {"hang", Misbehaviour::Hang},
               {"scribble", Misbehaviour::Scribble},
               {"triplefault", Misbehaviour::TripleFault}};
  for (const auto& kind : kinds) {
    if (equal(kind.name, name)) call(Call::Misbehave, static_cast<word>(kind.kind));
  }
  return 1;
}

int print_arguments(const char* arguments) {
  char name[16];
  print(take_word(arguments, name, sizeof(name)), "\n");
  return 0;
}

}  // namespace user

extern "C" {

extern const user::Program programs[];
extern const guest::uptr program_count;
const user::Program programs[] = {
    {"init", user::init},
    {"shell", user::shell},
    {"check", user::check},
    {"echo", user::print_arguments},
    {"sensitive", user::sensitive},
    {"panic", user::misbehave},
    {"hang", user::misbehave},
    {"scribble", user::misbehave},
    {"triplefault", user::misbehave},
    {"bench", user::bench},
    {"syscall", user::single_bench},
    {"in", user::single_bench},
    {"cr8wr", user::single_bench},
    {"callret", user::single_bench},
    {"pgfault", user::single_bench},
    {"divzero", user::single_bench},
    {"ptemod", user::single_bench},
    {"forkwait", user::single_bench},
    {"switch", user::single_bench},
    {"walk4k", user::single_bench},
    {"walk2m", user::single_bench},
};
const guest::uptr program_count = sizeof(programs) / sizeof(programs[0]);

[[noreturn]] void run_program(guest::uptr number) {
  char arguments[128];
  user::call(user::Call::Arguments, user::address(arguments), sizeof(arguments));
  user::exit(programs[number].main(arguments));
}
}
