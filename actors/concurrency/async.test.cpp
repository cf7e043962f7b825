#include "actors/concurrency/async.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/concurrency/lock.hpp"
#include "actors/concurrency/semaphore.hpp"
#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/stream.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

namespace troupe {
namespace {

using boost::asio::awaitable;
using boost::asio::use_awaitable;

stream<int> stream_of(std::int64_t capacity) {
  return *make_stream<int>(capacity);
}

/// An io_context that runs only when the test says so, and goes when the test says so.
class context {
 public:
  /// Runs until all that was begun waits.
  void begin(awaitable<void> task) {
    boost::asio::co_spawn(*io_, std::move(task), boost::asio::detached);
    run();
  }
  void run() {
    io_->restart();
    io_->poll();
  }
  /// Runs until there is nothing to wait for.
  void finish() {
    io_->restart();
    io_->run();
  }
  void destroy() { io_.reset(); }

 private:
  std::unique_ptr<boost::asio::io_context> io_ = std::make_unique<boost::asio::io_context>(1);
};

/// Performs the operation and stays, with what it brought, until the scope is cancelled.
template <class Operation>
awaitable<void> perform(Operation operation, event stay = {}) {
  const auto result = co_await async(std::move(operation), {}, use_awaitable);
  EXPECT_TRUE(result);
  static_cast<void>(co_await async(stay.wait(), {}, use_awaitable));
}

awaitable<void> wait_for(condition changed, lock::guard held) {
  EXPECT_TRUE(co_await async(changed.wait(held), {}, use_awaitable));
}

TEST(async, MS_16_MS_21_a_coroutine_that_goes_while_it_waits_takes_and_gives_nothing) {
  auto receiving = stream_of(1);
  auto sending = stream_of(0);
  context io;
  io.begin(perform(receiving.receiver.receive()));
  io.begin(perform(receiving.receiver.receive_up_to(3)));
  io.begin(perform(sending.sender.send(1)));
  EXPECT_EQ(receiving.receiver.statistics().waiting_receivers, 2u);
  io.destroy();
  EXPECT_EQ(receiving.receiver.statistics().waiting_receivers, 0u);
  EXPECT_EQ(sending.sender.statistics().waiting_senders, 0u);
  EXPECT_TRUE(receiving.sender.try_send(3));
  EXPECT_EQ(*receiving.receiver.try_receive(), 3);
}

TEST(async, MS_17_an_item_on_its_way_to_a_coroutine_that_goes_is_received_by_the_next) {
  auto [sender, receiver] = stream_of(1);
  context io;
  io.begin(perform(receiver.receive()));
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_TRUE(sender.try_send(2));
  io.destroy();
  EXPECT_EQ(*receiver.try_receive(), 1);
  EXPECT_EQ(*receiver.try_receive(), 2);
}

TEST(async, LK_9_a_coroutine_that_goes_releases_its_lock_and_leaves_the_queue_of_others) {
  lock mutex;
  const int first = 0, second = 0, third = 0;
  context holder, waiter;
  holder.begin(perform(mutex.acquire(owner{&first})));
  waiter.begin(perform(mutex.acquire(owner{&second})));
  EXPECT_EQ(mutex.stats().waiting, 1u);
  waiter.destroy();
  EXPECT_EQ(mutex.stats().waiting, 0u);
  EXPECT_EQ(mutex.stats().holder, owner{&first});
  context next;
  next.begin(perform(mutex.acquire(owner{&third})));
  holder.destroy();
  EXPECT_EQ(mutex.stats().holder, owner{&third});
  next.destroy();  // before it could run
  EXPECT_FALSE(mutex.stats().locked);
}

TEST(async, CN_2_a_coroutine_that_goes_while_it_waits_for_a_condition_takes_nobody_s_lock) {
  lock mutex;
  condition changed{mutex};
  const int first = 0, second = 0;
  context io;
  io.begin(wait_for(changed, *mutex.try_acquire(owner{&first})));
  EXPECT_EQ(changed.stats().waiting, 1u);
  auto held = mutex.try_acquire(owner{&second});
  io.destroy();
  EXPECT_EQ(changed.stats().waiting, 0u);
  EXPECT_EQ(mutex.stats().holder, owner{&second});
  EXPECT_TRUE(held->release());
  EXPECT_FALSE(mutex.stats().locked);
}

TEST(async, CN_4_a_coroutine_that_goes_once_notified_passes_the_notification_on) {
  for (const bool has_the_lock : {false, true}) {
    lock mutex;
    condition changed{mutex};
    const int first = 0, second = 0, third = 0;
    context goes, next;
    goes.begin(wait_for(changed, *mutex.try_acquire(owner{&first})));
    next.begin(wait_for(changed, *mutex.try_acquire(owner{&second})));
    auto notifier = mutex.try_acquire(owner{&third});
    EXPECT_TRUE(changed.notify(*notifier));
    if (has_the_lock)
      static_cast<void>(notifier->release());
    goes.destroy();
    EXPECT_EQ(changed.stats().waiting, 0u);
    if (!has_the_lock)
      static_cast<void>(notifier->release());
    EXPECT_EQ(mutex.stats().holder, owner{&second});
    next.run();
    EXPECT_FALSE(mutex.stats().locked);
  }
}

TEST(async, SM_4_a_permit_on_its_way_to_a_coroutine_that_goes_comes_back) {
  auto permits = *semaphore::make(0);
  context io;
  io.begin(perform(permits.acquire()));
  EXPECT_TRUE(permits.release());
  io.destroy();
  EXPECT_EQ(permits.stats().value, 1);
}

TEST(async, coroutines_of_one_context_that_wait_for_each_other_go_together) {
  lock mutex;
  const int first = 0, second = 0;
  const condition changed{mutex};
  const cancel_token token;
  context io;
  io.begin(perform(mutex.acquire(owner{&first})));
  io.begin(perform(mutex.acquire(owner{&second})));
  io.begin(perform(sleep_for(std::chrono::hours{1}, token)));
  io.destroy();
  EXPECT_FALSE(mutex.stats().locked);
}

awaitable<void> send_and_keep(send_half<std::unique_ptr<int>> sender, cancel_token token,
                              std::unique_ptr<int>& refused) {
  auto sending = sender.send(std::make_unique<int>(5));
  EXPECT_FALSE(co_await async(sending, token, use_awaitable));
  refused = std::move(sending.item);
}

TEST(async, MS_16_a_refused_item_stays_with_the_coroutine_that_names_its_operation) {
  auto [sender, receiver] = *make_stream<std::unique_ptr<int>>(0);
  std::unique_ptr<int> refused;
  cancel_scope scope;
  context io;
  io.begin(send_and_keep(*sender.clone(), scope.token(), refused));
  scope.cancel();
  io.run();
  ASSERT_TRUE(refused);
  EXPECT_EQ(*refused, 5);
}

awaitable<void> receive_until(const bool& over, stream<int>& from) {
  while (!over) {
    EXPECT_TRUE(from.sender.try_send(1));
    EXPECT_TRUE(co_await async(from.receiver.receive(), {}, use_awaitable));
  }
}

awaitable<void> end(bool& over) {
  over = true;
  co_return;
}

TEST(async, a_coroutine_that_never_has_to_wait_keeps_nobody_from_running) {
  auto always_full = stream_of(1);
  bool over = false;
  boost::asio::io_context io{1};
  boost::asio::co_spawn(io, receive_until(over, always_full), boost::asio::detached);
  boost::asio::co_spawn(io, end(over), boost::asio::detached);
  io.run();
}

TEST(async, what_is_not_awaited_takes_nothing) {
  auto [sender, receiver] = stream_of(1);
  EXPECT_TRUE(sender.try_send(1));
  { auto unwanted = async(receiver.receive(), {}, use_awaitable); }
  EXPECT_EQ(*receiver.try_receive(), 1);
}

TEST(async, asio_s_own_cancellation_ends_the_wait) {
  auto [sender, receiver] = stream_of(0);
  boost::asio::io_context io;
  boost::asio::cancellation_signal signal;
  std::optional<status_code> ended;
  async(receiver.receive(), {},
        boost::asio::bind_cancellation_slot(
            signal.slot(), boost::asio::bind_executor(io, [&](expected<int> item) { ended = code_of(item); })));
  signal.emit(boost::asio::cancellation_type::terminal);
  EXPECT_EQ(receiver.statistics().waiting_receivers, 0u);
  io.run();
  EXPECT_EQ(ended, status_code::cancelled);
  signal.emit(boost::asio::cancellation_type::terminal);
}

TEST(async, stress_MS_17_no_item_is_lost_to_contexts_that_come_and_go) {
  auto [sender, receiver] = stream_of(4);
  std::atomic<int> received = 0;
  std::atomic<bool> over = false;
  int sent = 0;
  std::jthread contexts{[&, &r = receiver] {
    for (int n = 0; n != 300; ++n) {
      boost::asio::thread_pool pool{1};
      for (int i = 0; i != 8; ++i)
        async(r.receive(), {}, boost::asio::bind_executor(pool, [&](expected<int> item) { received += item ? 1 : 0; }));
      pool.stop();
    }
    over = true;
  }};
  while (!over)
    sent += sender.try_send(1) ? 1 : 0;
  contexts.join();
  while (receiver.try_receive())
    ++received;
  EXPECT_EQ(received, sent);
}

// -- Asio's own operations under a token ------------------------------------------------------------------------------

namespace asio = boost::asio;

/// How `work` under a token came out: a value that is no default, an error that was thrown, or not at all yet.
struct asio_outcome {
  std::optional<int> value;
  boost::system::error_code thrown;

