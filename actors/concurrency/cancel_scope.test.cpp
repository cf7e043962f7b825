#include "actors/concurrency/cancel_scope.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;

error gone(std::string cause = "the client went away") {
  return make_error(status_code::cancelled, std::move(cause));
}

TEST(cancel_token, default_is_never_cancelled) {
  const cancel_token token;
  EXPECT_FALSE(token.cancelled());
  EXPECT_FALSE(token.stop().stop_possible());
  EXPECT_EQ(token.deadline(), no_deadline);
}

TEST(cancel_scope, first_reason_wins_and_stays) {
  cancel_scope scope;
  const auto token = scope.token();
  EXPECT_FALSE(token.cancelled());
  EXPECT_TRUE(scope.cancel(gone("first")));
  EXPECT_FALSE(scope.cancel(gone("second")));
  EXPECT_TRUE(token.cancelled());
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(token.reason().cause, "first");
}

TEST(cancel_scope, reaches_the_scopes_inside_it_only) {
  cancel_scope outer;
  cancel_scope inner{no_deadline, outer.token()};
  cancel_scope innermost{no_deadline, inner.token()};
  inner.cancel(gone("inner"));
  EXPECT_FALSE(outer.token().cancelled());
  EXPECT_EQ(innermost.token().reason().cause, "inner");
  outer.cancel(gone("outer"));
  EXPECT_EQ(inner.token().reason().cause, "inner");
}

TEST(cancel_scope, made_under_a_cancelled_scope_is_cancelled) {
  cancel_scope outer;
  outer.cancel(gone());
  const cancel_scope inner{no_deadline, outer.token()};
  EXPECT_TRUE(inner.token().cancelled());
  EXPECT_EQ(inner.token().reason().cause, gone().cause);
  EXPECT_TRUE(inner.token().reason().cancellation);
}

TEST(cancel_scope, may_end_before_and_after_its_parent) {
  auto outer = std::make_unique<cancel_scope>();
  { const cancel_scope short_lived{no_deadline, outer->token()}; }
  const cancel_scope inner{no_deadline, outer->token()};
  outer->cancel(gone());
  outer.reset();
  EXPECT_TRUE(inner.token().cancelled());
}

TEST(cancel_scope, passes_with_the_earliest_deadline_around_it) {
  const auto past = steady_clock::now() - 1s;
  const cancel_scope outer{past};
  const cancel_scope inner{no_deadline, outer.token()};
  EXPECT_TRUE(inner.token().cancelled());
  EXPECT_EQ(inner.token().deadline(), past);
  EXPECT_EQ(inner.token().reason().code, status_code::deadline_exceeded);
  const cancel_scope later{steady_clock::now() + 1h};
  EXPECT_FALSE(later.token().cancelled());
}

TEST(cancel_scope, wakes_a_waiting_condition_variable) {
  cancel_scope scope;
  std::mutex mutex;
  std::condition_variable_any changed;
  std::jthread canceller{[&] { scope.cancel(gone()); }};
  std::unique_lock lock{mutex};
  EXPECT_FALSE(changed.wait(lock, scope.token().stop(), [] { return false; }));
}

TEST(cancel_scope, stress_children_come_and_go_while_the_parent_is_cancelled) {
  for (int round = 0; round != 200; ++round) {
    cancel_scope parent;
    std::atomic<int> wrong = 0;
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i != 3; ++i)
        threads.emplace_back([&] {
          for (int n = 0; n != 50; ++n) {
            cancel_scope child{no_deadline, parent.token()};
            if (parent.token().cancelled() && n > 0) {
              // A parent that is cancelled must reach a child made after it, at once.
              cancel_scope late{no_deadline, parent.token()};
              wrong += late.token().cancelled() ? 0 : 1;
            }
            child.cancel(gone("own"));
          }
        });
      threads.emplace_back([&] { parent.cancel(gone("parent")); });
    }
    EXPECT_EQ(wrong, 0);
  }
}

}  // namespace
}  // namespace troupe
