#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <cstddef>
#include <list>

namespace troupe {

/// The requests that a continuous instance has: lets them in, does a step with them, and takes out what has ended and
/// what is not wanted any more. Contains what the instance throws. For one thread at a time; the instance outlives it.
class continuous_work {
 public:
  explicit continuous_work(continuous_instance& worker);

  /// Evicts what is left, without a word to it.
  ~continuous_work();
  continuous_work(const continuous_work&) = delete;
  continuous_work& operator=(const continuous_work&) = delete;

  std::size_t size() const noexcept { return entries_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  bool has_room() const noexcept { return size() < worker_.capacity(); }

  /// Lets a request in, which stays where it is until its last word, a failed step, or `evict_all`. One that can't be
  /// let in is answered with why.
  void admit(work_item& item);

  /// Evicts what is cancelled, with the reason for its last word.
  void evict_cancelled();

  /// Does that, and then one step with the others. After an error none is in any more; those without a last word are
  /// the caller's to end, or to try again.
  expected<void> step();

  void evict_all() noexcept;

 private:
  class entry;

  continuous_instance& worker_;
  std::list<entry> entries_;
};

}  // namespace troupe
