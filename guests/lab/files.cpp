#include "guests/lab/files.h"

namespace lab {

namespace {

struct File {
  char name[file_name_bytes];
  unsigned bytes;
  char data[file_bytes];
};

File files[max_files];
unsigned count = 0;

bool equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

File* find(const char* name) {
  for (unsigned i = 0; i < count; ++i) {
    if (equal(files[i].name, name)) return &files[i];
  }
  return nullptr;
}

File* make(const char* name) {
  if (count == max_files) return nullptr;
  File& file = files[count++];
  for (unsigned i = 0; i + 1 < file_name_bytes && name[i] != 0; ++i) file.name[i] = name[i];
  return &file;
}

}  // namespace

int read_file(const char* name, char* to, unsigned bytes) {
  const File* const file = find(name);
  if (file == nullptr) return -1;
  unsigned i = 0;
  for (; i < bytes && i < file->bytes; ++i) to[i] = file->data[i];
  return static_cast<int>(i);
}

bool write_file(const char* name, const char* from, unsigned bytes) {
  File* file = find(name);
  if (file == nullptr) file = make(name);
  if (file == nullptr || bytes > file_bytes) return false;
  for (unsigned i = 0; i < bytes; ++i) file->data[i] = from[i];
  file->bytes = bytes;
  return true;
}

const char* file_name(unsigned index) { return index < count ? files[index].name : nullptr; }

}  // namespace lab
