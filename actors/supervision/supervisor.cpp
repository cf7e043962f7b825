#include "actors/supervision/supervisor.hpp"

#include "actors/concurrency/log.hpp"

#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/response_promise.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

namespace troupe {
namespace {

constexpr auto error_category = caf::atom("troupe");

using stop_timeout_atom = caf::atom_constant<caf::atom("stopLate")>;

enum class child_phase : std::uint8_t { stopped, starting, running, stopping };

struct child {
  child_spec spec;
  caf::actor handle;
  child_phase phase = child_phase::stopped;
  std::uint64_t incarnation = 0;
};

/// One thing to do next. A supervisor works its plan off one step at a time, each when the one before is complete.
struct step {
  enum class kind : std::uint8_t { start, stop } what;
  std::size_t index;
};

struct supervisor_state {
  static constexpr const char* name = "supervisor";

  supervisor_flags flags;
  std::vector<child> children;
  std::deque<step> plan;
  bool busy = false;      // a step is under way
  bool started = false;   // the initial start is complete
  bool stopping = false;  // children go down for good
  caf::error exit_reason;
  std::optional<caf::response_promise> starter;
  std::deque<caf::actor_clock::time_point> restarts;
};

using supervisor_actor = caf::stateful_actor<supervisor_state>;

bool is_clean(const caf::error& reason) {
  return !reason || reason == caf::exit_reason::normal || reason == caf::exit_reason::user_shutdown;
}

/// `reason`, or an error in place of a normal exit where a child should have gone on.
caf::error or_ended(const caf::error& reason) {
  return reason ? reason : to_caf(make_error(status_code::internal, "the child ended although it should run"));
}

/// The rules of a supervisor, over the state that the actor keeps.
class supervision {
 public:
  explicit supervision(supervisor_actor* self) : self_(self), state_(self->state) {}

  /// Answers `starter` when all children run, or the first one failed.
  void start_all(caf::response_promise starter) {
    if (state_.starter || state_.started) {
      starter.deliver(
          to_caf(make_error(status_code::already_exists, "supervisor '" + state_.flags.name + "' was started before")));
      return;
    }
    state_.starter = std::move(starter);
    if (const auto* id = repeated_id()) {
      stop_all(to_caf(make_error(status_code::already_exists,
                                 "supervisor '" + state_.flags.name + "' has two children called '" + *id + "'")));
      return;
    }
    for (std::size_t i = 0; i != state_.children.size(); ++i)
      state_.plan.push_back({step::kind::start, i});
    advance();
  }

  /// Stops every child in reverse order, then ends the supervisor for `reason`.
  void stop_all(caf::error reason) {
    if (state_.stopping)
      return;
    state_.stopping = true;
    state_.exit_reason = std::move(reason);
    state_.plan.clear();
    plan_stops(0);
    // A child that is still starting is stopped without waiting for its answer.
    for (auto& c : state_.children)
      if (c.phase == child_phase::starting) {
        c.phase = child_phase::running;
        state_.busy = false;
      }
    advance();
  }

  void on_down(const caf::down_msg& down) {
    const auto i = find(down.source);
    if (!i)
      return;
    auto& c = state_.children[*i];
    const auto phase = std::exchange(c.phase, child_phase::stopped);
    c.handle = nullptr;
    if (phase == child_phase::stopping) {
      report("child stopped", c, down.reason);
      complete();
    } else if (phase == child_phase::starting) {
      on_start_failed(*i, or_ended(down.reason));
    } else if (phase == child_phase::running && !is_to_be_stopped(*i)) {
      on_exit(*i, down.reason);
    }
  }

  void on_stop_late(std::size_t index, std::uint64_t incarnation) {
    auto& c = state_.children[index];
    if (c.phase != child_phase::stopping || c.incarnation != incarnation)
      return;
    log_event(spdlog::level::warn, "child did not stop in time and is killed",
              {{"supervisor", state_.flags.name}, {"child", c.spec.id}, {"shutdown_ms", c.spec.shutdown.count()}});
    caf::anon_send_exit(c.handle, caf::exit_reason::kill);
  }

