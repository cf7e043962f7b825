#include "actors/supervision/supervision.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/supervision/caf_error.hpp"

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

namespace troupe {
namespace {

error why_abandoned() {
  return make_error(status_code::deadline_exceeded, "the child was killed and has not ended",
                    "look for a handler that blocks; only the end of the process ends it");
}

}  // namespace

void supervision::begin_start(child& c) {
  if (template_)
    children_.set_spec(c, template_);
  busy_ = true;
  subject_ = c.serial;
  children_.set_phase(c, child_phase::starting);
  ++c.incarnation;
  c.start_failure.reset();
  c.ended.reset();
  c.ignored = c.given_up = c.killed = c.abandoned = false;
  auto made = spawn(c);
  if (const auto* failure = made.failure()) {
    report(report_context::start_error, c, to_caf(*failure));
    start_done(c, start_end::failed, to_caf(*failure));
  } else if (made.ignored()) {
    start_done(c, start_end::ignored, {});
  } else {
    c.info = std::move(made.info());
    ask_to_start(c);
  }
}

/// Calls the start function. The answer is an actor that is nobody else's, or none.
start_outcome supervision::spawn(child& c) {
  c.scope.emplace(scope_options{.clock = &clock()});
  try {
    auto made = c.spec->start({self_->system(), c.scope->token(), c.arguments});
    if (made.ignored() || made.failure())
      return made;
    if (!made.instance())
      return make_error(status_code::internal, "the start function made no actor");
    if (!children_.attach(c, made.instance()))
      return make_error(status_code::internal, "the start function made an actor that is a child already");
    return made;
  } catch (const std::exception& e) {
    return make_error(status_code::internal, e.what());
  } catch (...) {
    return make_error(status_code::internal, "the start function threw something that is no exception");
  }
}

void supervision::ask_to_start(child& c) {
  if (c.spec->restart == restart_type::temporary)
    c.arguments.reset();
  self_->monitor(c.instance);
  const auto started = [this, serial = c.serial, incarnation = c.incarnation](const start_answer& answer) {
    on_started(serial, incarnation, answer);
    advance();
  };
  const auto refused = [this, serial = c.serial, incarnation = c.incarnation](const caf::error& reason) {
    on_refused(serial, incarnation, reason);
    advance();
  };
  // Not then(): it takes one kind of answer, and here are two.
  const auto asked = self_->request(c.instance, caf::infinite, start_atom::value);
  self_->add_multiplexed_response_handler(asked.id(), caf::behavior{[started] { started({}); }, started, refused});
  if (c.spec->start_within)
    set_due(c.serial, *c.spec->start_within);
}

void supervision::on_started(std::uint64_t serial, std::uint64_t incarnation, start_answer answer) {
  auto* c = children_.find(serial);
  if (!c || c->incarnation != incarnation || c->phase != child_phase::starting)
    return;
  due_.clear(serial);
  if (answer.info.has_value())
    c->info = std::move(answer.info);
  if (answer.ignored) {
    c->ignored = true;
    c->ended ? instance_gone(*c, *c->ended) : ask_to_stop(*c);
    return;
  }
  children_.set_phase(*c, child_phase::running);
  c->up_since = now();
  c->scope.reset();
  report(report_context::progress, *c, {});
  // The news of its end may have overtaken the answer.
  const auto ended = std::exchange(c->ended, std::nullopt);
  start_done(*c, start_end::started, {});
  if (ended && (c = children_.find(serial)))
    on_down(c->address, *ended);
}

/// The child can't run: it is killed, as nothing can be expected of it, and its end waited for, so that no two live.
void supervision::on_refused(std::uint64_t serial, std::uint64_t incarnation, const caf::error& reason) {
  auto* c = children_.find(serial);
  if (!c || c->incarnation != incarnation || c->phase != child_phase::starting)
    return;
  c->start_failure = reason;
  if (c->ended)
    instance_gone(*c, *c->ended);
  else
    kill(*c);
}

/// The child ended without an answer, and none can come any more.
void supervision::on_settled(child& c) {
  if (c.phase == child_phase::starting && c.ended) {
    c.start_failure = or_ended(*c.ended);
    instance_gone(c, *c.ended);
  }
}

/// Ends a start that is under way. `for_good`: it is not tried again.
void supervision::give_up_start(child& c, const error& why, bool for_good) {
  c.start_failure = to_caf(why);
  c.given_up = for_good;
  if (c.scope)
    c.scope->cancel(why);
  if (c.ended)
    instance_gone(c, *c.ended);
  else
    ask_to_stop(c);
}

/// Begins to stop a child, or takes note that it has ended; then it is `stop_done`.
void supervision::begin_stop(child& c) {
  busy_ = true;
  subject_ = c.serial;
  switch (c.phase) {
    case child_phase::stopped:
    case child_phase::restarting:
      due_.clear(c.serial);
      stop_done(c);
      break;
    case child_phase::exited:
      instance_gone(c, *c.ended);
      break;
    case child_phase::starting:
      if (c.scope)
        c.scope->cancel(make_error(status_code::unavailable, "the child is being stopped"));
      c.ended ? instance_gone(c, *c.ended) : ask_to_stop(c);
      break;
    case child_phase::running:
      ask_to_stop(c);
      break;
    case child_phase::stopping:
      break;
  }
}

void supervision::ask_to_stop(child& c) {
  const auto time = c.spec->shutdown_or_default();
  due_.clear(c.serial);
  if (time.is_brutal()) {
    kill(c);
    return;
  }
  children_.set_phase(c, child_phase::stopping);
  self_->send_exit(c.instance, caf::exit_reason::user_shutdown);
  // All dynamic children share one time when their supervisor stops.
  if (!time.is_infinite() && !broadcast_)
    set_due(c.serial, time.limit());
}

void supervision::kill(child& c) {
  children_.set_phase(c, child_phase::stopping);
  c.killed = true;
  caf::anon_send_exit(c.instance, caf::exit_reason::kill);
  set_due(c.serial, flags_.kill_grace);
}

/// The child's time is over, whatever it was for.
void supervision::on_child_late(child& c) {
  if (c.phase == child_phase::restarting) {
    push({job::kind::retry, c.serial, c.incarnation, nullptr, std::nullopt, nullptr});
  } else if (c.phase == child_phase::starting) {
    give_up_start(c, make_error(status_code::deadline_exceeded, "the child did not start in time"), false);
  } else if (c.phase == child_phase::stopping) {
    c.killed ? abandon(c) : kill(c);
  }
}

/// Gives up a child that goes on although it was killed. It is not started again beside its former self.
void supervision::abandon(child& c) {
  self_->demonitor(c.instance);
  const auto reason = to_caf(why_abandoned());
  const auto id = c.spec->id;
  const bool may_go_on = stopping_ || doing_ == activity::stop_one || doing_ == activity::start_one;
  if (!may_go_on)
    report(report_context::shutdown, c, reason);
  c.abandoned = true;
  instance_gone(c, reason);
  if (!may_go_on)
    stop_all(shutdown_because(why_abandoned(), id));
}

/// The instance of a child that was starting or stopping is no more: tells it, and goes on with what waited for that.
void supervision::instance_gone(child& c, caf::error reason) {
  const bool by_itself = c.phase == child_phase::exited;
  const auto failure = std::exchange(c.start_failure, std::nullopt);
  const bool must_be_killed = c.spec->shutdown_or_default().is_brutal() && c.killed;
  const bool well = is_shutdown(reason) || (must_be_killed && reason == caf::exit_reason::kill);
  const bool normal_is_odd = !reason && c.spec->restart == restart_type::permanent && !by_itself;
  due_.clear(c.serial);
  c.ended.reset();
  c.scope.reset();
  // What a dead child answers says less than why it died, and so does that its start was called off.
  const bool died = failure && *failure == caf::sec::request_receiver_down;
  const bool failed_itself = failure && c.given_up && !c.killed && !is_shutdown(reason);
  const auto why = died || failed_itself ? or_ended(reason) : failure.value_or(caf::error{});
  if (failure)
    report(report_context::start_error, c, why);
  else if (c.ignored || (well && !normal_is_odd))
    report(report_context::ended, c, reason);
  else
    report(report_context::shutdown_error, c, reason);
  c.instance = nullptr;
  if (is_starting_activity() && subject_ == c.serial && (failure || c.ignored))
    start_done(c, failure ? start_end::failed : start_end::ignored, why);
  else
    stop_done(c);
}

bool supervision::is_starting_activity() const {
  return doing_ == activity::start_all || doing_ == activity::start_one || doing_ == activity::restart_one ||
         doing_ == activity::start_group;
}

void supervision::on_down(const caf::actor_addr& source, const caf::error& reason) {
  auto* c = children_.find(source);
  if (!c || !c->instance)
    return;
  switch (c->phase) {
    case child_phase::starting:
      // What it answered may still be on its way to us: ends are told before answers.
      c->ended = reason;
      note({supervision_note::kind::settle, c->serial, c->incarnation});
      break;
    case child_phase::running:
      c->ended = reason;
      children_.set_phase(*c, child_phase::exited);
      on_exit(*c);
      break;
    case child_phase::stopping:
      instance_gone(*c, reason);
      break;
    default:
      break;
  }
  advance();
}

/// The step that is under way is complete if it is `c` that it waits for. It need not be: a child that was starting or
/// stopping when its supervisor, or its group, began to stop is told of while another one is waited for.
void supervision::no_longer_busy_with(const child& c) {
  if (subject_ != c.serial)
    return;
  busy_ = false;
  subject_ = 0;
}

/// A start is complete, one way or the other.
void supervision::start_done(child& c, start_end end, const caf::error& reason) {
  no_longer_busy_with(c);
  if (end != start_end::started)
    c.scope.reset();
  else
    forget_start(c);
  switch (doing_) {
    case activity::start_all:
      initial_start_done(c, end, reason);
      break;
    case activity::start_one:
      start_one_done(c, end, reason);
      break;
    case activity::restart_one:
      restart_one_done(c, end, reason);
      break;
    case activity::start_group:
      group_start_done(c, end, reason);
      break;
    default:
      break;
  }
}

/// A temporary child is never started again: what it was started with is let go.
void supervision::forget_start(child& c) {
  if (c.spec->restart != restart_type::temporary || is_dynamic())
    return;
  auto spec = *c.spec;
  spec.start = {};
  children_.set_spec(c, std::make_shared<const child_spec>(std::move(spec)));
}

/// A child that was to be stopped has ended.
void supervision::stop_done(child& c) {
  if (doing_ == activity::stop_all && is_dynamic()) {
    children_.drop(c);
    busy_ = --still_up_ != 0;
    return;
  }
  no_longer_busy_with(c);
  if (doing_ == activity::stop_one) {
    stop_one_done(c);
  } else if (c.spec->restart == restart_type::temporary) {
    children_.drop(c);
  } else if (doing_ == activity::stop_group && (c.phase != child_phase::stopped || all_of_group_)) {
    children_.set_phase(c, child_phase::restarting);
  } else {
    children_.set_phase(c, child_phase::stopped);
  }
}

void supervision::report(report_context context, const child& c, const caf::error& reason) {
  const bool quiet = context == report_context::progress || context == report_context::ended;
  if (quiet && !flags_.on_report && !logs(spdlog::level::debug))
    return;
  publish({flags_.name, context, from_caf(reason), c.spec->id, c.instance ? c.instance.id() : 0, c.spec->restart,
           c.spec->shutdown_or_default(), c.spec->type},
          flags_.on_report);
}

}  // namespace troupe
