#include "actors/supervision/runtime.hpp"

#include "actors/concurrency/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/thread_hook.hpp>

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>

namespace troupe {
namespace {

thread_local bool runs_runtime = false;

/// Marks CAF's own threads.
class thread_marker final : public caf::thread_hook {
 public:
  void init(caf::actor_system&) override {}
  void thread_started() override { detail::mark_runtime_thread(); }
  void thread_terminates() override {}
};

struct system_config : caf::actor_system_config {
  explicit system_config(const runtime_options& options) {
    set("scheduler.policy", caf::atom("sharing"));
    set("scheduler.max-threads", options.scheduler_threads);
    add_thread_hook<thread_marker>();
  }
};

}  // namespace

bool on_runtime_thread() noexcept {
  return runs_runtime;
}

void detail::mark_runtime_thread() noexcept {
  runs_runtime = true;
}

/// In the order in which they are made; they end in reverse.
struct runtime::parts {
  explicit parts(runtime_options options)
      : scope(scope_options{.clock = options.clock}),
        config(options),
        system(config),
        threads(std::move(options.threads)),
        door(io.get_executor(), scope.token()) {}

  cancel_scope scope;
  system_config config;
  caf::actor_system system;
  boost::asio::io_context io{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> open{io.get_executor()};
  boost::asio::signal_set signals{io};
  std::atomic<int> signal = 0;
  std::function<void(int)> on_again;
  thread_pool threads;
  portal door;
  std::thread coroutines;

  void await_signal() {
    signals.async_wait([this](const boost::system::error_code& ended, int number) {
      if (ended)
        return;
      int none = 0;
      const bool first = signal.compare_exchange_strong(none, number);
      log_event(spdlog::level::info, "signal", {{"number", number}, {"again", first ? 0 : 1}});
      if (first)
        scope.cancel(make_error(status_code::cancelled, "signal " + std::to_string(number)));
      else if (on_again)
        on_again(number);
      await_signal();
    });
  }

  void run_coroutines() {
    detail::mark_runtime_thread();
    pthread_setname_np(pthread_self(), "coroutines");
    io.run();
  }
};

runtime::runtime(runtime_options options) : parts_(std::make_unique<parts>(std::move(options))) {
  parts_->coroutines = std::thread{[all = parts_.get()] { all->run_coroutines(); }};
}

runtime::~runtime() {
  parts_->door.close();
  parts_->scope.cancel(make_error(status_code::cancelled, "the runtime ends"));
  (void)wait(parts_->door.leave(), {});
  parts_->io.stop();
  parts_->coroutines.join();
}

cancel_scope& runtime::scope() noexcept {
  return parts_->scope;
}

cancel_token runtime::token() const noexcept {
  return parts_->scope.token();
}

caf::actor_system& runtime::system() noexcept {
  return parts_->system;
}

portal::executor_type runtime::executor() noexcept {
  return parts_->io.get_executor();
}

thread_pool& runtime::threads() noexcept {
  return parts_->threads;
}

portal& runtime::door() noexcept {
  return parts_->door;
}

void runtime::cancel_on_signals(std::function<void(int)> on_again) {
  parts_->on_again = std::move(on_again);
  parts_->signals.add(SIGINT);
  parts_->signals.add(SIGTERM);
  parts_->await_signal();
}

int runtime::signal() const noexcept {
  return parts_->signal;
}

int detail::exit_code(const runtime& of, const expected<int>& outcome) {
  if (outcome)
    return *outcome;
  if (outcome.error().cancellation && of.signal() != 0)
    return 128 + of.signal();
  std::cerr << to_string(outcome.error()) + "\n" << std::flush;
  return 1;
}

std::shared_ptr<runtime> runtime_provider::acquire() {
  const std::lock_guard lock{mutex_};
  auto shared = shared_.lock();
  if (!shared) {
    shared = std::make_shared<runtime>(options_);
    shared_ = shared;
  }
  return shared;
}

}  // namespace troupe
