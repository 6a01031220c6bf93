#pragma once

// A list of host-physical addresses that grows by pages: the first entry of each leads to the page before.

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

class AddressList {
 public:
  explicit AddressList(Hardware& hardware) : hardware_(hardware) {}

  /// Nothing can be added without a further page.
  bool full() const { return used_ == entries; }
  void add_page(HostPhysical page) {
    hardware_.store(page, 8, page_.value);
    page_ = page;
    used_ = 1;
  }
  void add(HostPhysical address) { hardware_.store(page_ + 8 * used_++, 8, address.value); }

  /// Empties the list: `visit` gets its addresses, `release` its pages but the first.
  template <class Visit, class Release>
  void take_all(Visit visit, Release release) {
    while (page_.value != 0) {
      for (unsigned i = 1; i < used_; ++i) visit(HostPhysical(hardware_.load(page_ + 8 * i, 8)));
      const HostPhysical before(hardware_.load(page_, 8));
      used_ = before.value != 0 ? entries : 1;
      if (before.value == 0) return;
      release(page_);
      page_ = before;
    }
  }

 private:
  static constexpr unsigned entries = 512;

  Hardware& hardware_;
  HostPhysical page_;
  unsigned used_ = entries;
};

}  // namespace bunshin::vmm
