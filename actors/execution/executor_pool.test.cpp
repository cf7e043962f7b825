#include "actors/execution/executor_pool.hpp"

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/concurrency/wait.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <latch>
#include <mutex>
#include <semaphore>
#include <string>
#include <system_error>
#include <thread>

namespace troupe {
namespace {

TEST(executor_pool, runs_as_many_jobs_at_once_as_it_has_slots) {
  executor_pool pool{"CPU", {2}};
  std::latch both{2};
  std::latch done{2};
  for (int i = 0; i != 2; ++i)
    EXPECT_TRUE(pool.submit(make_job([&] {
      both.arrive_and_wait();
      done.count_down();
    })));
  done.wait();
}

TEST(executor_pool, a_slot_is_busy_until_its_work_has_ended) {
  executor_pool pool{"CPU", {1}};
  std::binary_semaphore go{0}, running{0};
  std::latch second{1};
  EXPECT_TRUE(pool.submit(make_job([&] {
    running.release();
    go.acquire();
  })));
  EXPECT_TRUE(pool.submit(make_job([&] { second.count_down(); })));
  running.acquire();
  const auto stats = pool.stats();
  EXPECT_EQ(stats.threads, 1u);
  EXPECT_EQ(stats.busy, 1u);
  EXPECT_EQ(stats.queued, 1u);
  EXPECT_FALSE(second.try_wait());
  go.release();
  second.wait();
}

TEST(executor_pool, queues_a_job_once_and_again_while_it_runs) {
  struct counting final : pool_job {
    void run() noexcept override {
      ++runs;
      entered.release();
      go.acquire();
    }
    std::atomic<int> runs = 0;
    std::counting_semaphore<> entered{0}, go{0};
  };
  const auto job = std::make_shared<counting>();
  {
    executor_pool pool{"CPU", {1}};
    EXPECT_TRUE(pool.submit(job));
    job->entered.acquire();
    EXPECT_TRUE(pool.submit(job));
    EXPECT_TRUE(pool.submit(job));
    EXPECT_EQ(pool.stats().queued, 1u);
    job->go.release(2);
  }
  EXPECT_EQ(job->runs, 2);
}

TEST(executor_pool, closing_runs_what_is_queued_and_refuses_the_rest) {
  executor_pool pool{"CPU", {1}};
  std::atomic<int> ran = 0;
  std::binary_semaphore go{0};
  EXPECT_TRUE(pool.submit(make_job([&] { go.acquire(); })));
  EXPECT_TRUE(pool.submit(make_job([&] { ++ran; })));
  pool.close();
  EXPECT_FALSE(pool.submit(make_job([&] { ++ran; })));
  EXPECT_NE(pool.stats().busy, 0u);
  go.release();
  EXPECT_TRUE(wait(pool.drained(), {}));
  EXPECT_EQ(ran, 1);
  EXPECT_EQ(pool.stats().finished, 2u);
}

TEST(executor_pool, lets_go_of_a_job_before_its_slot_is_free) {
  executor_pool pool{"CPU", {1}};
  auto held = std::make_shared<int>(1);
  std::latch next{1};
  EXPECT_TRUE(pool.submit(make_job([copy = held] { EXPECT_EQ(*copy, 1); })));
  EXPECT_TRUE(pool.submit(make_job([&] {
    EXPECT_EQ(held.use_count(), 1);
    next.count_down();
  })));
  next.wait();
}

TEST(executor_pool, a_leased_slot_is_not_the_pools_until_it_is_back) {
  executor_pool pool{"CPU", {1}};
  std::latch ran{1};
  auto leased = pool.try_lease();
  ASSERT_TRUE(leased);
  EXPECT_FALSE(pool.try_lease());
  EXPECT_TRUE(pool.submit(make_job([&] { ran.count_down(); })));
  EXPECT_EQ(pool.stats().busy, 1u);
  EXPECT_EQ(pool.stats().queued, 1u);
  EXPECT_FALSE(ran.try_wait());
  leased.reset();
  ran.wait();
}

TEST(executor_pool, leases_nothing_over_the_head_of_a_waiting_job) {
  executor_pool pool{"CPU", {2}};
  std::binary_semaphore go{0};
  std::latch running{1};
  EXPECT_TRUE(pool.submit(make_job([&] {
    running.count_down();
    go.acquire();
  })));
  running.wait();
  auto leased = pool.try_lease();
  ASSERT_TRUE(leased);
  EXPECT_TRUE(pool.submit(make_job([] {})));
  EXPECT_FALSE(pool.try_lease());
  go.release();
  leased.reset();
  pool.close();
  EXPECT_FALSE(pool.try_lease());
}

TEST(executor_pool, is_idle_only_when_its_leased_slots_are_back) {
  executor_pool pool{"CPU", {1}};
  auto leased = pool.try_lease();
  ASSERT_TRUE(leased);
  pool.close();
  auto soon = move_on_after(std::chrono::milliseconds{50}, {});
  EXPECT_FALSE(wait(pool.drained(), soon.token()));
  leased.reset();
  EXPECT_TRUE(wait(pool.drained(), {}));
}

TEST(executor_pool, every_slot_that_comes_back_takes_a_waiting_job) {
  executor_pool pool{"CPU", {2}};
  for (int round = 0; round != 100; ++round) {
    std::optional<executor_pool::lease> leases[2];
    for (auto& leased : leases)
      while (!leased)
        if (auto slot = pool.try_lease())
          leased.emplace(*std::move(slot));
        else
          std::this_thread::yield();
    const auto both = std::make_shared<std::latch>(2), done = std::make_shared<std::latch>(2);
    for (int i = 0; i != 2; ++i)
      EXPECT_TRUE(pool.submit(make_job([both, done] {
        both->arrive_and_wait();  // for ever, if one job waits for the end of the other
        done->count_down();
      })));
    for (auto& leased : leases)
      leased.reset();
    done->wait();
  }
}

// -- Shares

/// Jobs of one share, each of which says who it was and takes a second of the test's time.
struct shares_test : testing::Test {
  void TearDown() override { blocker.release(8); }

