#pragma once

#include "actors/concurrency/pending.hpp"

#include <cstdint>
#include <memory>
#include <optional>

namespace troupe {

/// A number of permits that are taken and given back, not always by the same task. Nobody overtakes: a permit that
/// comes back while others wait belongs to the first of them. Copies are the same semaphore. Thread-safe.
class semaphore {
 public:
  struct statistics {
    std::int64_t value;
    std::optional<std::int64_t> most;
    std::size_t waiting;
  };

  /// A permit, given back when this is destroyed unless `keep()` was called. Move-only.
  class permit;
  class acquire_operation;

  /// A semaphore with `value` permits, and at most `most` where that is given. INVALID_ARGUMENT for a negative value,
  /// and for one above `most`.
  static expected<semaphore> make(std::int64_t value, std::optional<std::int64_t> most = std::nullopt);

  acquire_operation acquire() const;

  /// Without waiting: RESOURCE_EXHAUSTED when there is no permit, or others wait for one.
  expected<permit> try_acquire() const;

  /// Gives a permit that was kept, or a new one. FAILED_PRECONDITION when there are `most` already.
  expected<void> release() const;

  statistics stats() const;

 private:
  class state;

  explicit semaphore(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::shared_ptr<state> state_;
};

class semaphore::permit {
 public:
  permit(permit&&) noexcept = default;
  permit& operator=(permit&& other) noexcept;
  ~permit() { release(); }

  /// Gives it back early. Once it was given back, or is kept, this does nothing.
  void release();

  /// Leaves the giving back to `semaphore::release()`.
  void keep() noexcept { state_.reset(); }

 private:
  friend class state;
  explicit permit(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::shared_ptr<state> state_;
};

class semaphore::acquire_operation {
 public:
  using result_type = permit;

  explicit acquire_operation(std::shared_ptr<state> of) : state_(std::move(of)) {}

  std::optional<expected<permit>> begin(pending<permit>& who);
  bool abandon(pending<permit>& who, error why);

 private:
  std::shared_ptr<state> state_;
};

}  // namespace troupe
