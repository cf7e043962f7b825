#include "actors/concurrency/thread_pool.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/event.hpp"

#include <sys/resource.h>

#include <barrier>
#include <random>
#include <set>
#include <system_error>

namespace troupe {
namespace {

using namespace std::chrono_literals;

std::string thread_name() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return name;
}

/// Something that goes on until it is let go, whatever its token says.
struct stubborn {
  event begun, go;

  auto work() {
    return [this] {
      begun.set();
      return wait(go.wait(), {}).has_value();
    };
  }
  void wait_until_begun() const { EXPECT_TRUE(wait(begun.wait(), {})); }
};

thread_pool_options with_slots(std::int64_t slots) {
  return {.limiter = *capacity_limiter::make(slots)};
}

void wait_until_idle(const thread_pool& pool) {
  EXPECT_TRUE(wait(pool.idle(), {}));
}

template <class Caller>
class thread_pool_rules : public with_caller<Caller> {
 protected:
  cancel_token token() { return this->scope.token(); }
};

TYPED_TEST_SUITE(thread_pool_rules, all_callers, caller_names);

TYPED_TEST(thread_pool_rules, TT_1_the_work_runs_in_another_thread_and_its_value_comes_back) {
  thread_pool pool;
  const auto ran_in = this->run(pool.run([] { return std::this_thread::get_id(); }, this->token()));
  ASSERT_TRUE(ran_in);
  EXPECT_NE(*ran_in, std::this_thread::get_id());
  EXPECT_TRUE(this->run(pool.run([] {}, this->token())));
}

TYPED_TEST(thread_pool_rules, TT_1_its_error_comes_back_unchanged) {
  thread_pool pool;
  const auto why = make_error(status_code::data_loss, "the disk is gone", "buy another");
  const auto failed = this->run(pool.run([&]() -> expected<int> { return why; }, this->token()));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error(), why);
}

TYPED_TEST(thread_pool_rules, TT_1_what_it_throws_is_an_error) {
  thread_pool pool;
  const auto thrown = this->run(pool.run([]() -> int { throw std::runtime_error{"no such file"}; }, this->token()));
  EXPECT_EQ(code_of(thrown), status_code::internal);
  EXPECT_EQ(thrown.error().cause, "no such file");
  EXPECT_EQ(code_of(this->run(pool.run([]() -> int { throw 7; }, this->token()))), status_code::internal);
}

TYPED_TEST(thread_pool_rules, TT_1_what_can_only_be_moved_comes_back) {
  thread_pool pool;
  auto number =
      this->run(pool.run([given = std::make_unique<int>(7)]() mutable { return std::move(given); }, this->token()));
  ASSERT_TRUE(number);
  EXPECT_EQ(**number, 7);
}

TYPED_TEST(thread_pool_rules, TT_2_in_a_cancelled_scope_it_never_starts) {
  thread_pool pool;
  this->scope.cancel();
  std::atomic<bool> ran = false;
  EXPECT_EQ(code_of(this->run(pool.run([&] { ran = true; }, this->token()))), status_code::cancelled);
  wait_until_idle(pool);
  EXPECT_FALSE(ran);
}

TYPED_TEST(thread_pool_rules, TT_3_a_cancellation_waits_for_the_work_and_its_result_arrives) {
  thread_pool pool;
  stubborn work;
  auto running = this->start(pool.run(work.work(), this->token()));
  work.wait_until_begun();
  this->scope.cancel();
  EXPECT_FALSE(running.done());
  work.go.set();
  EXPECT_EQ(code_of(running.get()), status_code::ok);
  EXPECT_EQ(code_of(this->run(pool.run([] {}, this->token()))), status_code::cancelled);
}

