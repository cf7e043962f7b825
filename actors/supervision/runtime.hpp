#pragma once

#include "actors/supervision/portal.hpp"

#include <caf/fwd.hpp>

#include <cstddef>
#include <functional>
#include <memory>

namespace troupe {

struct runtime_options {
  /// Threads that run actors. None of them may block.
  std::size_t scheduler_threads = 2;
  thread_pool_options threads = {};
  troupe::clock* clock = nullptr;  ///< of the root scope; null: `real_clock()`
};

/// What a program of actors, coroutines and functions that block runs on: an actor system, one thread for coroutines, a
/// pool, a portal, and the root of all cancel scopes. It ends by cancelling that scope, waiting for what goes on, and
/// joining its threads; so it must not be destroyed by one of them.
class runtime {
 public:
  explicit runtime(runtime_options options = {});
  ~runtime();
  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  cancel_scope& scope() noexcept;
  cancel_token token() const noexcept;
  caf::actor_system& system() noexcept;
  portal::executor_type executor() noexcept;
  thread_pool& threads() noexcept;
  portal& door() noexcept;

  /// Has SIGINT and SIGTERM cancel the root scope from here on, and every further one call `on_again` in the
  /// coroutines' thread.
  void cancel_on_signals(std::function<void(int signal)> on_again = {});

  /// The first signal that came; 0 for none.
  int signal() const noexcept;

 private:
  struct parts;
  const std::unique_ptr<parts> parts_;
};

namespace detail {

/// What the program's end is to the process: `value`, or 128 and the signal that cancelled it, or 1 with the error
/// told.
int exit_code(const runtime& of, const expected<int>& outcome);

template <class Main>
expected<int> call_main(Main& main, runtime& with) {
  using returned = std::invoke_result_t<Main&, runtime&>;
  auto outcome = [&] {
    if constexpr (is_awaitable<returned>)
      return with.door().call([&] { return main(with); }, with.token());
    else
      return contained(main, with);
  }();
  if constexpr (std::same_as<decltype(outcome), expected<void>>)
    return outcome ? expected<int>{0} : expected<int>{std::move(outcome).error()};
  else
    return outcome;
}

}  // namespace detail

/// Runs a program: `main(runtime&)`, which may be a coroutine and returns nothing or the exit code, possibly as an
/// `expected`. SIGINT and SIGTERM cancel the runtime's root scope, under which main is to wait. Returns the code for
/// the process: main's own; 130 and 143 when it ended by the cancellation of such a signal; 1 after an error, which is
/// told on standard error.
template <class Main>
int run(Main main, runtime_options options = {}) {
  runtime all{std::move(options)};
  all.cancel_on_signals();
  return detail::exit_code(all, detail::call_main(main, all));
}

/// Lends a runtime to whoever needs one for a while: those who overlap share it, and it ends with the last of them, who
/// waits for that. Thread-safe.
class runtime_provider {
 public:
  explicit runtime_provider(runtime_options options = {}) : options_(std::move(options)) {}

  std::shared_ptr<runtime> acquire();

 private:
  const runtime_options options_;
  std::mutex mutex_;
  std::weak_ptr<runtime> shared_;
};

}  // namespace troupe
