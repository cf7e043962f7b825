// Random traffic of threads, coroutines and actors through the primitives, and the sums that must hold afterwards. The
// seed is printed; TROUPE_SEED replays it, as far as the scheduler plays along.

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/capacity_limiter.hpp"
#include "actors/concurrency/lock.hpp"
#include "actors/concurrency/semaphore.hpp"
#include "actors/concurrency/stream.hpp"

#include <latch>
#include <map>
#include <random>

namespace troupe {
namespace {

using namespace std::chrono_literals;

std::uint64_t seed() {
  const auto* given = std::getenv("TROUPE_SEED");
  const std::uint64_t taken = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  // At once: a test that hangs says nothing at its end.
  std::printf("TROUPE_SEED=%llu\n", static_cast<unsigned long long>(taken));
  std::fflush(stdout);
  return taken;
}

/// All kinds of callers, for tasks that each live on a thread of their own and perform one operation after the other.
class mixed_callers {
 public:
  template <class Operation>
  auto run(std::size_t kind, Operation& operation, const cancel_token& token) {
    switch (kind % 3) {
      case 0:
        return wait(operation, token);
      case 1:
        return finish(coroutines_.start(std::move(operation), token), operation);
      default:
        return finish(actors_.start(std::move(operation), token), operation);
    }
  }

 private:
  template <class Operation>
  static auto finish(started<Operation> begun, Operation& operation) {
    auto result = begun.get();
    operation = std::move(begun.operation());
    return result;
  }

  coroutine_caller coroutines_;
  actor_caller actors_;
};

/// One task's dice.
class dice {
 public:
  dice(std::uint64_t with, std::size_t task) : random_(with * 1000 + task) {}

  bool one_in(unsigned n) { return random_() % n == 0; }
  std::size_t below(std::size_t n) { return random_() % n; }

  /// A scope for one wait: without end, with a deadline that may come too early, or cancelled by another thread soon.
  cancel_scope scope(const cancel_token& in) {
    return one_in(3) ? move_on_after(std::chrono::microseconds{below(200)}, in) : cancel_scope{no_deadline, in};
  }

 private:
  std::mt19937_64 random_;
};

/// What went through a stream: who sent it, and the how-manieth of that sender it is.
struct parcel {
  std::size_t from;
  int number;
};

class stream_traffic {
 public:
  explicit stream_traffic(std::uint64_t with)
      : seed_(with), stream_(*make_stream<std::unique_ptr<parcel>>(static_cast<std::int64_t>(with % 5))) {}

  void run() {
    std::vector<std::jthread> producers, consumers;
    for (std::size_t i = 0; i != 3; ++i) {
      producers.emplace_back([this, i, half = *stream_.sender.clone()]() mutable { produce(i, std::move(half)); });
      consumers.emplace_back([this, i, half = *stream_.receiver.clone()]() mutable { consume(i, std::move(half)); });
    }
    stream_.sender.close();
    producers.clear();
    consumers.clear();
    drain();
  }

  void expect_conserved() {
    EXPECT_EQ(sent_.load(), received_.load());
    EXPECT_EQ(refused_.load() + sent_.load(), 3 * per_producer);
    EXPECT_EQ(out_of_order_.load(), 0);
    EXPECT_EQ(lost_by_sender_.load(), 0);
    const auto now = stream_.receiver.statistics();
    EXPECT_EQ(now, (stream_statistics{0, now.capacity, 0, 1, 0, 0}));
  }

 private:
  static constexpr int per_producer = 400;

  void produce(std::size_t who, send_half<std::unique_ptr<parcel>> half) {
    dice random{seed_, who};
    for (int n = 0; n != per_producer; ++n) {
      auto scope = random.scope({});
      auto sending = half.send(std::make_unique<parcel>(parcel{who, n}));
      if (random.one_in(16)) {  // somebody else closes this handle, or cancels, while it waits
        auto next = *half.clone();
        std::jthread meddler{[&, cancels = random.one_in(2)] { cancels ? void(scope.cancel()) : half.close(); }};
        count_sent(callers_.run(random.below(3), sending, scope.token()), sending);
        meddler.join();
        half = std::move(next);
      } else {
        count_sent(callers_.run(random.below(3), sending, scope.token()), sending);
      }
    }
  }