TYPED_TEST(thread_pool_rules, TT_4_abandoned_work_runs_on_and_its_result_is_dropped) {
  stubborn work;
  const auto held = std::make_shared<int>(0);
  thread_pool pool;
  auto running = this->start(pool.run(
      [&work, held] {
        work.work()();
        return held;
      },
      this->token(), {.abandon_on_cancel = true}));
  work.wait_until_begun();
  this->scope.cancel();
  EXPECT_EQ(code_of(running.get()), status_code::cancelled);
  EXPECT_EQ(pool.stats().accepted, 1u);
  work.go.set();
  wait_until_idle(pool);
}

TEST(thread_pool, TT_4_abandoned_work_may_outlive_the_pool) {
  const auto work = std::make_shared<stubborn>();
  event over;
  cancel_scope scope;
  {
    thread_pool pool;
    std::jthread caller{[&] {
      const auto cancelled = wait(pool.run(
                                      [work, over]() mutable {
                                        work->work()();
                                        over.set();
                                      },
                                      scope.token(), {.abandon_on_cancel = true}),
                                  scope.token());
      EXPECT_EQ(code_of(cancelled), status_code::cancelled);
    }};
    work->wait_until_begun();
    scope.cancel();
  }
  work->go.set();
  EXPECT_TRUE(wait(over.wait(), {}));
}

TYPED_TEST(thread_pool_rules, TT_5_the_limiter_counts_what_runs_abandoned_or_not) {
  stubborn first, second;
  thread_pool pool{with_slots(1)};
  auto running = this->start(pool.run(first.work(), this->token(), {.abandon_on_cancel = true}));
  first.wait_until_begun();
  this->scope.cancel();
  EXPECT_EQ(code_of(running.get()), status_code::cancelled);
  cancel_scope other;
  auto queued = this->start(pool.run(second.work(), other.token()), other.token());
  EXPECT_EQ(pool.limiter().stats().borrowed, 1u);
  EXPECT_EQ(pool.limiter().stats().waiting, 1u);
  EXPECT_FALSE(second.begun.is_set());
  first.go.set();
  second.wait_until_begun();
  second.go.set();
  EXPECT_TRUE(queued.get());
  wait_until_idle(pool);
  EXPECT_EQ(pool.limiter().stats().borrowed, 0u);
}

TYPED_TEST(thread_pool_rules, TT_5_the_token_is_back_when_the_result_is_there) {
  thread_pool pool{with_slots(1)};
  for (int i = 0; i != 100; ++i) {
    EXPECT_TRUE(this->run(pool.run([] {}, this->token())));
    EXPECT_EQ(pool.limiter().stats().borrowed, 0u);
  }
}

TYPED_TEST(thread_pool_rules, TT_6_what_is_queued_and_cancelled_never_runs) {
  stubborn first;
  thread_pool pool{with_slots(1)};
  auto running = this->start(pool.run(first.work(), this->token()));
  first.wait_until_begun();
  cancel_scope other{no_deadline, this->token()};
  std::atomic<bool> ran = false;
  auto queued = this->start(pool.run([&] { ran = true; }, other.token()), other.token());
  EXPECT_EQ(pool.limiter().stats().waiting, 1u);
  other.cancel();
  EXPECT_EQ(code_of(queued.get()), status_code::cancelled);
  EXPECT_EQ(pool.limiter().stats().waiting, 0u);
  first.go.set();
  EXPECT_TRUE(running.get());
  wait_until_idle(pool);
  EXPECT_FALSE(ran);
}

/// Somebody else may hold the only token: then what waits for it has no thread yet.
TYPED_TEST(thread_pool_rules, TT_7_a_limiter_of_ones_own_decides) {
  thread_pool pool;
  const auto limiter = *capacity_limiter::make(1);
  auto token = *limiter.try_acquire(this_thread_owner());
  auto queued = this->start(pool.run([] { return 7; }, this->token(), {.limiter = limiter}));
  EXPECT_FALSE(queued.done());
  EXPECT_EQ(pool.stats().threads, 0u);
  token.release();
  EXPECT_EQ(*queued.get(), 7);
}

