#pragma once

// Test support: everything that may wait is tested with the three kinds of callers that there are.

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/await.hpp"
#include "actors/concurrency/virtual_clock.hpp"
#include "actors/concurrency/wait.hpp"

#include <gtest/gtest.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe {

/// OK, or the code of the error.
template <class T>
status_code code_of(const expected<T>& result) {
  return result ? status_code::ok : result.error().code;
}

/// Waits for what must come; ends the test program where it doesn't, because what hangs can't be cleaned up.
template <class Predicate>
void wait_or_die(std::unique_lock<std::mutex>& lock, std::condition_variable& changed, Predicate there) {
  if (changed.wait_for(lock, std::chrono::seconds{60}, there))
    return;
  std::fputs("a test waits for something that doesn't happen\n", stderr);
  std::abort();
}

/// Those of the sanitizers included, which come with the first thread that the process starts.
inline std::ptrdiff_t threads_of_this_process() {
  static const bool first_is_started = (std::thread{[] {}}.join(), true);
  static_cast<void>(first_is_started);
  return std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, std::filesystem::directory_iterator{});
}

/// The system goes on listing a thread for a moment after it was joined.
inline bool no_more_threads_than(std::ptrdiff_t before) {
  for (int i = 0; i != 1000 && threads_of_this_process() > before; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  return threads_of_this_process() <= before;
}

/// An operation that somebody performs, and what it came to.
template <class Operation>
class performance {
 public:
  using result_type = typename Operation::result_type;

  explicit performance(Operation what) : operation(std::move(what)) {}

  void note_begun() {
    note([this] { begun_ = true; });
  }
  void note_result(expected<result_type> result) {
    note([&] {
      begun_ = true;
      result_.emplace(std::move(result));
    });
  }

  void wait_until_begun() {
    std::unique_lock lock{mutex_};
    wait_or_die(lock, changed_, [this] { return begun_; });
  }

  expected<result_type> wait_for_result() {
    std::unique_lock lock{mutex_};
    wait_or_die(lock, changed_, [this] { return result_.has_value(); });
    return *std::exchange(result_, std::nullopt);
  }

  bool has_result() const {
    const std::lock_guard lock{mutex_};
    return result_.has_value();
  }

  Operation operation;

 private:
  template <class Change>
  void note(Change change) {
    const std::lock_guard lock{mutex_};
    change();
    changed_.notify_all();
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool begun_ = false;
  std::optional<expected<result_type>> result_;
};

/// The operation as the callers see it: it tells when its wait has begun and can be cancelled.
template <class Operation>
class observed {
 public:
  using result_type = typename Operation::result_type;
  static constexpr bool refusable = is_refusable<Operation>();

  explicit observed(std::shared_ptr<performance<Operation>> of) : of_(std::move(of)) {}

  std::optional<expected<result_type>> begin(pending<result_type>& who) { return of_->operation.begin(who); }
  auto attempt() requires(requires(Operation& o) { o.attempt(); }) { return of_->operation.attempt(); }
  void watched() { of_->note_begun(); }
  bool abandon(pending<result_type>& who, error why) { return of_->operation.abandon(who, std::move(why)); }
  bool forget(pending<result_type>& who) { return troupe::forget<Operation, result_type>(of_->operation, who); }
  expected<result_type> finish(expected<result_type> result) {
    return troupe::finish(of_->operation, std::move(result));
  }

  template <class T>
  void undo(T value) requires(requires(Operation& o, T v) { o.undo(std::move(v)); }) {
    of_->operation.undo(std::move(value));
  }
  void undo() requires(requires(Operation& o) { o.undo(); }) { of_->operation.undo(); }

 private:
  std::shared_ptr<performance<Operation>> of_;
};

/// What `start()` gives: the operation has begun, and may be done.
template <class Operation>
class started {
 public:
  explicit started(std::shared_ptr<performance<Operation>> of) : of_(std::move(of)) { of_->wait_until_begun(); }

  bool done() const { return of_->has_result(); }

  /// Waits for the result, of which there is one.
  expected<typename Operation::result_type> get() { return of_->wait_for_result(); }

  /// To be looked into once the result was got, as by a sender for the item that was refused.
  Operation& operation() { return of_->operation; }

 private:
  std::shared_ptr<performance<Operation>> of_;
};

// The callers start operations from any thread.

class thread_caller {
 public:
  static constexpr auto name = "thread";

  template <class Operation>
  started<Operation> start(Operation operation, cancel_token token = {}) {
    auto run = std::make_shared<performance<Operation>>(std::move(operation));
    {
      const std::lock_guard lock{mutex_};
      threads_.emplace_back([run, token] { run->note_result(wait(observed<Operation>{run}, token)); });
    }
    return started<Operation>{run};
  }

 private:
  std::mutex mutex_;
  std::vector<std::jthread> threads_;
};

class coroutine_caller {
 public:
  static constexpr auto name = "coroutine";

  ~coroutine_caller() { io_.stop(); }

  template <class Operation>
  started<Operation> start(Operation operation, cancel_token token = {}) {
    auto run = std::make_shared<performance<Operation>>(std::move(operation));
    boost::asio::co_spawn(io_, perform(run, std::move(token)), boost::asio::detached);
    return started<Operation>{run};
  }

 private:
  template <class Operation>
  static boost::asio::awaitable<void> perform(std::shared_ptr<performance<Operation>> run, cancel_token token) {
    run->note_result(co_await async(observed<Operation>{run}, std::move(token), boost::asio::use_awaitable));
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> open_{io_.get_executor()};
  std::jthread thread_{[this] { io_.run(); }};
};

class actor_caller {
 public:
  static constexpr auto name = "actor";

  actor_caller() : system_(config_) {}

  /// Whoever waits still is ended.
  ~actor_caller() {
    for (const auto& address : actors_)
      caf::anon_send_exit(address, caf::exit_reason::kill);
  }

  template <class Operation>
  started<Operation> start(Operation operation, cancel_token token = {}) {
    auto run = std::make_shared<performance<Operation>>(std::move(operation));
    const auto actor = system_.spawn([run, token](caf::event_based_actor* self) {
      await(self, observed<Operation>{run}, token,
            [run](expected<typename Operation::result_type> result) { run->note_result(std::move(result)); });
    });
    {
      const std::lock_guard lock{mutex_};
      actors_.push_back(actor.address());
    }
    return started<Operation>{run};
  }

  caf::actor_system& system() noexcept { return system_; }

 private:
  struct two_threads_config : caf::actor_system_config {
    two_threads_config() { set("scheduler.max-threads", 2); }
  };

  two_threads_config config_;
  caf::actor_system system_;
  std::mutex mutex_;
  std::vector<caf::actor_addr> actors_;
};

using all_callers = ::testing::Types<thread_caller, coroutine_caller, actor_caller>;

struct caller_names {
  template <class Caller>
  static std::string GetName(int) {
    return Caller::name;
  }
};

/// For typed tests: a caller, and a scope whose time the test moves.
template <class Caller>
class with_caller : public ::testing::Test {
 protected:
  /// Whoever waits still is let go.
  void TearDown() override { scope.cancel(); }

  template <class Operation>
  started<Operation> start(Operation operation) {
    return caller.start(std::move(operation), scope.token());
  }
  template <class Operation>
  started<Operation> start(Operation operation, const cancel_token& token) {
    return caller.start(std::move(operation), token);
  }

  /// Starts and waits.
  template <class Operation>
  auto run(Operation operation) {
    return start(std::move(operation)).get();
  }
  template <class Operation>
  auto run(Operation operation, const cancel_token& token) {
    return start(std::move(operation), token).get();
  }

  virtual_clock clock;
  cancel_scope scope{scope_options{.clock = &clock}};
  Caller caller;
};

}  // namespace troupe
