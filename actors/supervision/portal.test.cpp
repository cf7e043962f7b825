#include "actors/supervision/portal.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/sleep.hpp"
#include "actors/supervision/pool_task.hpp"
#include "actors/supervision/runtime.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace troupe {
namespace {

namespace asio = boost::asio;

error some_error() {
  return make_error(status_code::data_loss, "the disk is full");
}

/// A runtime with an own portal, and the test's thread as a foreign one.
class portal_rules : public ::testing::Test {
 protected:
  ~portal_rules() override {
    door.close(true);
    (void)wait(door.leave(), {});  // some tests have left it
  }

  /// A coroutine that goes on until it is let go or cancelled.
  auto waiting() {
    return [this](cancel_token token) -> asio::awaitable<expected<int>> {
      begun.set();
      const auto waited = co_await async(go.wait(), token, asio::use_awaitable);
      co_return waited ? expected<int>{7} : expected<int>{waited.error()};
    };
  }

  runtime all;
  portal door{all.executor(), all.token()};
  event begun, go;
};

TEST_F(portal_rules, FT_1_what_is_called_runs_in_the_runtime_and_answers) {
  const auto here = std::this_thread::get_id();
  std::thread::id function, coroutine;
  EXPECT_EQ(*door.call([&] {
    function = std::this_thread::get_id();
    return 7;
  }),
            7);
  EXPECT_EQ(*door.call([&]() -> asio::awaitable<int> {
    coroutine = std::this_thread::get_id();
    co_return 8;
  }),
            8);
  EXPECT_EQ(function, coroutine);
  EXPECT_NE(function, here);
  const auto failed = door.call([]() -> expected<int> { return some_error(); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), some_error());
  EXPECT_EQ(door.call([]() -> int { throw std::runtime_error{"no such file"}; }).error().cause, "no such file");
}

TEST_F(portal_rules, FT_1_from_the_thread_of_a_pool) {
  const auto called = wait(all.threads().run([&] { return door.call([] { return on_runtime_thread(); }); }, {}), {});
  EXPECT_TRUE(called);
  EXPECT_TRUE(*called);
}

TEST(portal, FT_2_a_runtime_that_has_ended_says_so) {
  std::optional<portal> door;
  {
    runtime all;
    door.emplace(all.executor(), all.token());
    EXPECT_TRUE(door->call([] {}));
    EXPECT_TRUE(wait(door->leave(), {}));
  }
  EXPECT_EQ(code_of(door->call([] {})), status_code::unavailable);
  EXPECT_EQ(code_of(door->start_soon([] {}).result()), status_code::failed_precondition);
  EXPECT_EQ(code_of(door->start([](cancel_token, task_ready<std::monostate>) {})), status_code::unavailable);
}

TEST_F(portal_rules, FT_2_on_the_runtimes_own_threads_a_call_is_a_mistake) {
  const auto called = door.call([&] { return code_of(door.call([] {})); });
  EXPECT_EQ(*called, status_code::failed_precondition);
}

TEST_F(portal_rules, FT_3_the_callers_scopes_hold_for_what_is_called_back) {
  cancel_scope host;
  auto in_thread = std::make_optional<expected<int>>(0);
  std::jthread caller{
      [&] { (void)wait(all.threads().run([&] { in_thread = door.call(waiting()); }, host.token()), host.token()); }};
  EXPECT_TRUE(wait(begun.wait(), {}));
  host.cancel(make_error(status_code::cancelled, "enough"));
  caller.join();
  ASSERT_FALSE(*in_thread);
  EXPECT_TRUE(in_thread->error().cancellation);
  EXPECT_EQ(in_thread->error().cause, "enough");
  EXPECT_TRUE(host.leave(expected<void>{in_thread->error()}));
}

TEST_F(portal_rules, FT_4_an_abandoned_calls_callback_is_under_them_no_more) {
  cancel_scope host;
  event let_go, called;
  expected<int> answer = 0;
  std::jthread caller{[&] {
    const auto left = wait(all.threads().run(
                               [&] {
                                 begun.set();
                                 EXPECT_TRUE(wait(let_go.wait(), {}));
                                 answer = door.call([] { return 7; });
                                 called.set();
                               },
                               host.token(), {.abandon_on_cancel = true}),
                           host.token());
    EXPECT_EQ(code_of(left), status_code::cancelled);
  }};
  EXPECT_TRUE(wait(begun.wait(), {}));
  host.cancel();
  caller.join();
  let_go.set();
  EXPECT_TRUE(wait(called.wait(), {}));
  EXPECT_EQ(*answer, 7);
}

/// Trio drops what is pending already where it is told so. A function has no identity here: an event that is set says
/// the same.
TEST_F(portal_rules, FT_5_calls_without_an_answer_keep_their_order_and_starve_nobody) {
  constexpr int calls = 20'000;
  std::vector<int> order;
  std::atomic<bool> all_queued = false;
  bool waited_with_us = false;
  std::vector<task_handle<void>> handles;
  auto other = door.start_soon([&](cancel_token token) -> asio::awaitable<expected<void>> {
    // Somebody who comes round again and again while the queue is long.
    while (!all_queued) {
      auto slept = co_await async(sleep_for(std::chrono::microseconds{10}, token), token, asio::use_awaitable);
      if (!slept)
        co_return slept;
    }
    waited_with_us = true;
    co_return expected<void>{};
  });
  for (int i = 0; i != calls; ++i)
    handles.push_back(door.start_soon([&order, i] { order.push_back(i); }));
  all_queued = true;
  for (const auto& handle : handles)
    EXPECT_TRUE(wait(handle.get(), {}));
  EXPECT_TRUE(wait(other.get(), {}));
  EXPECT_TRUE(waited_with_us);
  ASSERT_EQ(order.size(), std::size_t{calls});
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(portal_rules, BP_1_a_portal_starts_with_a_future) {
  const auto future = door.start_soon(waiting(), {.name = "the future"});
  EXPECT_EQ(future.name(), "the future");
  EXPECT_EQ(future.status(), task_status::pending);
  go.set();
  EXPECT_EQ(*wait(future.get(), {}), 7);
}

TEST_F(portal_rules, BP_1_a_portal_starts_with_a_handshake) {
  const auto started =
      door.start<std::string>([&](cancel_token token, task_ready<std::string> ready) -> asio::awaitable<expected<int>> {
        EXPECT_TRUE(ready("listening"));
        const auto waited = co_await async(go.wait(), token, asio::use_awaitable);
        co_return waited ? expected<int>{7} : expected<int>{waited.error()};
      });
  ASSERT_TRUE(started);
  EXPECT_EQ(started->start_value, "listening");
  go.set();
  EXPECT_EQ(*wait(started->task.get(), {}), 7);
  const auto never = door.start<int>([](cancel_token, task_ready<int>) -> expected<void> { return some_error(); });
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error(), some_error());
  EXPECT_EQ(code_of(door.start<int>([](cancel_token, task_ready<int>) {})), status_code::failed_precondition);
}

TEST_F(portal_rules, BP_2_left_normally_it_waits_for_its_tasks) {
  const auto future = door.start_soon(waiting());
  std::jthread host{[&] { EXPECT_TRUE(wait(door.leave(), {})); }};
  while (code_of(door.call([] {})) != status_code::unavailable)
    std::this_thread::yield();
  EXPECT_EQ(future.status(), task_status::pending);
  go.set();
  EXPECT_EQ(*wait(future.get(), {}), 7);
}

TEST(portal, BP_2_left_with_an_error_it_leaves_nobody_waiting) {
  for (const bool by_error : {true, false}) {
    runtime all;
    portal door{all.executor(), all.token()};
    event begun;
    const auto forever = [&](cancel_token token) -> asio::awaitable<expected<void>> {
      begun.set();
      co_return co_await async(event{}.wait(), token, asio::use_awaitable);
    };
    expected<void> called;
    std::jthread caller{[&] { called = door.call(forever); }};
    const auto future = door.start_soon(forever);
    EXPECT_TRUE(wait(begun.wait(), {}));
    while (door.stats().active != 2)
      std::this_thread::yield();
    if (!by_error)
      door.close(true);
    const auto left = wait(door.leave(by_error ? expected<void>{some_error()} : expected<void>{}), {});
    EXPECT_EQ(code_of(left), by_error ? status_code::data_loss : status_code::ok);
    caller.join();
    EXPECT_EQ(code_of(called), status_code::cancelled);
    EXPECT_EQ(future.status(), task_status::cancelled);
  }
}

TEST_F(portal_rules, BP_3_a_closed_portal_refuses_at_once) {
  door.close();
  bool ran = false;
  EXPECT_EQ(code_of(door.call([&] { ran = true; })), status_code::unavailable);
  const auto future = door.start_soon([&] { ran = true; });
  EXPECT_EQ(future.status(), task_status::failed);
  EXPECT_EQ(code_of(future.result()), status_code::unavailable);
  EXPECT_FALSE(ran);
}

TEST_F(portal_rules, BP_4_cancelling_a_future_cancels_its_task) {
  const auto at_once = door.start_soon(waiting());
  at_once.cancel();
  EXPECT_EQ(code_of(wait(at_once.get(), {})), status_code::cancelled);
  event later_begun;
  const auto later = door.start_soon([&](cancel_token token) -> asio::awaitable<expected<void>> {
    later_begun.set();
    co_return co_await async(event{}.wait(), token, asio::use_awaitable);
  });
  EXPECT_TRUE(wait(later_begun.wait(), {}));
  later.cancel();
  EXPECT_EQ(code_of(wait(later.get(), {})), status_code::cancelled);
  const auto after_close = door.start_soon(waiting());
  door.close();
  after_close.cancel();
  EXPECT_EQ(code_of(wait(after_close.get(), {})), status_code::cancelled);
}

TEST_F(portal_rules, BP_5_a_failing_task_fails_its_future_alone) {
  const auto other = door.start_soon(waiting());
  const auto failing = door.start_soon([]() -> expected<int> { return some_error(); });
  EXPECT_EQ(code_of(wait(failing.get(), {})), status_code::data_loss);
  EXPECT_EQ(other.status(), task_status::pending);
  EXPECT_EQ(*door.call([] { return 7; }), 7);
  go.set();
  EXPECT_EQ(*wait(other.get(), {}), 7);
}

TEST_F(portal_rules, BP_6_a_resource_can_be_entered_and_left_from_outside) {
  std::vector<std::string> story;
  const auto resource = [&](cancel_token token, task_ready<std::string> ready,
                            const receive_half<expected<void>>& left) -> asio::awaitable<expected<void>> {
    story.push_back("opened");
    EXPECT_TRUE(ready("a connection"));
    const auto outcome = co_await async(left.receive(), token, asio::use_awaitable);
    story.push_back("closed");
    if (!outcome)
      co_return outcome.error();
    // Errors of one kind are its own business.
    co_return !*outcome && outcome->error().code == status_code::data_loss ? expected<void>{} : *outcome;
  };
  auto well = door.enter<std::string>(resource);
  ASSERT_TRUE(well);
  EXPECT_EQ(**well, "a connection");
  EXPECT_EQ(story, std::vector<std::string>{"opened"});
  EXPECT_TRUE(well->leave());
  EXPECT_EQ(story, (std::vector<std::string>{"opened", "closed"}));
  auto swallowed = door.enter<std::string>(resource);
  EXPECT_TRUE(swallowed->leave(some_error()));
  auto failed = door.enter<std::string>(resource);
  EXPECT_EQ(code_of(failed->leave(make_error(status_code::aborted, "a conflict"))), status_code::aborted);
  { const auto dropped = door.enter<std::string>(resource); }
  EXPECT_EQ(story.size(), 8u);
  const auto closed =
      door.enter<int>([](cancel_token, task_ready<int>, const auto&) -> expected<void> { return some_error(); });
  EXPECT_EQ(code_of(closed), status_code::data_loss);
}

TEST(portal, BP_7_overlapping_users_share_one_runtime) {
  runtime_provider provider;
  { const auto warm = provider.acquire(); }
  const auto before = threads_of_this_process();
  const auto id = [](runtime& of) { return *of.door().call([] { return std::this_thread::get_id(); }); };
  for (int round = 0; round != 3; ++round) {
    auto first = provider.acquire();
    std::shared_ptr<runtime> second;
    std::jthread{[&] { second = provider.acquire(); }}.join();
    EXPECT_EQ(first, second);
    EXPECT_EQ(id(*first), id(*second));
    first.reset();
    EXPECT_TRUE(second->door().call([] {}));
    const std::weak_ptr<runtime> last = second;
    second.reset();
    EXPECT_TRUE(last.expired());
    EXPECT_TRUE(no_more_threads_than(before));
  }
}

/// Callers, futures and a close at any moment: everybody gets an answer.
TEST(portal, stress_calls_while_it_is_being_closed) {
  for (int round = 0; round != 30; ++round) {
    runtime all;
    portal door{all.executor(), all.token()};
    std::atomic<int> ran = 0, answered = 0, refused = 0;
    std::vector<std::jthread> callers;
    for (int c = 0; c != 4; ++c)
      callers.emplace_back([&, c] {
        for (int i = 0; i != 100; ++i) {
          const auto work = [&] { return ++ran; };
          const auto result = c % 2 ? wait(door.start_soon(work).get(), {}) : door.call(work);
          result ? ++answered : ++refused;
        }
      });
    std::this_thread::sleep_for(std::chrono::microseconds{100 * round});
    door.close(round % 2);
    EXPECT_TRUE(wait(door.leave(), {}));
    callers.clear();
    EXPECT_EQ(answered + refused, 400);
    EXPECT_EQ(ran, answered);
    EXPECT_EQ(door.stats().active, 0u);
  }
}

}  // namespace
}  // namespace troupe
