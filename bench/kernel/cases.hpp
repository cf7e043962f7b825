#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace troupe::bench {

/// What one run of a case does. What a field means to a case that has no streams is said there.
struct case_options {
  std::uint64_t items = 1'000'000;
  unsigned producers = 1;
  unsigned consumers = 1;
  unsigned batch = 1;  ///< receives take up to so many items at a time
};

/// The threads of an executor or of a scheduler, on both sides of every comparison: what is compared is what an item
/// costs, not how many threads somebody starts.
inline constexpr unsigned executor_threads = 2;

/// The capacity of every queue between tasks.
inline constexpr std::uint64_t queue_capacity = 128;

/// What was measured: names and numbers, for the runner.
using figures = std::vector<std::pair<std::string, double>>;

/// Something that makes the figures worthless.
class failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The cases, each in the file of its name. They measure what happens between the moment when all tasks are ready and
// the one when all work is done, and throw a `failure` when something was lost.

// Items through a bounded queue, ours and others'.
figures stream_threads(const case_options& options);
figures stream_coroutines(const case_options& options);
figures stream_actors(const case_options& options);
figures asio_channel(const case_options& options);
figures caf_channel(const case_options& options);
figures moodycamel_queue(const case_options& options);

// `items` waits that are cancelled, restarts, children, or round trips.
figures cancel_waiters(const case_options& options);
figures supervisor_restart(const case_options& options);
figures spawn_and_join(const case_options& options);
figures pool_round_trip(const case_options& options);
figures portal_round_trip(const case_options& options);
figures bare_pool_round_trip(const case_options& options);

}  // namespace troupe::bench
