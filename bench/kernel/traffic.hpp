#pragma once

#include "bench/kernel/cases.hpp"

#include <atomic>
#include <cstdint>
#include <string>

namespace troupe::bench {

/// The items that one producer sends: numbers, of which each is sent once by all producers together.
struct share {
  std::uint64_t first;
  std::uint64_t end;
};

inline share share_of(const case_options& options, unsigned producer) {
  const auto up_to = [&](std::uint64_t n) { return options.items * n / options.producers; };
  return {up_to(producer), up_to(producer + 1)};
}

/// What one consumer has received.
struct tally {
  std::uint64_t count = 0;
  std::uint64_t sum = 0;

  void add(std::uint64_t item) {
    ++count;
    sum += item;
  }
};

/// What all consumers have received together.
class arrivals {
 public:
  void add(const tally& of) {
    count_ += of.count;
    sum_ += of.sum;
  }

  /// Throws unless every item has arrived once.
  void check(const case_options& options) const {
    const auto n = options.items;
    if (count_ == n && sum_ == n * (n - 1) / 2)
      return;
    throw failure{"of " + std::to_string(n) + " items " + std::to_string(count_) + " arrived, and their sum is " +
                  std::to_string(sum_)};
  }

 private:
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<std::uint64_t> sum_ = 0;
};

}  // namespace troupe::bench