  /// Keeps the pool's only thread until `let_go`, so that what is submitted meanwhile is ordered by the pool alone.
  void block() {
    EXPECT_TRUE(pool.submit(make_job([this] {
      blocked.count_down();
      blocker.acquire();
    })));
    blocked.wait();
  }

  void submit(const std::shared_ptr<executor_pool::share>& of, char name, int jobs) {
    for (int i = 0; i != jobs; ++i)
      EXPECT_TRUE(pool.submit(make_job([this, name] {
                                time.advance(std::chrono::seconds{1});
                                const std::lock_guard lock{mutex};
                                order += name;
                              }),
                              of));
  }

  std::string run() {
    blocker.release();
    pool.close();
    EXPECT_TRUE(wait(pool.drained(), {}));
    return order;
  }

  virtual_clock time;
  std::latch blocked{1};
  std::counting_semaphore<8> blocker{0};
  std::mutex mutex;
  std::string order;
  executor_pool pool{"CPU", {1}, time};
};

TEST_F(shares_test, have_equal_parts_of_the_time_whoever_asks_for_more) {
  const auto a = pool.open_share({"a"}), b = pool.open_share({"b"});
  block();
  submit(a, 'a', 12);
  submit(b, 'b', 4);
  const auto ran = run();
  EXPECT_EQ(std::count(ran.begin(), ran.begin() + 8, 'b'), 4) << ran;
}

TEST_F(shares_test, have_parts_by_their_weight) {
  const auto a = pool.open_share({"a", 3}), b = pool.open_share({"b", 1});
  block();
  submit(a, 'a', 30);
  submit(b, 'b', 30);
  const auto ran = run();
  const auto of_a = std::count(ran.begin(), ran.begin() + 40, 'a');
  EXPECT_GE(of_a, 29) << ran;
  EXPECT_LE(of_a, 30) << ran;
  const auto stats = pool.share_stats();
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_EQ(stats[0].name, "a");
  EXPECT_DOUBLE_EQ(stats[0].seconds, 30);
}

TEST_F(shares_test, that_were_idle_get_no_credit_for_it) {
  const auto a = pool.open_share({"a"}), b = pool.open_share({"b"});
  std::latch both{1};
  submit(a, 'a', 20);
  EXPECT_TRUE(pool.submit(make_job([&] { both.count_down(); }), a));
  both.wait();
  block();
  submit(b, 'b', 10);
  submit(a, 'a', 10);
  const auto ran = run().substr(20);
  EXPECT_GE(std::count(ran.begin(), ran.begin() + 10, 'a'), 4) << ran;
}

TEST(executor_pool, a_job_takes_the_threads_of_its_share) {
  executor_pool pool{"CPU", {2}};
  const auto wide = pool.open_share({"wide", 1, 2}), narrow = pool.open_share({"narrow"});
  std::latch narrow_runs{1}, wide_ran{1};
  std::binary_semaphore go{0};
  EXPECT_TRUE(pool.submit(make_job([&] {
                            narrow_runs.count_down();
                            go.acquire();
                          }),
                          narrow));
  narrow_runs.wait();
  std::atomic<bool> overtook = false;
  EXPECT_TRUE(pool.submit(make_job([&] {
                            EXPECT_EQ(pool.stats().busy, 2u);
                            EXPECT_FALSE(overtook) << "what needs more threads would wait for ever";
                            wide_ran.count_down();
                          }),
                          wide));
  EXPECT_TRUE(pool.submit(make_job([&] { overtook = true; }), narrow));
  EXPECT_EQ(pool.stats().busy, 1u);
  EXPECT_EQ(pool.stats().queued, 2u);
  EXPECT_FALSE(pool.try_lease());
  go.release();
  wide_ran.wait();
}

TEST(executor_pool, a_share_never_takes_more_threads_than_there_are) {
  executor_pool pool{"CPU", {2}};
  const auto greedy = pool.open_share({"greedy", 1, 64});
  std::latch ran{1};
  EXPECT_TRUE(pool.submit(make_job([&] { ran.count_down(); }), greedy));
  ran.wait();
}

TEST(executor_pool, lends_memory_as_long_as_there_is_some) {
  executor_pool pool{"CPU", {.threads = 1, .bytes = 100}};
  {
    const auto most = pool.reserve(80);
    ASSERT_TRUE(most);
    EXPECT_EQ(pool.stats().reserved_bytes, 80u);
    const auto refused = pool.reserve(21);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, status_code::resource_exhausted);
    EXPECT_NE(refused.error().cause.find("20 of its 100 bytes"), std::string::npos) << refused.error().cause;
    EXPECT_TRUE(pool.reserve(20));
  }
  EXPECT_EQ(pool.stats().reserved_bytes, 0u);
  EXPECT_TRUE(pool.reserve(100));
  EXPECT_FALSE(pool.reserve(~std::uint64_t{0}));
  executor_pool unbounded_pool{"CPU", {1}};
  EXPECT_TRUE(unbounded_pool.reserve(~std::uint64_t{0}));
}

TEST(executor_pool, stress_threads_of_all_shares_never_exceed_the_device_s) {
  constexpr std::size_t threads = 4;
  std::atomic<std::size_t> taken = 0, most = 0, ran = 0;
  {
    executor_pool pool{"CPU", {threads}};
    std::vector<std::jthread> submitters;
    for (std::size_t t = 0; t != 4; ++t)
      submitters.emplace_back([&, t] {
        const auto wants = t + 1;
        const auto mine = pool.open_share({"s", 1.0 + static_cast<double>(t), wants});
        for (int i = 0; i != 500; ++i)
          EXPECT_TRUE(pool.submit(make_job([&, wants] {
                                    const auto now = taken += wants;
                                    for (auto seen = most.load();
                                         now > seen && !most.compare_exchange_weak(seen, now);) {
                                    }
                                    ++ran;
                                    taken -= wants;
                                  }),
                                  mine));
      });
  }
  EXPECT_EQ(ran, 2000u);
  EXPECT_LE(most, threads);
}

// -- The end

TEST(executor_pool, may_be_let_go_of_by_its_own_job) {
  for (int round = 0; round != 50; ++round) {
    auto pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
    const auto let_go = std::make_shared<std::latch>(1), ran = std::make_shared<std::latch>(2);
    EXPECT_TRUE(pool->submit(make_job([let_go, ran, held = pool] {
      let_go->wait();
      ran->count_down();
    })));
    EXPECT_TRUE(pool->submit(make_job([ran] { ran->count_down(); })));
    pool.reset();
    let_go->count_down();
    ran->wait();
  }
}

TEST(executor_pool, that_cannot_have_its_threads_says_so) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "sanitizers leave no address space to run out of";
#endif
  rlim_t pages = 0;
  ASSERT_TRUE(std::ifstream{"/proc/self/statm"} >> pages);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit room_for_a_few{pages * 4096 + (64u << 20), before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &room_for_a_few), 0);
  EXPECT_THROW((executor_pool{"CPU", {64}}), std::system_error);
  EXPECT_EQ(setrlimit(RLIMIT_AS, &before), 0);
}

