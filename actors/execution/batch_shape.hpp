#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace troupe {

/// What a piece of work costs an engine, in units that its skillset chooses: tokens for text; 1 where all items cost
/// the same. Items that run together are each filled up to the length of the longest.
struct work_cost {
  std::int64_t items = 1;   ///< 0 or more
  std::int64_t length = 1;  ///< units of its longest item, 1 or more

  std::int64_t units() const noexcept { return items * length; }

  friend bool operator==(const work_cost&, const work_cost&) = default;
};

/// What may be run together. A single piece of work may exceed them by itself.
struct batch_limits {
  std::int64_t items = 1;                                         ///< most items of a batch
  std::int64_t units = std::numeric_limits<std::int64_t>::max();  ///< most units of a batch, padding included

  /// Units that starting one more run costs: so much padding is always worth it, and a part of the real units more.
  std::int64_t run_units = 0;
  std::int64_t padding_part = 4;  ///< padding may be a `padding_part`-th of the real units

  friend bool operator==(const batch_limits&, const batch_limits&) = default;
};

/// The extent of a batch while it is being put together.
class batch_shape {
 public:
  bool empty() const noexcept { return count_ == 0; }
  std::int64_t items() const noexcept { return items_; }
  std::int64_t length() const noexcept { return length_; }
  std::int64_t units() const noexcept { return units_; }  ///< without padding

  /// Whether `cost` may join under `limits`; what comes first always may.
  bool fits(const work_cost& cost, const batch_limits& limits) const noexcept {
    if (empty())
      return true;
    const auto items = items_ + cost.items;
    const auto padded = std::max(length_, cost.length) * items;
    const auto real = units_ + cost.units();
    return items <= limits.items && padded <= limits.units &&
           padded - real <= limits.run_units + real / limits.padding_part;
  }

  void add(const work_cost& cost) noexcept {
    ++count_;
    items_ += cost.items;
    length_ = std::max(length_, cost.length);
    units_ += cost.units();
  }

 private:
  std::int64_t count_ = 0;
  std::int64_t items_ = 0;
  std::int64_t length_ = 0;
  std::int64_t units_ = 0;
};

}  // namespace troupe