  bool over() const { return value || thrown; }
};

awaitable<void> note(awaitable<expected<int>> work, cancel_token token, asio_outcome& outcome) {
  try {
    outcome.value = *co_await under(token, std::move(work));
  } catch (const boost::system::system_error& e) {
    outcome.thrown = e.code();
  }
}

/// Begins, waits for a timer that never fires of itself, and goes on to 7 where it is woken without an error.
awaitable<expected<int>> long_wait(bool& begun) {
  asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::hours{1}};
  begun = true;
  co_await timer.async_wait(use_awaitable);
  co_return 7;
}

TEST(under, what_is_cancelled_already_is_not_started) {
  cancel_scope scope;
  scope.cancel();
  context io;
  asio_outcome outcome;
  bool begun = false;
  io.begin(note(long_wait(begun), scope.token(), outcome));
  EXPECT_FALSE(begun);
  EXPECT_EQ(outcome.thrown, asio::error::operation_aborted);
}

TEST(under, a_cancellation_ends_what_waits_on_the_executor) {
  cancel_scope scope;
  context io;
  asio_outcome outcome;
  bool begun = false;
  io.begin(note(long_wait(begun), scope.token(), outcome));
  EXPECT_TRUE(begun);
  scope.cancel();
  EXPECT_FALSE(outcome.over());
  io.finish();
  EXPECT_EQ(outcome.thrown, asio::error::operation_aborted);
}

TEST(under, the_deadline_is_the_token_s_by_its_clock) {
  virtual_clock clock;
  cancel_scope host{scope_options{.clock = &clock}};
  cancel_scope timed{clock.now() + std::chrono::seconds{3}, host.token()};
  context io;
  asio_outcome outcome;
  bool begun = false;
  io.begin(note(long_wait(begun), timed.token(), outcome));
  clock.advance(std::chrono::seconds{2});
  io.run();
  EXPECT_FALSE(outcome.over());
  clock.advance(std::chrono::seconds{1});
  io.finish();
  EXPECT_EQ(outcome.thrown, asio::error::operation_aborted);
  EXPECT_TRUE(timed.cancel_called());
}

/// Waits on although it was told.
awaitable<expected<int>> stubborn(int& aborted) {
  asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::hours{1}};
  for (int i = 0; i != 3; ++i) {
    try {
      co_await timer.async_wait(use_awaitable);
    } catch (const boost::system::system_error&) {
      ++aborted;
    }
  }
  co_return 7;
}