  void count_sent(const expected<void>& result, const send_operation<std::unique_ptr<parcel>>& sending) {
    ++(result ? sent_ : refused_);
    lost_by_sender_ += result.has_value() == (sending.item == nullptr) ? 0 : 1;
  }

  void consume(std::size_t who, receive_half<std::unique_ptr<parcel>> half) {
    dice random{seed_, 100 + who};
    std::map<std::size_t, int> last;
    for (;;) {
      auto scope = random.scope({});
      if (random.one_in(2)) {
        auto receiving = half.receive();
        auto item = callers_.run(random.below(3), receiving, scope.token());
        if (item)
          note(last, **item);
        else if (code_of(item) == status_code::out_of_range)
          return;
      } else {
        auto receiving = half.receive_up_to(1 + random.below(4));
        auto items = callers_.run(random.below(3), receiving, scope.token());
        for (std::size_t i = 0; items && i != items->size(); ++i)
          note(last, *(*items)[i]);
        if (code_of(items) == status_code::out_of_range)
          return;
      }
    }
  }

  /// One receiver sees each sender's items in the order of their sending.
  void note(std::map<std::size_t, int>& last, const parcel& item) {
    ++received_;
    const auto [at, is_first] = last.try_emplace(item.from, item.number);
    out_of_order_ += is_first || at->second < item.number ? 0 : 1;
    at->second = item.number;
  }

  void drain() {
    while (stream_.receiver.try_receive())
      ++received_;
  }

  const std::uint64_t seed_;
  stream<std::unique_ptr<parcel>> stream_;
  mixed_callers callers_;
  std::atomic<int> sent_ = 0, refused_ = 0, received_ = 0, out_of_order_ = 0, lost_by_sender_ = 0;
};

TEST(stress, MS_4_MS_6_MS_16_MS_17_MS_20_MS_23_what_is_sent_is_received_once_and_in_order_whoever_waits) {
  const auto first = seed();
  for (std::uint64_t round = 0; round != 8 && !HasFailure(); ++round) {
    SCOPED_TRACE("TROUPE_SEED=" + std::to_string(first + round));
    stream_traffic traffic{first + round};
    traffic.run();
    traffic.expect_conserved();
  }
}

/// Tasks that go in and out of a place with room for `most`.
class visitors {
 public:
  visitors(std::uint64_t with, int most) : seed_(with), most_(most) {}

  /// `place` is whatever has `acquire(owner)` and `try_acquire(owner)`.
  template <class Place>
  void run(Place place) {
    std::latch all_there{5};
    std::vector<std::jthread> tasks;
    for (std::size_t i = 0; i != 5; ++i)
      tasks.emplace_back([this, i, place, &all_there] {
        dice random{seed_, i};
        all_there.arrive_and_wait();
        for (int n = 0; n != 100'000; ++n)
          if (const auto held = place.try_acquire(owner{&ids_[i]}))
            stay(random);
        for (int n = 0; n != 150; ++n)
          visit(random, place, owner{&ids_[i]});
      });
  }

  void expect_room_kept() const {
    EXPECT_EQ(too_many_.load(), 0);
    EXPECT_EQ(inside_.load(), 0);
    EXPECT_GT(visits_.load(), 0);
  }

  mixed_callers callers;

 private:
  template <class Place>
  void visit(dice& random, const Place& place, owner who) {
    auto scope = random.scope({});
    auto operation = place.acquire(who);
    std::optional<std::jthread> meddler;
    if (random.one_in(8))
      meddler.emplace([&] { scope.cancel(); });
    if (const auto held = callers.run(random.below(3), operation, scope.token()))
      stay(random);
  }

  void stay(dice& random) {
    ++inside_;
    ++visits_;
    for (int looks = 0; looks != 50; ++looks)
      too_many_ += inside_ > most_ ? 1 : 0;
    if (random.one_in(16))
      std::this_thread::yield();
    --inside_;
  }

  const std::uint64_t seed_;
  const int most_;
  const int ids_[5] = {};
  std::atomic<int> inside_ = 0, too_many_ = 0, visits_ = 0;
};

TEST(stress, LK_1_LK_5_LK_6_one_holds_the_lock_at_a_time_and_it_is_never_lost) {
  const auto with = seed();
  SCOPED_TRACE("TROUPE_SEED=" + std::to_string(with));
  lock mutex;
  visitors all{with, 1};
  all.run(mutex);
  all.expect_room_kept();
  EXPECT_FALSE(mutex.stats().locked);
  EXPECT_EQ(mutex.stats().waiting, 0u);
}

/// A semaphore doesn't ask who it is.
struct anonymous {
  semaphore permits;

