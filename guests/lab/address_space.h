#pragma once

// A process' page tables: filled on demand, copied on write.

#include "guests/lab/layout.h"

namespace lab {

enum class FaultKind { Read, Write };

class AddressSpace {
 public:
  /// Maps physical memory for the kernel and switches to it. Before any other.
  static void initialize();
  /// To the tables of no process.
  static void activate_kernel();

  /// An empty one. False: no memory.
  bool create();
  /// Shares all pages; who writes first gets a copy. Large pages stay with the parent. False: no memory.
  bool copy_from(AddressSpace& parent);
  /// Frees everything; it must not be the active one.
  void destroy();

  void activate() const { guest::write_cr3(root_); }

  /// Whether an access that faulted is one that the program may make; then the page is there now.
  bool resolve(word linear, FaultKind kind);
  /// Forgets the pages' contents.
  void unmap(word begin, word end);
  /// False: no memory, or there is something.
  bool map_large(word linear);
  /// The lowest-level entry of a page that is mapped; else nullptr.
  volatile word* entry_of(word linear) const;

 private:
  bool map_page(word& entry, word linear, FaultKind kind);
  bool copy_on_write(word& entry, word frame, word linear);

  word root_ = 0;
};

}  // namespace lab