 private:
  /// Begins the next step unless one is under way; ends the supervisor when it was the last one of a stop.
  void advance() {
    while (!state_.busy && !state_.plan.empty()) {
      const auto next = state_.plan.front();
      state_.plan.pop_front();
      if (next.what == step::kind::start)
        begin_start(next.index);
      else
        begin_stop(next.index);
    }
    if (state_.busy)
      return;
    if (state_.stopping) {
      if (auto starter = std::exchange(state_.starter, std::nullopt))
        starter->deliver(state_.exit_reason);
      self_->quit(state_.exit_reason);
    } else if (auto starter = std::exchange(state_.starter, std::nullopt)) {
      state_.started = true;
      starter->deliver(caf::unit);
    }
  }

  void complete() {
    state_.busy = false;
    advance();
  }

  void begin_start(std::size_t index) {
    auto& c = state_.children[index];
    if (c.phase != child_phase::stopped)
      return;
    state_.busy = true;
    c.phase = child_phase::starting;
    const auto incarnation = ++c.incarnation;
    if (const auto failure = spawn(c)) {
      c.phase = child_phase::stopped;
      on_start_failed(index, to_caf(*failure));
      return;
    }
    self_->monitor(c.handle);
    self_->request(c.handle, caf::infinite, start_atom::value)
        .then([this, index, incarnation] { on_started(index, incarnation); },
              [this, index, incarnation](const caf::error& e) { on_refused(index, incarnation, e); });
  }

  std::optional<error> spawn(child& c) {
    try {
      c.handle = c.spec.start(self_->system());
      return std::nullopt;
    } catch (const std::exception& e) {
      return make_error(status_code::internal, e.what());
    } catch (...) {
      return make_error(status_code::internal, "the start function threw something that is no exception");
    }
  }

  void on_started(std::size_t index, std::uint64_t incarnation) {
    auto& c = state_.children[index];
    if (c.incarnation != incarnation || c.phase != child_phase::starting)
      return;
    c.phase = child_phase::running;
    log_event(spdlog::level::debug, "child started", {{"supervisor", state_.flags.name}, {"child", c.spec.id}});
    complete();
  }

  /// The child answered with an error; whether or not it ends by itself, it is not waited for.
  void on_refused(std::size_t index, std::uint64_t incarnation, const caf::error& reason) {
    auto& c = state_.children[index];
    if (c.incarnation != incarnation || c.phase != child_phase::starting)
      return;
    c.phase = child_phase::stopped;
    self_->demonitor(c.handle);
    caf::anon_send_exit(c.handle, caf::exit_reason::kill);
    c.handle = nullptr;
    on_start_failed(index, reason);
  }

  /// At first a failed start fails the supervisor; later it is one more restart.
  void on_start_failed(std::size_t index, const caf::error& reason) {
    auto& c = state_.children[index];
    report("child failed to start", c, reason);
    state_.busy = false;
    if (!state_.started)
      stop_all(reason);
    else
      restart(index, reason);
  }

  void on_exit(std::size_t index, const caf::error& reason) {
    auto& c = state_.children[index];
    const bool clean = is_clean(reason);
    report("child ended", c, reason);
    if (c.spec.restart == restart_type::permanent || (c.spec.restart == restart_type::transient && !clean))
      restart(index, reason);
  }

  void restart(std::size_t index, const caf::error& reason) {
    if (intensity_exceeded()) {
      log_event(spdlog::level::err, "restart intensity exceeded",
                {{"supervisor", state_.flags.name},
                 {"intensity", state_.flags.intensity},
                 {"period_ms", state_.flags.period.count()}});
      stop_all(or_ended(reason));
      return;
    }
    log_event(spdlog::level::warn, "child is restarted",
              {{"supervisor", state_.flags.name}, {"child", state_.children[index].spec.id}});
    const auto last = state_.children.size();
    switch (state_.flags.strategy) {
      case restart_strategy::one_for_one:
        state_.plan.push_back({step::kind::start, index});
        break;
      case restart_strategy::one_for_all:
        replan(0, last);
        break;
      case restart_strategy::rest_for_one:
        replan(index, last);
        break;
    }
    advance();
  }

