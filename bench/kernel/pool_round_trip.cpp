// A thread has our pool do something, waits for the result, and again.

#include "actors/concurrency/thread_pool.hpp"
#include "actors/concurrency/wait.hpp"
#include "bench/kernel/stopwatch.hpp"

namespace troupe::bench {

figures pool_round_trip(const case_options& options) {
  const cancel_scope scope;
  thread_pool pool;
  std::uint64_t done = 0;
  const stopwatch watch;
  for (std::uint64_t i = 0; i != options.items; ++i) {
    const auto next = wait(pool.run([done] { return done + 1; }, scope.token()), scope.token());
    if (!next)
      throw failure{to_string(next.error())};
    done = *next;
  }
  auto result = watch.stop(options.items);
  if (done != options.items)
    throw failure{"of " + std::to_string(options.items) + " jobs " + std::to_string(done) + " were done"};
  return result;
}

}  // namespace troupe::bench