  auto acquire(owner) const { return permits.acquire(); }
  auto try_acquire(owner) const { return permits.try_acquire(); }
};

TEST(stress, SM_3_SM_4_as_many_hold_permits_as_there_are_and_none_is_lost) {
  const auto with = seed();
  SCOPED_TRACE("TROUPE_SEED=" + std::to_string(with));
  auto permits = *semaphore::make(2);
  visitors all{with, 2};
  all.run(anonymous{permits});
  all.expect_room_kept();
  EXPECT_EQ(permits.stats().value, 2);
  EXPECT_EQ(permits.stats().waiting, 0u);
}

TEST(stress, CL_4_CL_5_CL_6_no_more_borrow_than_there_are_tokens_and_none_is_lost) {
  const auto with = seed();
  SCOPED_TRACE("TROUPE_SEED=" + std::to_string(with));
  auto limiter = *capacity_limiter::make(1);
  visitors all{with, 1};
  std::atomic<bool> stop = false;
  {
    std::jthread changes{[&] {
      for (int i = 0; !stop; ++i)
        EXPECT_TRUE(limiter.set_total(i % 2));
    }};
    all.run(limiter);
    stop = true;
  }
  all.expect_room_kept();
  EXPECT_TRUE(limiter.set_total(1));
  EXPECT_EQ(limiter.available(), 1);
  EXPECT_EQ(limiter.stats().waiting, 0u);
}

/// A bounded count behind a lock and two conditions: every wake-up that is lost would leave somebody waiting for ever.
class shelf {
 public:
  explicit shelf(std::uint64_t with) : seed_(with) {}

  void run(std::size_t how_many) {
    std::vector<std::jthread> tasks;
    for (std::size_t i = 0; i != how_many; ++i)
      tasks.emplace_back([this, i] { work(i, i % 2 == 0 ? 1 : -1); });
  }

  void expect_consistent() const {
    EXPECT_EQ(items_, 0);
    EXPECT_EQ(wrong_.load(), 0);
    EXPECT_FALSE(mutex_.stats().locked);
    EXPECT_EQ(changed_.stats().waiting, 0u);
  }

 private:
  /// Adds or takes one item, 200 times.
  void work(std::size_t who, int step) {
    dice random{seed_, who};
    for (int n = 0; n != 200;) {
      auto acquiring = mutex_.acquire(owner{&ids_[who]});
      auto held = callers_.run(random.below(3), acquiring, {});
      if (!wait_for_room(random, *held, step))
        continue;
      items_ += step;
      ++n;
      EXPECT_TRUE(changed_.notify(*held, 4));
    }
  }

  bool wait_for_room(dice& random, lock::guard& held, int step) {
    while (items_ + step < 0 || items_ + step > 2) {
      auto scope = random.scope({});
      auto waiting = changed_.wait(held);
      const auto woken = callers_.run(random.below(3), waiting, scope.token());
      wrong_ += mutex_.stats().locked ? 0 : 1;
      if (!woken)
        return false;
    }
    return true;
  }

  const std::uint64_t seed_;
  const int ids_[4] = {};
  lock mutex_;
  condition changed_{mutex_};
  mixed_callers callers_;
  int items_ = 0;
  std::atomic<int> wrong_ = 0;
};

TEST(stress, CN_2_CN_3_CN_4_no_notification_is_lost_and_the_lock_is_held_after_every_wait) {
  const auto with = seed();
  SCOPED_TRACE("TROUPE_SEED=" + std::to_string(with));
  // Two meet in other ways than four.
  for (const std::size_t tasks : {2, 4}) {
    shelf between{with};
    between.run(tasks);
    between.expect_consistent();
  }
}

}  // namespace
}  // namespace troupe
