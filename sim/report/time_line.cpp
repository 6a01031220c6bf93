#include "sim/report/time_line.h"

namespace bunshin {

void TimeLine::add(const Sample& sample) {
  if (samples_.size() == capacity) {
    for (std::size_t i = 0; 2 * i < samples_.size(); ++i) samples_[i] = samples_[2 * i];
    samples_.resize((samples_.size() + 1) / 2);
    interval_ *= 2;
  }
  samples_.push_back(sample);
  next_ = sample.cycle + interval_;
}

void TimeLine::finish(const Sample& sample) {
  if (samples_.empty() || samples_.back().cycle < sample.cycle) samples_.push_back(sample);
}

}  // namespace bunshin
