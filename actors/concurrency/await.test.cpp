#include "actors/concurrency/await.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/capacity_limiter.hpp"
#include "actors/concurrency/lock.hpp"
#include "actors/concurrency/stream.hpp"

namespace troupe {
namespace {

stream<int> stream_of(std::int64_t capacity) {
  return *make_stream<int>(capacity);
}

class await_test : public ::testing::Test {
 protected:
  /// An actor that runs `begin(self)`, then does what it waits for, until it is ended.
  template <class Begin>
  caf::actor actor(Begin begin) {
    return system_.spawn([this, begin](caf::event_based_actor* self) {
      begin(self);
      self->attach_functor([this] { note_ended(); });
      note_begun();
      return caf::behavior{[](int) {}};
    });
  }

  void wait_until_begun(int so_many = 1) { wait_until(&await_test::begun_, so_many); }
  void wait_until_ended(int so_many) { wait_until(&await_test::ended_, so_many); }
  void note_begun() { note(&await_test::begun_); }
  void note_ended() { note(&await_test::ended_); }

  /// Ends it, and returns when it has.
  void end(const caf::actor& which) {
    const auto before = ended();
    caf::anon_send_exit(which, caf::exit_reason::user_shutdown);
    wait_until_ended(before + 1);
  }

  template <class Predicate>
  static void eventually(Predicate there) {
    const auto end = steady_clock::now() + std::chrono::seconds{60};
    while (!there() && steady_clock::now() < end)
      std::this_thread::yield();
    EXPECT_TRUE(there());
  }

  int ended() {
    const std::lock_guard lock{mutex_};
    return ended_;
  }

 private:
  void wait_until(int await_test::*count, int so_many) {
    std::unique_lock lock{mutex_};
    wait_or_die(lock, changed_, [&] { return this->*count >= so_many; });
  }

  void note(int await_test::*count) {
    const std::lock_guard lock{mutex_};
    ++(this->*count);
    changed_.notify_all();
  }