TYPED_TEST(thread_pool_rules, TT_7_a_limiter_that_refuses_is_told_and_the_work_does_not_run) {
  thread_pool pool{with_slots(1)};
  std::atomic<int> runs = 0;
  auto twice = pool.run([&] { return ++runs; }, this->token());
  stubborn first;
  auto running = this->start(pool.run(first.work(), this->token(), {.limiter = *capacity_limiter::make(1)}));
  first.wait_until_begun();
  pool.close();
  EXPECT_EQ(code_of(this->run(std::move(twice))), status_code::unavailable);
  first.go.set();
  EXPECT_TRUE(running.get());
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(pool.limiter().stats().borrowed, 0u);
}

/// A process that may have no more threads, for as long as this lives.
class no_more_threads {
 public:
  no_more_threads() {
    getrlimit(RLIMIT_AS, &before_);
    // A thread's stack no longer fits into the address space; what is allocated otherwise still does.
    std::size_t pages = 0;
    if (auto* file = std::fopen("/proc/self/statm", "r")) {
      EXPECT_EQ(std::fscanf(file, "%zu", &pages), 1);
      std::fclose(file);
    }
    rlimit less{pages * 4096 + (std::size_t{4} << 20), before_.rlim_max};
    setrlimit(RLIMIT_AS, &less);
    // The C library keeps the stacks of threads that have ended: they are to be used up.
    try {
      for (;;)
        others_.emplace_back([go = go_] { EXPECT_TRUE(wait(go.wait(), {})); });
    } catch (const std::system_error&) {
    }
  }
  ~no_more_threads() {
    setrlimit(RLIMIT_AS, &before_);
    go_.set();
  }

 private:
  rlimit before_{};
  event go_;
  std::vector<std::jthread> others_;
};

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(thread_pool, TT_8_a_thread_that_cannot_be_made_gives_its_token_back) {
  thread_pool pool{with_slots(1)};
  auto work = pool.run([] { return 7; }, {});
  expected<int> refused = 0;
  {
    const no_more_threads here;
    refused = wait(work, {});
  }
  EXPECT_EQ(code_of(refused), status_code::resource_exhausted);
  EXPECT_EQ(pool.limiter().stats().borrowed, 0u);
  EXPECT_EQ(pool.stats().accepted, 0u);
  EXPECT_EQ(*wait(pool.run([] { return 8; }, {}), {}), 8);
}
#endif

TYPED_TEST(thread_pool_rules, TT_9_idle_threads_are_used_again) {
  thread_pool pool;
  std::set<std::thread::id> threads;
  for (int i = 0; i != 50; ++i)
    threads.insert(*this->run(pool.run([] { return std::this_thread::get_id(); }, this->token())));
  EXPECT_EQ(threads.size(), 1u);
  EXPECT_EQ(pool.stats().threads, 1u);
  EXPECT_EQ(pool.stats().finished, 50u);
}

TEST(thread_pool, TT_9_a_thread_without_work_ends) {
  thread_pool pool{{.idle_time = 1ms}};
  for (int round = 0; round != 3; ++round) {
    EXPECT_EQ(*wait(pool.run([] { return 7; }, {}), {}), 7);
    while (pool.stats().threads != 0)
      std::this_thread::sleep_for(1ms);
  }
}

TEST(thread_pool, TT_9_threads_to_be_kept_are_there_from_the_beginning) {
  thread_pool pool{{.idle_time = 1ms, .kept_threads = 2}};
  EXPECT_EQ(pool.stats().threads, 2u);
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(pool.stats().threads, 2u);
  EXPECT_EQ(*wait(pool.run([] { return 7; }, {}), {}), 7);
  EXPECT_EQ(pool.stats().threads, 2u);
}

