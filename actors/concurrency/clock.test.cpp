#include "actors/concurrency/clock.hpp"

#include "actors/concurrency/event.hpp"
#include "actors/concurrency/virtual_clock.hpp"
#include "actors/concurrency/wait.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <random>

namespace troupe {
namespace {

using namespace std::chrono_literals;

class alarm final : public timer {
 public:
  explicit alarm(std::function<void()> then) : then_(std::move(then)) {}

  void fire() noexcept override { then_(); }

 private:
  std::function<void()> then_;
};

TEST(virtual_clock, fires_in_the_order_of_time_and_each_at_its_own_time) {
  virtual_clock clock;
  const auto begin = clock.now();
  std::vector<steady_clock::duration> fired;
  alarm one{[&] { fired.push_back(clock.now() - begin); }};
  alarm two{[&] { fired.push_back(clock.now() - begin); }};
  alarm never{[&] { fired.push_back(-1s); }};
  clock.arm(two, begin + 2s);
  clock.arm(one, begin + 1s);
  clock.arm(never, no_deadline);
  EXPECT_EQ(clock.armed(), 2u);
  clock.advance(3s);
  EXPECT_EQ(fired, (std::vector<steady_clock::duration>{1s, 2s}));
  EXPECT_EQ(clock.now(), begin + 3s);
  EXPECT_FALSE(clock.jump());
}

TEST(virtual_clock, jumps_to_the_next_timer) {
  virtual_clock clock;
  const auto begin = clock.now();
  int fired = 0;
  alarm some{[&] { ++fired; }};
  clock.arm(some, begin + 5s);
  EXPECT_TRUE(clock.jump());
  EXPECT_EQ(clock.now(), begin + 5s);
  EXPECT_EQ(fired, 1);
}

TEST(virtual_clock, a_timer_may_arm_itself_again_and_move_time) {
  virtual_clock clock;
  const auto begin = clock.now();
  int fired = 0;
  alarm every_second{[&] {
    ++fired;
    clock.arm(every_second, clock.now() + 1s);
  }};
  clock.arm(every_second, begin + 1s);
  clock.advance(10s);
  EXPECT_EQ(fired, 10);
  EXPECT_TRUE(clock.disarm(every_second));
  alarm moves_time{[&] { clock.advance(5s); }};
  alarm later{[&] { ++fired; }};
  clock.arm(moves_time, clock.now() + 1s);
  clock.arm(later, clock.now() + 3s);
  clock.advance(1s);
  EXPECT_EQ(fired, 11);
}

TEST(virtual_clock, CS_38_of_many_timers_at_one_moment_each_fires_once) {
  virtual_clock clock;
  int fired = 0;
  std::deque<alarm> all;
  for (int i = 0; i != 1000; ++i)
    clock.arm(all.emplace_back([&] { ++fired; }), clock.now() + 1s);
  clock.advance(1s);
  clock.advance(1s);
  EXPECT_EQ(fired, 1000);
}

TEST(virtual_clock, agrees_with_a_model_on_what_fires_and_when) {
  std::mt19937 random{7};
  virtual_clock clock;
  const auto begin = clock.now();
  std::vector<std::pair<int, int>> fired;  // when, which
  std::deque<alarm> all;
  std::vector<int> due(200, -1);
  for (int which = 0; which != 200; ++which)
    all.emplace_back([&, which] {
      fired.emplace_back((clock.now() - begin) / 1ms, which);
      due[static_cast<std::size_t>(which)] = -1;
    });
  std::vector<std::pair<int, int>> expected;
  for (int now = 0; now != 2000; ++now) {
    for (int change = 0; change != 5; ++change) {
      const auto which = random() % due.size();
      if (random() % 3 == 0) {
        EXPECT_EQ(clock.disarm(all[which]), due[which] >= 0);
        due[which] = -1;
      } else {
        due[which] = now + 1 + static_cast<int>(random() % 50);
        clock.arm(all[which], begin + due[which] * 1ms);
      }
    }
    for (std::size_t which = 0; which != due.size(); ++which)
      if (due[which] == now + 1)
        expected.emplace_back(now + 1, static_cast<int>(which));
    clock.advance(1ms);
  }
  std::sort(fired.begin(), fired.end());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(fired, expected);
}

TEST(virtual_clock, stress_a_disarmed_timer_does_not_run_whoever_moves_time) {
  virtual_clock clock;
  std::atomic<bool> stop = false;
  std::atomic<int> fired = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i != 2; ++i)
    threads.emplace_back([&] {
      while (!stop)
        clock.advance(1us);
    });
  for (int i = 0; i < 2000 || fired < 100; ++i) {
    auto alive = std::make_unique<int>(0);
    alarm some{[&] {
      ++*alive;
      ++fired;
    }};
    clock.arm(some, clock.now() + 1us);
    clock.disarm(some);
    EXPECT_LE(*alive, 1);
    alive.reset();
  }
  stop = true;
}

TEST(real_clock, fires_on_time_or_later_and_never_when_disarmed) {
  auto& clock = real_clock();
  std::atomic<bool> fired = false;
  const auto when = clock.now() + 2ms;
  steady_clock::time_point at;
  alarm some{[&] {
    at = steady_clock::now();
    fired = true;
    fired.notify_all();
  }};
  clock.arm(some, when);
  fired.wait(false);
  EXPECT_GE(at, when);
  clock.disarm(some);
  for (int i = 0; i != 500; ++i) {
    std::atomic<bool> gone = false;
    std::atomic<bool> late = false;
    alarm taken_back{[&] { late = gone.load(); }};
    clock.arm(taken_back, clock.now() + 50us);
    clock.disarm(taken_back);
    gone = true;
    EXPECT_FALSE(late);
  }
}

TEST(real_clock, an_earlier_timer_overtakes_a_later_one) {
  auto& clock = real_clock();
  std::atomic<bool> fired = false;
  alarm later{[] {}};
  alarm earlier{[&] {
    fired = true;
    fired.notify_all();
  }};
  clock.arm(later, clock.now() + 1h);
  clock.arm(earlier, clock.now() + 1ms);
  fired.wait(false);
  EXPECT_TRUE(clock.disarm(later));
  clock.disarm(earlier);
}

/// A program that ends while a timer fires.
void end_while_a_timer_fires() {
  struct slow final : timer {
    void fire() noexcept override {
      firing.set();
      std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
    event firing;
  };
  static auto& timer = *new slow;  // which is not taken back before the program ends
  ::alarm(20);
  real_clock().arm(timer, steady_clock::now());
  static_cast<void>(wait(timer.firing.wait(), {}));
  std::exit(0);
}

TEST(real_clock, ends_with_the_program_also_while_a_timer_fires) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(end_while_a_timer_fires(), testing::ExitedWithCode(0), "");
}

void wait_for_a_timer() {
  event fired;
  alarm soon{[fired]() mutable { fired.set(); }};
  real_clock().arm(soon, real_clock().now() + 1ms);
  static_cast<void>(wait(fired.wait(), {}));
  real_clock().disarm(soon);
}

/// A program that ends while a thread that nobody waits for uses the clock, as does what was made before the clock and
/// is therefore destroyed after whatever was made later.
void end_while_the_clock_is_used() {
  struct made_first {
    ~made_first() { wait_for_a_timer(); }
  };
  ::alarm(20);
  static const made_first last;
  event begun;
  std::thread{[begun]() mutable {
    for (;; begun.set())
      wait_for_a_timer();
  }}.detach();
  static_cast<void>(wait(begun.wait(), {}));
  std::exit(0);
}

TEST(real_clock, is_there_until_the_program_has_ended) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(end_while_the_clock_is_used(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace troupe
