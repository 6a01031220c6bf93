#include "core/sse/rows.h"

#include <vector>

namespace bunshin {

std::span<const Row> simd_rows() {
  static const std::vector<Row> rows = [] {
    std::vector<Row> all;
    for (const auto chapter :
         {sse::mmx_rows(), sse::move_rows(), sse::integer_rows(), sse::float_rows(), sse::special_rows(),
          sse::state_rows(), sse::avx_move_rows(), sse::avx_permute_rows(), sse::avx_masked_rows(),
          sse::avx_integer_rows(), sse::avx_float_rows(), sse::avx_convert_rows(), sse::avx_fma_rows()})
      all.insert(all.end(), chapter.begin(), chapter.end());
    return all;
  }();
  return rows;
}

}  // namespace bunshin
