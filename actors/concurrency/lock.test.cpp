#include "actors/concurrency/lock.hpp"

#include "actors/concurrency/callers.hpp"

namespace troupe {
namespace {

/// Somebody to hold a lock.
struct task {
  owner id{this};
};

template <class Caller>
class lock_rules : public with_caller<Caller> {
 protected:
  lock mutex;
  condition changed{mutex};
  task a, b, c;

  /// The lock is free: nothing was lost.
  void expect_free() const {
    const auto now = mutex.stats();
    EXPECT_FALSE(now.locked);
    EXPECT_EQ(now.waiting, 0u);
    EXPECT_EQ(changed.stats().waiting, 0u);
  }

  void expect_held(owner by, std::size_t waiting) const {
    const auto now = mutex.stats();
    EXPECT_TRUE(now.locked);
    EXPECT_EQ(now.holder, by);
    EXPECT_EQ(now.waiting, waiting);
  }
};

TYPED_TEST_SUITE(lock_rules, all_callers, caller_names);

TYPED_TEST(lock_rules, LK_1_LK_4_a_release_passes_the_lock_to_the_first_who_waits) {
  auto held = this->run(this->mutex.acquire(this->a.id));
  auto second = this->start(this->mutex.acquire(this->b.id));
  auto third = this->start(this->mutex.acquire(this->c.id));
  EXPECT_FALSE(second.done());
  const task other;
  EXPECT_EQ(code_of(this->mutex.try_acquire(other.id)), status_code::resource_exhausted);
  EXPECT_TRUE(held->release());
  this->expect_held(this->b.id, 1);
  EXPECT_EQ(code_of(this->mutex.try_acquire(other.id)), status_code::resource_exhausted);
  auto second_guard = second.get();
  EXPECT_FALSE(third.done());
  EXPECT_TRUE(second_guard->release());
  EXPECT_TRUE(third.get()->release());
  this->expect_free();
}

TYPED_TEST(lock_rules, LK_2_who_holds_the_lock_is_refused_instead_of_waiting_for_itself) {
  auto held = this->run(this->mutex.acquire(this->a.id));
  EXPECT_EQ(code_of(this->mutex.try_acquire(this->a.id)), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(this->mutex.acquire(this->a.id))), status_code::failed_precondition);
  this->expect_held(this->a.id, 0);
}

TYPED_TEST(lock_rules, LK_3_what_is_not_held_can_t_be_released) {
  auto held = this->run(this->mutex.acquire(this->a.id));
  EXPECT_TRUE(held->release());
  EXPECT_EQ(code_of(held->release()), status_code::failed_precondition);
  auto other = this->mutex.try_acquire(this->b.id);
  EXPECT_EQ(code_of(held->release()), status_code::failed_precondition);
  const auto moved_to = std::move(*other);
  EXPECT_EQ(code_of(other->release()), status_code::failed_precondition);
  this->expect_held(this->b.id, 0);
}

TYPED_TEST(lock_rules, LK_5_a_waiter_cancelled_before_the_release_never_owns_the_lock) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto cancelled = this->start(this->mutex.acquire(this->b.id));
  this->scope.cancel();
  EXPECT_TRUE(held->release());
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  this->expect_free();
}

TYPED_TEST(lock_rules, LK_5_the_lock_goes_past_a_cancelled_waiter_to_the_next) {
  auto held = this->mutex.try_acquire(this->a.id);
  cancel_scope inner{no_deadline, this->scope.token()};
  auto cancelled = this->start(this->mutex.acquire(this->b.id), inner.token());
  auto next = this->start(this->mutex.acquire(this->c.id));
  inner.cancel();
  this->expect_held(this->a.id, 1);
  EXPECT_TRUE(held->release());
  EXPECT_FALSE(cancelled.get());
  const auto guard = next.get();
  this->expect_held(this->c.id, 0);
}

TYPED_TEST(lock_rules, LK_5_LK_6_a_waiter_given_the_lock_before_the_cancel_holds_it_until_its_guard_goes) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->mutex.acquire(this->b.id));
  EXPECT_TRUE(held->release());
  this->scope.cancel();
  {
    const auto guard = waiting.get();
    EXPECT_TRUE(guard);
    this->expect_held(this->b.id, 0);
  }
  this->expect_free();
}