awaitable<void> one_after_the_other(cancel_token token, int& aborted, std::vector<asio_outcome>& outcomes) {
  for (auto& outcome : outcomes)
    co_await note(stubborn(aborted), token, outcome);
}

TEST(under, CS_2_the_cancellation_is_a_level) {
  cancel_scope scope;
  context io;
  int aborted = 0;
  std::vector<asio_outcome> outcomes(3);
  io.begin(one_after_the_other(scope.token(), aborted, outcomes));
  scope.cancel();
  io.finish();
  // Inside every further wait fails, what comes of it is the work's; the next under the token is none any more.
  EXPECT_EQ(aborted, 3);
  EXPECT_EQ(outcomes[0].value, 7);
  EXPECT_EQ(outcomes[1].thrown, asio::error::operation_aborted);
  EXPECT_EQ(outcomes[2].thrown, asio::error::operation_aborted);
}

TEST(under, CS_20_CS_22_a_shield_in_between_holds_until_it_is_lowered) {
  cancel_scope outer;
  cancel_scope inner{scope_options{.shield = true}, outer.token()};
  context io;
  asio_outcome during, before;
  bool begun = false;
  io.begin(note(long_wait(begun), inner.token(), during));
  outer.cancel();
  io.begin(note(long_wait(begun), inner.token(), before));
  EXPECT_FALSE(during.over());
  EXPECT_FALSE(before.over());
  inner.set_shield(false);
  io.finish();
  EXPECT_EQ(during.thrown, asio::error::operation_aborted);
  EXPECT_EQ(before.thrown, asio::error::operation_aborted);
}

