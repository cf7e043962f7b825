#pragma once

#include <compare>

namespace troupe {

/// Whoever holds or borrows something, by the address of what stands for it: an actor's state, a task, a job. Threads
/// have theirs ready. Only compared, never looked into.
class owner {
 public:
  constexpr owner() = default;
  constexpr explicit owner(const void* who) : who_(who) {}

  friend constexpr auto operator<=>(const owner&, const owner&) = default;

 private:
  const void* who_ = nullptr;
};

/// The calling thread.
inline owner this_thread_owner() {
  static thread_local const char address = 0;
  return owner{&address};
}

}  // namespace troupe