TEST(executor_pool, stress_leases_and_jobs_never_exceed_the_slots) {
  constexpr int slots = 2;
  std::atomic<int> inside = 0, most = 0, ran = 0;
  const auto work = [&] {
    const auto now = ++inside;
    for (auto seen = most.load(); now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    ++ran;
    --inside;
  };
  {
    executor_pool pool{"CPU", {slots}};
    std::vector<std::jthread> threads;
    for (int t = 0; t != 3; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i != 2000; ++i)
          if (const auto leased = pool.try_lease()) {
            work();
          } else {
            EXPECT_TRUE(pool.submit(make_job(work)));
          }
      });
  }
  EXPECT_EQ(ran, 6000);
  EXPECT_LE(most, slots);
}

TEST(executor_pool, stress_every_accepted_job_runs_exactly_once) {
  std::atomic<int> accepted = 0, ran = 0;
  for (int round = 0; round != 50; ++round) {
    executor_pool pool{"CPU", {3}};
    std::vector<std::jthread> threads;
    for (int t = 0; t != 3; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i != 200; ++i)
          accepted += pool.submit(make_job([&] { ++ran; })) ? 1 : 0;
      });
    threads.emplace_back([&] { pool.close(); });
  }
  EXPECT_EQ(accepted, ran);
}

}  // namespace
}  // namespace troupe
