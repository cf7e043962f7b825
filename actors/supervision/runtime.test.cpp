#include "actors/supervision/runtime.hpp"

#include "actors/concurrency/sleep.hpp"
#include "actors/supervision/actor_task.hpp"
#include "actors/supervision/pool_task.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>

#include <csignal>

namespace troupe {
namespace {

namespace asio = boost::asio;

TEST(run, the_result_of_main_is_the_exit_code) {
  EXPECT_EQ(run([](runtime&) { return 7; }), 7);
  EXPECT_EQ(run([](runtime&) {}), 0);
  EXPECT_EQ(run([](runtime&) -> expected<int> { return 8; }), 8);
  EXPECT_EQ(run([](runtime&) -> expected<void> { return {}; }), 0);
  EXPECT_EQ(run([](runtime&) -> asio::awaitable<int> { co_return 9; }), 9);
}

TEST(run, an_error_is_told_and_makes_the_exit_code_1) {
  testing::internal::CaptureStderr();
  const int code =
      run([](runtime&) -> expected<int> { return make_error(status_code::data_loss, "the disk is full"); });
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "DATA_LOSS: the disk is full\n");
  EXPECT_EQ(code, 1);
  testing::internal::CaptureStderr();
  EXPECT_EQ(run([](runtime&) { throw std::runtime_error{"no such file"}; }), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "INTERNAL: no such file\n");
}

TEST(run, a_signal_cancels_main) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const int code = run([&](runtime& all) {
      std::raise(signal);
      return wait(event{}.wait(), all.token());
    });
    EXPECT_EQ(code, 128 + signal);
  }
}

TEST(run, a_signal_cancels_a_main_that_is_a_coroutine) {
  const int code = run([](runtime& all) -> asio::awaitable<expected<void>> {
    std::raise(SIGTERM);
    co_return co_await async(event{}.wait(), all.token(), asio::use_awaitable);
  });
  EXPECT_EQ(code, 128 + SIGTERM);
}

TEST(run, a_main_that_ends_well_in_spite_of_a_signal_has_ended_well) {
  EXPECT_EQ(run([&](runtime& all) {
              std::raise(SIGTERM);
              EXPECT_FALSE(wait(event{}.wait(), all.token()));
            }),
            0);
}

TEST(runtime, further_signals_are_told) {
  event again;
  runtime all;
  all.cancel_on_signals([&](int) { again.set(); });
  std::raise(SIGTERM);
  EXPECT_FALSE(wait(event{}.wait(), all.token()));
  EXPECT_FALSE(again.is_set());
  std::raise(SIGINT);
  EXPECT_TRUE(wait(again.wait(), {}));
  EXPECT_EQ(all.signal(), SIGTERM);
}

TEST(runtime, functions_coroutines_and_actors_work_in_it) {
  const int code = run([](runtime& all) {
    return with_task_group(all.token(), [&](task_group& group) {
      group.start_soon(all.threads(), [] { EXPECT_FALSE(on_runtime_thread()); });
      group.start_soon(all.executor(), []() -> asio::awaitable<void> {
        EXPECT_TRUE(on_runtime_thread());
        co_return;
      });
      group.start_soon(all.system(), [](caf::actor_system& system) -> caf::actor {
        return system.spawn([](caf::event_based_actor* self) -> caf::behavior {
          return {[self](start_atom) {
            EXPECT_TRUE(on_runtime_thread());
            self->quit();
          }};
        });
      });
    });
  });
  EXPECT_EQ(code, 0);
}

TEST(runtime, a_task_is_started_within_one_expression) {
  const int code = run([](runtime& all) -> asio::awaitable<expected<int>> {
    task_group group{all.token()};
    const auto started = co_await async(
        group.start<int>(
            all.executor(),
            [](cancel_token, task_ready<int> ready) -> asio::awaitable<expected<void>> { co_return ready(7); },
            all.token()),
        all.token(), asio::use_awaitable);
    if (auto left = co_await async(group.leave(), all.token(), asio::use_awaitable); !left)
      co_return left.error();
    co_return started->start_value;
  });
  EXPECT_EQ(code, 7);
}

TEST(runtime, its_end_cancels_what_came_through_its_portal) {
  std::optional<task_handle<void>> future;
  {
    runtime all;
    future = all.door().start_soon([](cancel_token token) -> asio::awaitable<expected<void>> {
      co_return co_await async(event{}.wait(), token, asio::use_awaitable);
    });
  }
  EXPECT_EQ(future->status(), task_status::cancelled);
}

}  // namespace
}  // namespace troupe
