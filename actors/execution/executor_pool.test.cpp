#include "actors/execution/executor_pool.hpp"

#include "actors/concurrency/wait.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <semaphore>
#include <system_error>
#include <thread>

namespace troupe {
namespace {

TEST(executor_pool, runs_as_many_jobs_at_once_as_it_has_slots) {
  executor_pool pool{"CPU", 2};
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
  executor_pool pool{"CPU", 1};
  std::binary_semaphore go{0}, running{0};
  std::latch second{1};
  EXPECT_TRUE(pool.submit(make_job([&] {
    running.release();
    go.acquire();
  })));
  EXPECT_TRUE(pool.submit(make_job([&] { second.count_down(); })));
  running.acquire();
  const auto stats = pool.stats();
  EXPECT_EQ(stats.slots, 1u);
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
    executor_pool pool{"CPU", 1};
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
  executor_pool pool{"CPU", 1};
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
  executor_pool pool{"CPU", 1};
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
  executor_pool pool{"CPU", 1};
  std::latch ran{1};
  auto leased = pool.try_lease(owner{&ran});
  ASSERT_TRUE(leased);
  EXPECT_FALSE(pool.try_lease(this_thread_owner()));
  EXPECT_TRUE(pool.submit(make_job([&] { ran.count_down(); })));
  EXPECT_EQ(pool.stats().busy, 1u);
  EXPECT_EQ(pool.stats().queued, 1u);
  EXPECT_FALSE(ran.try_wait());
  leased.reset();
  ran.wait();
}

TEST(executor_pool, leases_nothing_over_the_head_of_a_waiting_job) {
  executor_pool pool{"CPU", 2};
  std::binary_semaphore go{0};
  std::latch running{1};
  EXPECT_TRUE(pool.submit(make_job([&] {
    running.count_down();
    go.acquire();
  })));
  running.wait();
  auto leased = pool.try_lease(owner{&running});
  ASSERT_TRUE(leased);
  EXPECT_TRUE(pool.submit(make_job([] {})));
  EXPECT_FALSE(pool.try_lease(this_thread_owner()));
  go.release();
  leased.reset();
  pool.close();
  EXPECT_FALSE(pool.try_lease(this_thread_owner()));
}

TEST(executor_pool, is_idle_only_when_its_leased_slots_are_back) {
  executor_pool pool{"CPU", 1};
  auto leased = pool.try_lease(this_thread_owner());
  ASSERT_TRUE(leased);
  pool.close();
  auto soon = move_on_after(std::chrono::milliseconds{50}, {});
  EXPECT_FALSE(wait(pool.drained(), soon.token()));
  leased.reset();
  EXPECT_TRUE(wait(pool.drained(), {}));
}

TEST(executor_pool, every_slot_that_comes_back_takes_a_waiting_job) {
  executor_pool pool{"CPU", 2};
  for (int round = 0; round != 100; ++round) {
    std::optional<executor_pool::lease> leases[2];
    for (auto& leased : leases)
      while (!leased)
        if (auto slot = pool.try_lease(owner{&leased}))
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

TEST(executor_pool, may_be_let_go_of_by_its_own_job) {
  for (int round = 0; round != 50; ++round) {
    auto pool = std::make_shared<executor_pool>("CPU", 2);
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
  EXPECT_THROW((executor_pool{"CPU", 64}), std::system_error);
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
    executor_pool pool{"CPU", slots};
    std::vector<std::jthread> threads;
    for (int t = 0; t != 3; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i != 2000; ++i)
          if (const auto leased = pool.try_lease(this_thread_owner())) {
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
    executor_pool pool{"CPU", 3};
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