TEST(thread_pool, TT_9_all_threads_end_with_the_pool) {
  const auto before = threads_of_this_process();
  {
    thread_pool pool;
    std::barrier all{9};
    std::vector<std::jthread> callers;
    for (int i = 0; i != 8; ++i)
      callers.emplace_back([&] { EXPECT_TRUE(wait(pool.run([&] { all.arrive_and_wait(); }, {}), {})); });
    all.arrive_and_wait();
    callers.clear();
    EXPECT_EQ(pool.stats().threads, 8u);
  }
  EXPECT_TRUE(no_more_threads_than(before));
}

TEST(thread_pool, TT_9_one_of_its_threads_may_destroy_the_pool) {
  auto pool = std::make_unique<thread_pool>();
  auto* alive = pool.get();
  event over;
  auto work = alive->run(
      [pool = std::move(pool), over]() mutable {
        pool.reset();
        over.set();
      },
      {}, {.abandon_on_cancel = true});
  cancel_scope scope;
  EXPECT_TRUE(wait(work, scope.token()));
  EXPECT_TRUE(over.is_set());
}

TYPED_TEST(thread_pool_rules, TT_10_the_work_can_ask_whether_it_is_still_wanted) {
  for (const bool abandon : {false, true}) {
    event begun, go, answered;
    expected<void> before, after;
    thread_pool pool;
    cancel_scope inner{no_deadline, this->token()};
    auto running = this->start(pool.run(
                                   [&, answered]() mutable {
                                     before = check_cancelled();
                                     begun.set();
                                     EXPECT_TRUE(wait(go.wait(), {}));
                                     after = check_cancelled();
                                     answered.set();
                                   },
                                   inner.token(), {.abandon_on_cancel = abandon}),
                               inner.token());
    EXPECT_TRUE(wait(begun.wait(), {}));
    inner.cancel(make_error(status_code::cancelled, "not wanted any more"));
    go.set();
    EXPECT_EQ(code_of(running.get()), abandon ? status_code::cancelled : status_code::ok);
    EXPECT_TRUE(wait(answered.wait(), {}));
    EXPECT_TRUE(before);
    ASSERT_FALSE(after);
    EXPECT_EQ(after.error().cause, "not wanted any more");
  }
}

TEST(thread_pool, TT_10_elsewhere_the_question_makes_no_sense) {
  EXPECT_EQ(code_of(check_cancelled()), status_code::failed_precondition);
  EXPECT_FALSE(work_token().cancelled());
}

TYPED_TEST(thread_pool_rules, TT_10_the_work_may_take_its_token) {
  thread_pool pool;
  cancel_scope until{this->clock.now() + 1h, this->token()};
  const auto deadline =
      this->run(pool.run([](const cancel_token& token) { return token.deadline(); }, until.token()), until.token());
  ASSERT_TRUE(deadline);
  EXPECT_EQ(*deadline, until.deadline());
}

TYPED_TEST(thread_pool_rules, TT_11_an_idle_thread_keeps_nothing_of_its_last_work) {
  thread_pool pool;
  const auto argument = std::make_shared<int>(7);
  std::weak_ptr<int> result;
  {
    auto returned = this->run(pool.run([argument] { return std::make_shared<int>(*argument); }, this->token()));
    result = *returned;
  }
  wait_until_idle(pool);
  EXPECT_EQ(argument.use_count(), 1);
  EXPECT_TRUE(result.expired());
}

TYPED_TEST(thread_pool_rules, TT_12_threads_are_named_after_their_work) {
  thread_pool pool{{.name = "a pool"}};
  EXPECT_EQ(*this->run(pool.run(thread_name, this->token())), "a pool");
  EXPECT_EQ(*this->run(pool.run(thread_name, this->token(), {.name = "a very long name"})), "a very long nam");
  EXPECT_EQ(*this->run(pool.run(thread_name, this->token())), "a pool");
  EXPECT_EQ(pool.stats().threads, 1u);
}