awaitable<expected<int>> seven() {
  co_await asio::post(use_awaitable);
  co_return 7;
}

awaitable<expected<int>> refused() {
  co_await asio::post(use_awaitable);
  throw boost::system::system_error{asio::error::connection_refused};
}

TEST(under, what_ends_of_itself_gives_its_value_or_its_exception) {
  cancel_scope scope;
  context io;
  asio_outcome value, thrown;
  io.begin(note(seven(), scope.token(), value));
  io.begin(note(refused(), scope.token(), thrown));
  io.finish();  // and nothing is left to wait for, though nobody cancels
  EXPECT_EQ(value.value, 7);
  EXPECT_EQ(thrown.thrown, asio::error::connection_refused);
  scope.cancel();
  asio_outcome never;
  io.begin(note(seven(), {}, never));
  EXPECT_EQ(never.value, 7);
}

awaitable<void> tell(cancel_token token, std::vector<boost::system::error_code>& told) {
  asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::hours{1}};
  for (int i = 0; i != 2; ++i) {
    const auto [code] = co_await under(token, timer.async_wait(asio::as_tuple(use_awaitable)));
    told.push_back(code);
  }
  timer.expires_after(std::chrono::seconds{0});
  co_await under({}, timer.async_wait(use_awaitable));
  told.emplace_back();
}

TEST(under, a_result_that_begins_with_a_code_says_it_without_an_exception) {
  cancel_scope scope;
  context io;
  std::vector<boost::system::error_code> told;
  io.begin(tell(scope.token(), told));
  scope.cancel();
  io.finish();
  const boost::system::error_code aborted = asio::error::operation_aborted;
  EXPECT_EQ(told, (std::vector<boost::system::error_code>{aborted, aborted, {}}));
}

TEST(under, asio_s_own_cancellation_goes_through) {
  asio::io_context io;
  asio::cancellation_signal signal;
  asio_outcome outcome;
  bool begun = false;
  asio::co_spawn(io, note(long_wait(begun), {}, outcome), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  io.poll();
  EXPECT_TRUE(begun);
  signal.emit(asio::cancellation_type::terminal);
  io.run();
  EXPECT_EQ(outcome.thrown, asio::error::operation_aborted);
}

awaitable<expected<int>> hold(std::shared_ptr<int> what) {
  asio::steady_timer timer{co_await asio::this_coro::executor, std::chrono::hours{1}};
  co_await timer.async_wait(use_awaitable);
  co_return *what;
}

TEST(under, what_waits_goes_with_its_context) {
  for (const bool cancelled : {false, true}) {
    cancel_scope scope;
    auto held = std::make_shared<int>(7);
    const std::weak_ptr<int> still = held;
    context io;
    asio_outcome outcome;
    io.begin(note(hold(std::move(held)), scope.token(), outcome));
    if (cancelled)
      scope.cancel();
    io.destroy();
    EXPECT_TRUE(still.expired());
    EXPECT_FALSE(outcome.over());
    scope.cancel();
  }
}

awaitable<void> count(cancel_token token, std::atomic<int>& ended) {
  asio_outcome outcome;
  bool begun = false;
  co_await note(long_wait(begun), std::move(token), outcome);
  ended += outcome.thrown == asio::error::operation_aborted ? 1 : 0;
}

TEST(under, stress_on_several_threads_nobody_is_missed) {
  std::atomic<int> ended = 0;
  asio::thread_pool pool{3};
  for (int n = 0; n != 200; ++n) {
    cancel_scope scope;
    for (int i = 0; i != 5; ++i)
      asio::co_spawn(pool, count(scope.token(), ended), asio::detached);
    if (n % 2 == 0)
      std::this_thread::yield();
    scope.cancel();
  }
  pool.join();
  EXPECT_EQ(ended, 1000);
}

TEST(under, stress_contexts_go_while_they_are_cancelled) {
  std::atomic<int> ended = 0;
  for (int n = 0; n != 200; ++n) {
    cancel_scope scope;
    std::jthread canceller;
    asio::thread_pool pool{2};
    for (int i = 0; i != 5; ++i)
      asio::co_spawn(pool, count(scope.token(), ended), asio::detached);
    canceller = std::jthread{[&] { scope.cancel(); }};
    pool.stop();
  }
  EXPECT_LE(ended, 1000);
}

}  // namespace
}  // namespace troupe
