#pragma once

// The programs that the image has.

namespace user {

int init(const char* arguments);
int shell(const char* arguments);
int check(const char* arguments);
int bench(const char* arguments);
/// With a nanobenchmark's name: that one only.
int single_bench(const char* arguments);
int sensitive(const char* arguments);
int misbehave(const char* arguments);
int print_arguments(const char* arguments);

}  // namespace user