TYPED_TEST(thread_pool_rules, TT_13_tests_can_wait_until_a_pool_is_idle) {
  stubborn work;
  thread_pool pool;
  EXPECT_TRUE(this->run(pool.idle()));
  auto running = this->start(pool.run(work.work(), this->token()));
  work.wait_until_begun();
  auto idle = this->start(pool.idle());
  EXPECT_FALSE(idle.done());
  work.go.set();
  EXPECT_TRUE(idle.get());
  EXPECT_TRUE(running.get());
}

TEST(thread_pool, what_was_accepted_still_runs_when_the_pool_is_closed) {
  stubborn first;
  std::atomic<int> ran = 0;
  std::jthread callers[2];
  {
    thread_pool pool{with_slots(1)};
    callers[0] = std::jthread{[&] { EXPECT_TRUE(wait(pool.run(first.work(), {}), {})); }};
    first.wait_until_begun();
    callers[1] = std::jthread{[&] { EXPECT_TRUE(wait(pool.run([&] { ++ran; }, {}), {})); }};
    while (pool.limiter().stats().waiting == 0)
      std::this_thread::yield();
    pool.close();
    EXPECT_EQ(code_of(wait(pool.run([&] { ++ran; }, {}), {})), status_code::unavailable);
    first.go.set();
  }
  EXPECT_EQ(ran, 1);
}

/// Callers that come and go, cancelled at any moment: what says that it was cancelled has not run or was abandoned, no
/// token is lost, and the limit holds.
TEST(thread_pool, stress_calls_cancelled_at_any_moment) {
  const auto seed = std::random_device{}();
  RecordProperty("seed", std::to_string(seed));
  SCOPED_TRACE("seed " + std::to_string(seed));
  constexpr int callers = 8, calls = 500, slots = 3;
  thread_pool pool{with_slots(slots)};
  std::atomic<int> running = 0, most = 0, ran = 0, told_ran = 0, abandoned = 0;
  std::vector<std::jthread> threads;
  for (int c = 0; c != callers; ++c)
    threads.emplace_back([&, c] {
      std::minstd_rand random{seed + static_cast<unsigned>(c)};
      for (int i = 0; i != calls; ++i) {
        cancel_scope scope{random() % 3 == 0 ? steady_clock::now() + std::chrono::microseconds{random() % 200}
                                             : no_deadline};
        const bool abandon = random() % 2 == 0;
        const auto length = random() % 50;
        const auto result = wait(pool.run(
                                     [&, length] {
                                       const int now = ++running;
                                       for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);)
                                         ;
                                       std::this_thread::sleep_for(std::chrono::microseconds{length});
                                       --running;
                                       ++ran;
                                     },
                                     scope.token(), {.abandon_on_cancel = abandon}),
                                 scope.token());
        if (result)
          ++told_ran;
        else if (abandon)
          ++abandoned;
      }
    });
  threads.clear();
  wait_until_idle(pool);
  EXPECT_LE(most, slots);
  EXPECT_GE(ran, told_ran);
  EXPECT_LE(ran, told_ran + abandoned);
  EXPECT_EQ(pool.limiter().stats().borrowed, 0u);
  EXPECT_EQ(pool.limiter().stats().waiting, 0u);
  EXPECT_EQ(pool.stats().accepted, 0u);
  EXPECT_EQ(static_cast<int>(pool.stats().finished), ran);
}

boost::asio::awaitable<void> run_at_once(thread_pool& pool, int& sum) {
  for (int i = 0; i != 3; ++i)
    sum += *co_await async(pool.run([] { return 7; }, {}), {}, boost::asio::use_awaitable);
}

/// The options by default are a temporary there.
TEST(thread_pool, a_coroutine_runs_work_within_one_expression) {
  thread_pool pool;
  boost::asio::io_context io;
  int sum = 0;
  boost::asio::co_spawn(io, run_at_once(pool, sum), boost::asio::detached);
  io.run();
  EXPECT_EQ(sum, 21);
}

}  // namespace
}  // namespace troupe