TYPED_TEST(lock_rules, LK_7_acquiring_a_free_lock_is_refused_in_a_cancelled_scope_unless_without_waiting) {
  this->scope.cancel();
  EXPECT_EQ(code_of(this->run(this->mutex.acquire(this->a.id))), status_code::cancelled);
  this->expect_free();
  EXPECT_TRUE(this->mutex.try_acquire(this->a.id));
}

TYPED_TEST(lock_rules, LK_8_statistics_tell_the_holder_and_count_who_waits) {
  this->expect_free();
  auto held = this->run(this->mutex.acquire(this->a.id));
  this->expect_held(this->a.id, 0);
  auto second = this->start(this->mutex.acquire(this->b.id));
  this->expect_held(this->a.id, 1);
  EXPECT_TRUE(held->release());
  this->expect_held(this->b.id, 0);
  EXPECT_TRUE(second.get()->release());
  this->expect_free();
}

TYPED_TEST(lock_rules, LK_9_a_guard_that_goes_away_releases_the_lock) {
  auto held = this->run(this->mutex.acquire(this->a.id));
  auto waiting = this->start(this->mutex.acquire(this->b.id));
  { const auto ends = std::move(held); }
  auto next = *waiting.get();
  this->expect_held(this->b.id, 0);
  lock other;
  next = *other.try_acquire(this->c.id);
  this->expect_free();
}

TYPED_TEST(lock_rules, CN_1_waiting_and_notifying_need_the_lock) {
  lock other;
  const auto wrong = other.try_acquire(this->a.id);
  EXPECT_EQ(code_of(this->run(this->changed.wait(*wrong))), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->changed.notify(*wrong)), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->changed.notify_all(*wrong)), status_code::failed_precondition);
  auto released = this->mutex.try_acquire(this->a.id);
  EXPECT_TRUE(released->release());
  EXPECT_EQ(code_of(this->run(this->changed.wait(*released))), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->changed.notify(*released)), status_code::failed_precondition);
  const auto moved_to = std::move(*released);
  EXPECT_EQ(code_of(this->run(this->changed.wait(*released))), status_code::failed_precondition);
}

TYPED_TEST(lock_rules, CN_2_waiting_releases_the_lock_and_has_it_again_afterwards) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*held));
  EXPECT_FALSE(this->mutex.stats().locked);
  EXPECT_EQ(code_of(held->release()), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->changed.notify(*held)), status_code::failed_precondition);
  auto notifier = this->mutex.try_acquire(this->b.id);
  EXPECT_TRUE(this->changed.notify(*notifier));
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(notifier->release());
  EXPECT_TRUE(waiting.get());
  this->expect_held(this->a.id, 0);
  EXPECT_TRUE(held->release());
  this->expect_free();
}

TYPED_TEST(lock_rules, CN_2_a_cancelled_wait_has_the_lock_again) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*held));
  this->scope.cancel();
  EXPECT_EQ(code_of(waiting.get()), status_code::cancelled);
  this->expect_held(this->a.id, 0);
}

TYPED_TEST(lock_rules, CN_2_CS_40_a_cancelled_wait_ends_only_once_it_has_the_lock) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*held));
  auto other = this->mutex.try_acquire(this->b.id);
  this->scope.cancel();
  this->expect_held(this->b.id, 1);
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(other->release());
  EXPECT_EQ(code_of(waiting.get()), status_code::cancelled);
  this->expect_held(this->a.id, 0);
}

TYPED_TEST(lock_rules, CN_3_notify_wakes_at_most_so_many_in_their_order) {
  std::vector<expected<lock::guard>> guards;
  std::vector<started<condition::wait_operation>> waiting;
  const task tasks[4];
  for (const auto& t : tasks) {
    guards.push_back(this->mutex.try_acquire(t.id));
    waiting.push_back(this->start(this->changed.wait(*guards.back())));
  }
  auto notifier = this->mutex.try_acquire(this->a.id);
  EXPECT_TRUE(this->changed.notify(*notifier, 2));
  EXPECT_EQ(this->changed.stats().waiting, 2u);
  EXPECT_TRUE(this->changed.notify(*notifier, 0));
  EXPECT_TRUE(notifier->release());
  for (const auto i : {0u, 1u}) {
    EXPECT_TRUE(waiting[i].get());
    this->expect_held(tasks[i].id, 1 - i);
    EXPECT_TRUE(guards[i]->release());
  }
  EXPECT_FALSE(waiting[2].done());
  auto again = this->mutex.try_acquire(this->a.id);
  EXPECT_TRUE(this->changed.notify_all(*again));
  EXPECT_EQ(this->changed.stats().waiting, 0u);
  EXPECT_TRUE(again->release());
  for (const auto i : {2u, 3u}) {
    EXPECT_TRUE(waiting[i].get());
    EXPECT_TRUE(guards[i]->release());
  }
  this->expect_free();
}