  int begun_ = 0;
  int ended_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
};

TEST_F(await_test, MS_21_an_actor_that_ends_while_it_waits_takes_nothing) {
  auto [sender, receiver] = stream_of(1);
  const auto waits = actor([&r = receiver](caf::event_based_actor* self) {
    await(self, r.receive(), {}, [](expected<int>) { ADD_FAILURE(); });
    await(self, r.receive_up_to(2), {}, [](expected<std::vector<int>>) { ADD_FAILURE(); });
  });
  wait_until_begun();
  EXPECT_EQ(receiver.statistics().waiting_receivers, 2u);
  end(waits);
  eventually([&, &r = receiver] { return r.statistics().waiting_receivers == 0; });
  EXPECT_TRUE(sender.try_send(1));
  EXPECT_EQ(*receiver.try_receive(), 1);
}

TEST_F(await_test, MS_17_an_item_on_its_way_to_an_actor_that_ends_is_received_by_the_next) {
  auto [sender, receiver] = stream_of(1);
  // The item is handed over in the very handler in which the actor ends.
  const auto waits = actor([&r = receiver, &s = sender](caf::event_based_actor* self) {
    await(self, r.receive(), {}, [](expected<int>) { ADD_FAILURE(); });
    EXPECT_TRUE(s.try_send(7));
    self->quit();
  });
  wait_until_ended(1);
  eventually([&, &r = receiver] { return r.statistics().buffered == 1; });
  EXPECT_EQ(*receiver.try_receive(), 7);
}

TEST_F(await_test, LK_9_an_actor_that_ends_releases_the_lock_that_it_holds_waits_for_or_was_given) {
  lock mutex;
  const int first = 0, second = 0, third = 0;
  const auto holds = [&](const int& who) {
    return [&mutex, &who, this](caf::event_based_actor* self) {
      await(self, mutex.acquire(owner{&who}), {}, [self, this](expected<lock::guard> guard) {
        EXPECT_TRUE(guard);
        auto held = std::make_shared<lock::guard>(*std::move(guard));
        self->become([held](int) {});
        note_begun();
      });
    };
  };
  const auto holder = actor(holds(first));
  wait_until_begun(2);
  const auto waiting = actor(holds(second));
  wait_until_begun(3);
  const auto next = actor(holds(third));
  wait_until_begun(4);
  EXPECT_EQ(mutex.stats().waiting, 2u);
  end(waiting);
  eventually([&] { return mutex.stats().waiting == 1; });
  end(holder);
  wait_until_begun(5);
  EXPECT_EQ(mutex.stats().holder, owner{&third});
  end(next);
  eventually([&] { return !mutex.stats().locked; });
  const auto given = actor([&](caf::event_based_actor* self) {
    auto held = mutex.try_acquire(owner{&first});
    await(self, mutex.acquire(owner{&second}), {}, [](expected<lock::guard>) { ADD_FAILURE(); });
    EXPECT_TRUE(held->release());
    EXPECT_EQ(mutex.stats().holder, owner{&second});
    self->quit();
  });
  wait_until_ended(4);
  eventually([&] { return !mutex.stats().locked; });
}

TEST_F(await_test, CN_2_CN_4_an_actor_that_ends_in_a_condition_takes_neither_lock_nor_notification) {
  lock mutex;
  condition changed{mutex};
  const int first = 0, second = 0, third = 0;
  const auto waits = actor([&](caf::event_based_actor* self) {
    auto held = std::make_shared<lock::guard>(*mutex.try_acquire(owner{&first}));
    await(self, changed.wait(*held), {}, [held](expected<void>) { ADD_FAILURE(); });
  });
  wait_until_begun();
  auto second_guard = mutex.try_acquire(owner{&second});
  std::jthread next{[&] { EXPECT_TRUE(wait(changed.wait(*second_guard), {})); }};
  eventually([&] { return changed.stats().waiting == 2; });
  auto notifier = mutex.try_acquire(owner{&third});
  EXPECT_TRUE(changed.notify(*notifier));
  end(waits);
  eventually([&] { return changed.stats().waiting == 0 && mutex.stats().waiting == 1; });
  EXPECT_EQ(mutex.stats().holder, owner{&third});
  EXPECT_TRUE(notifier->release());
  next.join();
  EXPECT_EQ(mutex.stats().holder, owner{&second});
}

TEST_F(await_test, CL_6_an_actor_that_ends_gives_its_token_back) {
  auto limiter = *capacity_limiter::make(1);
  const int who = 0;
  const auto holds = actor([&](caf::event_based_actor* self) {
    await(self, limiter.acquire(owner{&who}), {}, [self, this](expected<capacity_limiter::token> token) {
      auto held = std::make_shared<capacity_limiter::token>(*std::move(token));
      self->become([held](int) {});
      note_begun();
    });
  });
  wait_until_begun(2);
  EXPECT_EQ(limiter.stats().borrowed, 1u);
  end(holds);
  eventually([&] { return limiter.stats().borrowed == 0; });
}

TEST_F(await_test, MS_16_a_refused_item_is_shown_to_the_actor) {
  auto [sender, receiver] = *make_stream<std::unique_ptr<int>>(0);
  receiver.close();
  const auto sends = actor([this, &s = sender](caf::event_based_actor* self) {
    await(self, s.send(std::make_unique<int>(5)), {},
          [this](expected<void> sent, send_operation<std::unique_ptr<int>>& operation) {
            EXPECT_EQ(code_of(sent), status_code::aborted);
            EXPECT_EQ(*operation.item, 5);
            note_begun();
          });
  });
  wait_until_begun(2);
  end(sends);
}

TEST_F(await_test, stress_MS_17_no_item_is_lost_to_actors_that_end) {
  auto [sender, receiver] = stream_of(4);
  std::atomic<int> received = 0;
  std::atomic<bool> over = false;
  int sent = 0;
  std::jthread ends{[&, &r = receiver] {
    for (int n = 0; n != 3000; ++n) {
      const auto waits = actor([&](caf::event_based_actor* self) {
        for (int i = 0; i != 4; ++i)
          await(self, r.receive(), {}, [&](expected<int> item) { received += item ? 1 : 0; });
      });
      caf::anon_send_exit(waits, caf::exit_reason::kill);
    }
    over = true;
  }};
  while (!over)
    sent += sender.try_send(1) ? 1 : 0;
  ends.join();
  wait_until_ended(3000);
  eventually([&, &r = receiver] {
    while (r.try_receive())
      ++received;
    return received == sent;
  });
}

}  // namespace
}  // namespace troupe