  /// Stops the children of [first, last) in reverse, and starts them in order. An earlier plan that had not come so
  /// far is part of this one or remains before it.
  void replan(std::size_t first, std::size_t last) {
    std::erase_if(state_.plan, [&](const step& s) { return s.index >= first; });
    plan_stops(first);
    for (auto i = first; i != last; ++i)
      if (state_.children[i].spec.restart != restart_type::temporary)
        state_.plan.push_back({step::kind::start, i});
  }

  /// True when the child's end is planned already, so that its own end before that is no failure more.
  bool is_to_be_stopped(std::size_t index) const {
    return std::any_of(state_.plan.begin(), state_.plan.end(),
                       [&](const step& s) { return s.what == step::kind::stop && s.index == index; });
  }

  void plan_stops(std::size_t first) {
    for (auto i = state_.children.size(); i > first; --i)
      state_.plan.push_back({step::kind::stop, i - 1});
  }

  void begin_stop(std::size_t index) {
    auto& c = state_.children[index];
    if (c.phase == child_phase::stopped)
      return;
    state_.busy = true;
    c.phase = child_phase::stopping;
    const auto incarnation = c.incarnation;
    self_->send_exit(c.handle, caf::exit_reason::user_shutdown);
    if (c.spec.shutdown != std::chrono::milliseconds::max())
      self_->delayed_send(self_, c.spec.shutdown, stop_timeout_atom::value, index, incarnation);
  }

  bool intensity_exceeded() {
    const auto now = self_->system().clock().now();
    auto& times = state_.restarts;
    while (!times.empty() && now - times.front() > state_.flags.period)
      times.pop_front();
    times.push_back(now);
    return times.size() > state_.flags.intensity;
  }

  /// An id that two children have; null without one.
  const std::string* repeated_id() const {
    std::set<std::string_view> ids;
    for (const auto& c : state_.children)
      if (!ids.insert(c.spec.id).second)
        return &c.spec.id;
    return nullptr;
  }

  std::optional<std::size_t> find(const caf::actor_addr& address) const {
    for (std::size_t i = 0; i != state_.children.size(); ++i)
      if (state_.children[i].handle && state_.children[i].handle == address)
        return i;
    return std::nullopt;
  }

  void report(std::string_view event, const child& c, const caf::error& reason) const {
    const auto level = is_clean(reason) ? spdlog::level::debug : spdlog::level::err;
    if (logs(level))
      log_event(level, event,
                {{"supervisor", state_.flags.name}, {"child", c.spec.id}, {"reason", from_caf(reason).message()}});
  }

  supervisor_actor* self_;
  supervisor_state& state_;
};

caf::behavior supervisor(supervisor_actor* self, supervisor_flags flags, std::vector<child_spec> specs) {
  self->state.flags = std::move(flags);
  for (auto& spec : specs)
    self->state.children.push_back({std::move(spec), {}, child_phase::stopped, 0});
  auto rules = std::make_shared<supervision>(self);
  self->set_down_handler([rules](const caf::down_msg& down) { rules->on_down(down); });
  self->set_exit_handler([rules](const caf::exit_msg& exit) { rules->stop_all(exit.reason); });
  return {
      [self, rules](start_atom) -> caf::result<void> {
        auto promise = self->make_response_promise();
        rules->start_all(promise);
        return promise;
      },
      [rules](stop_timeout_atom, std::size_t index, std::uint64_t incarnation) {
        rules->on_stop_late(index, incarnation);
      },
  };
}

}  // namespace

caf::actor spawn_supervisor(caf::actor_system& system, supervisor_flags flags, std::vector<child_spec> children) {
  return system.spawn(supervisor, std::move(flags), std::move(children));
}

caf::error to_caf(const error& e) {
  return caf::error{static_cast<std::uint8_t>(e.code), error_category, caf::make_message(e.cause, e.remedy)};
}

error from_caf(const caf::error& e) {
  if (e && e.category() == error_category && e.context().match_elements<std::string, std::string>())
    return {static_cast<status_code>(e.code()), e.context().get_as<std::string>(0), e.context().get_as<std::string>(1)};
  return make_error(e == caf::exit_reason::user_shutdown ? status_code::unavailable : status_code::internal,
                    e ? caf::to_string(e) : std::string{"normal exit"});
}

}  // namespace troupe
