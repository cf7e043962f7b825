#pragma once

#include "actors/concurrency/pending.hpp"

#include <memory>
#include <mutex>

namespace troupe {

/// Something that happens once and is waited for by any number of tasks. What was set stays set; there is no reset,
/// which could only lose wake-ups: make a new event. Copies are the same event. Thread-safe.
class event {
 public:
  struct statistics {
    std::size_t waiting;
  };

  class wait_operation;

  event() : state_(std::make_shared<state>()) {}

  /// Wakes everybody who waits. Setting it again changes nothing.
  void set();

  bool is_set() const;

  /// Waits until it is set.
  wait_operation wait() const;

  statistics stats() const;

 private:
  struct state {
    mutable std::mutex mutex;
    bool set = false;
    wait_queue waiting;
  };

  std::shared_ptr<state> state_;
};

class event::wait_operation {
 public:
  using result_type = void;

  explicit wait_operation(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::optional<expected<void>> begin(pending<void>& who);
  bool abandon(pending<void>& who, error why);

 private:
  std::shared_ptr<state> state_;
};

}  // namespace troupe