TYPED_TEST(lock_rules, CN_4_who_was_notified_before_the_cancel_keeps_the_notification) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*held));
  auto notifier = this->mutex.try_acquire(this->b.id);
  EXPECT_TRUE(this->changed.notify(*notifier));
  this->scope.cancel();
  EXPECT_TRUE(notifier->release());
  EXPECT_TRUE(waiting.get());
  this->expect_held(this->a.id, 0);
}

TYPED_TEST(lock_rules, CN_4_who_was_cancelled_before_the_notification_leaves_it_to_the_next) {
  cancel_scope inner{no_deadline, this->scope.token()};
  auto first = this->mutex.try_acquire(this->a.id);
  auto cancelled = this->start(this->changed.wait(*first), inner.token());
  auto second = this->mutex.try_acquire(this->b.id);
  auto next = this->start(this->changed.wait(*second));
  auto notifier = this->mutex.try_acquire(this->c.id);
  inner.cancel();
  EXPECT_TRUE(this->changed.notify(*notifier));
  EXPECT_TRUE(notifier->release());
  EXPECT_EQ(code_of(cancelled.get()), status_code::cancelled);
  EXPECT_TRUE(first->release());
  EXPECT_TRUE(next.get());
  this->expect_held(this->b.id, 0);
}

TYPED_TEST(lock_rules, CN_4_a_guard_that_goes_while_it_waits_takes_nobody_s_lock_and_no_notification) {
  auto forsaken = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*forsaken));
  auto second = this->mutex.try_acquire(this->b.id);
  auto next = this->start(this->changed.wait(*second));
  auto notifier = this->mutex.try_acquire(this->c.id);
  { const auto ends = std::move(*forsaken); }
  this->expect_held(this->c.id, 0);
  EXPECT_TRUE(this->changed.notify(*notifier));
  EXPECT_TRUE(notifier->release());
  EXPECT_EQ(code_of(waiting.get()), status_code::failed_precondition);
  EXPECT_TRUE(next.get());
  this->expect_held(this->b.id, 0);
  EXPECT_TRUE(second->release());
  this->expect_free();
}

TYPED_TEST(lock_rules, CN_5_a_loop_around_the_wait_looks_again_after_every_wake_up) {
  bool ready = false;
  int looks = 0;
  auto held = this->mutex.try_acquire(this->a.id);
  std::jthread waits{[&] {
    while (++looks, !ready)
      EXPECT_TRUE(this->run(this->changed.wait(*held)));
  }};
  for (const bool set : {false, true}) {
    while (this->changed.stats().waiting == 0)
      std::this_thread::yield();
    auto notifier = this->run(this->mutex.acquire(this->b.id));
    ready = set;
    EXPECT_TRUE(this->changed.notify(*notifier));
  }
  waits.join();
  EXPECT_EQ(looks, 3);
  this->expect_held(this->a.id, 0);
}

TYPED_TEST(lock_rules, CN_6_statistics_count_who_waits_and_tell_of_the_lock) {
  auto held = this->mutex.try_acquire(this->a.id);
  auto waiting = this->start(this->changed.wait(*held));
  auto other = this->mutex.try_acquire(this->b.id);
  EXPECT_EQ(this->changed.stats().waiting, 1u);
  EXPECT_TRUE(this->changed.stats().of_lock.locked);
  EXPECT_EQ(this->changed.stats().of_lock.holder, this->b.id);
  EXPECT_TRUE(this->changed.notify(*other));
  EXPECT_EQ(this->changed.stats().waiting, 0u);
  EXPECT_EQ(this->changed.stats().of_lock.waiting, 1u);
  EXPECT_TRUE(other->release());
  EXPECT_TRUE(waiting.get());
}

}  // namespace
}  // namespace troupe
