// How long a supervisor takes to have a new instance of a child that has crashed: from the message that makes it crash
// until a thread that waits for it learns that the next one runs.

#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/supervisor.hpp"
#include "bench/kernel/actors.hpp"
#include "bench/kernel/stopwatch.hpp"

#include <spdlog/spdlog.h>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <mutex>
#include <semaphore>

namespace troupe::bench {

namespace {

using crash_atom = caf::atom_constant<caf::atom("crash")>;

/// The child that runs, and how its supervisor tells that there is a new one.
class running_child {
 public:
  child_spec spec() {
    child_spec result;
    result.id = "child";
    result.start = [this](caf::actor_system& system) {
      auto handle = system.spawn(behave);
      const std::lock_guard lock{mutex_};
      return handle_ = std::move(handle);
    };
    return result;
  }

  report_sink sink() {
    return [this](const supervisor_report& report) {
      if (report.context == report_context::progress)
        runs_.release();
    };
  }

  void crash() {
    const std::lock_guard lock{mutex_};
    caf::anon_send(handle_, crash_atom::value);
  }

  void wait_until_running() {
    if (!runs_.try_acquire_for(std::chrono::seconds{10}))
      throw failure{"the child was not started again within 10 s"};
  }

  std::uint64_t instance() {
    const std::lock_guard lock{mutex_};
    return handle_->id();
  }

 private:
  static caf::behavior behave(caf::event_based_actor* self) {
    return {
        [](start_atom) {},
        [self](crash_atom) { self->quit(to_caf(make_error(status_code::internal, "crashed"))); },
    };
  }

  std::mutex mutex_;
  caf::actor handle_;
  std::counting_semaphore<> runs_{0};
};

double percentile(const std::vector<double>& sorted, double of) {
  return sorted[static_cast<std::size_t>(of * static_cast<double>(sorted.size() - 1))];
}

std::vector<double> crash_again_and_again(running_child& child, std::uint64_t times) {
  std::vector<double> took;
  for (std::uint64_t i = 0; i != times; ++i) {
    const auto before = child.instance();
    const auto began = std::chrono::steady_clock::now();
    child.crash();
    child.wait_until_running();
    const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - began;
    if (child.instance() == before)
      throw failure{"the child that runs is the one that has crashed"};
    took.push_back(time.count());
  }
  std::sort(took.begin(), took.end());
  return took;
}

}  // namespace

figures supervisor_restart(const case_options& options) {
  // A crash is a line in the log, whose cost is the terminal's.
  spdlog::set_level(spdlog::level::off);
  running_child child;
  actor_world world;
  supervisor_flags flags;
  flags.name = "bench";
  flags.intensity = 1'000'000;
  flags.on_report = child.sink();
  const auto top = spawn_supervisor(world.system, flags, {child.spec()});
  caf::anon_send(top, start_atom::value);
  child.wait_until_running();

  const stopwatch watch;
  const auto took = crash_again_and_again(child, options.items);
  auto result = watch.stop(options.items);
  caf::anon_send_exit(top, caf::exit_reason::user_shutdown);
  world.join();
  result.emplace_back("p50_us", percentile(took, 0.5));
  result.emplace_back("p99_us", percentile(took, 0.99));
  return result;
}

}  // namespace troupe::bench
