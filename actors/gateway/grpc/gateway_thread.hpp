#pragma once

#include <utility>

namespace troupe {

/// Marks the thread at hand as one of gRPC's, which must not block, while a call is being submitted: work that is
/// immediate runs there, of other calls, too.
class gateway_thread {
 public:
  gateway_thread() noexcept : before_(std::exchange(here_, true)) {}
  ~gateway_thread() { here_ = before_; }

  gateway_thread(const gateway_thread&) = delete;
  gateway_thread& operator=(const gateway_thread&) = delete;

  static bool here() noexcept { return here_; }

 private:
  inline static thread_local bool here_ = false;

  const bool before_;
};

}  // namespace troupe
