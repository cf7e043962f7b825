#include "skillsets/text_embedding/shape_memory.hpp"

#include <algorithm>

namespace troupe {

bool shape_memory::may_run(const ov::Shape& shape) const {
  return !stopped_ || std::none_of(executed_.begin(), executed_.end(), [&](const auto& known) {
    return known[0] == shape[0] || known[1] == shape[1] || known[0] * known[1] == shape[0] * shape[1];
  });
}

ov::Shape shape_memory::stranger() const {
  // Of these no two have rows, tokens or products in common, so that each shape that is known rules out three at most.
  for (std::size_t rows = 1;; ++rows)
    if (ov::Shape shape{rows, rows + 1}; may_run(shape))
      return shape;
}

void shape_memory::ended(const ov::Shape& shape) {
  executed_ = {shape};
  stopped_ = false;
}

void shape_memory::stopped(const ov::Shape& shape) {
  if (stopped_)
    executed_.push_back(prepared_);
  stopped_ = true;
  prepared_ = shape;
}

}  // namespace troupe
