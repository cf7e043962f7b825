#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/supervision.hpp"

#include <caf/exit_reason.hpp>

namespace troupe {

/// A child ended by itself.
void supervision::on_exit(child& c) {
  if (is_to_be_stopped(c))
    return;  // the step that would stop it takes note of it
  if (doing_ == activity::stop_group || doing_ == activity::start_group)
    take_exit(c);
  else
    push({job::kind::exit, c.serial, c.incarnation, nullptr, std::nullopt, nullptr});
}

/// True when the child's stop is planned already, so that its own end before that is no failure more.
bool supervision::is_to_be_stopped(const child& c) const {
  if (doing_ == activity::stop_all)
    return true;
  return doing_ == activity::stop_group && c.order >= from_ && c.order < cursor_;
}

void supervision::take_exit(child& c) {
  const auto reason = std::exchange(c.ended, std::nullopt).value_or(caf::error{});
  const bool well = is_shutdown(reason);
  const auto type = c.spec->restart;
  const bool comes_back = type == restart_type::permanent || (type == restart_type::transient && !well);
  report(comes_back || !well ? report_context::child_terminated : report_context::ended, c, reason);
  c.instance = nullptr;
  if (comes_back) {
    if (now() - c.up_since > flags_.backoff.most)
      c.failures = 0;
    children_.set_phase(c, child_phase::restarting);
    if (may_restart(c, reason))
      begin_restart(c);
    return;
  }
  const bool significant = c.spec->significant;
  settle_down(c);
  if (significant && is_auto_shutdown())
    stop_all(caf::exit_reason::user_shutdown);
}

/// A child that doesn't run any more, and stays so.
void supervision::settle_down(child& c) {
  if (is_dynamic() || c.spec->restart == restart_type::temporary)
    children_.drop(c);
  else
    children_.set_phase(c, child_phase::stopped);
}

/// Whether the end of a significant child ends the supervisor.
bool supervision::is_auto_shutdown() const {
  return flags_.when_done == auto_shutdown::any_significant ||
         (flags_.when_done == auto_shutdown::all_significant && children_.significant_alive() == 0);
}

/// Counts a restart; ends the supervisor when it was one too many.
bool supervision::may_restart(child& c, const caf::error& reason) {
  ++c.failures;
  if (!restarts_.add(now(), flags_.intensity, flags_.period))
    return true;
  report(report_context::shutdown, c,
         to_caf(make_error(status_code::resource_exhausted, "more than " + std::to_string(flags_.intensity) +
                                                                " restarts within " +
                                                                std::to_string(flags_.period.count()) + " ms")));
  const auto why = or_ended(reason);
  const auto inner = failed_child(why);
  stop_all(shutdown_because(from_caf(why), inner.empty() ? c.spec->id : c.spec->id + "/" + inner));
  return false;
}

std::chrono::milliseconds supervision::next_delay(const child& c) {
  if (!flags_.backoff.enabled())
    return {};
  return delay_of(flags_.backoff, c.failures, std::uniform_real_distribution<double>{0, 1}(random_));
}

/// Restarts a child that has just failed, and those that go with it: at once, or after the back-off.
void supervision::begin_restart(child& c) {
  const auto delay = next_delay(c);
  if (flags_.strategy == restart_strategy::one_for_all) {
    begin_group(0, c.serial, delay);
  } else if (flags_.strategy == restart_strategy::rest_for_one) {
    begin_group(waiting_ ? std::min(waiting_->from, c.order) : c.order, c.serial, delay);
  } else if (delay.count() > 0) {
    set_due(c.serial, delay);
  } else {
    doing_ = activity::restart_one;
    begin_start(c);
  }
}

/// Tries again what has failed. Not at once, so that what came in meanwhile has its turn.
void supervision::retry_later(child& c) {
  const auto delay = next_delay(c);
  if (!restarts_groups()) {
    if (delay.count() > 0)
      set_due(c.serial, delay);
    else
      note({supervision_note::kind::retry, c.serial, c.incarnation});
    return;
  }
  const auto from = flags_.strategy == restart_strategy::one_for_all ? 0 : c.order;
  if (delay.count() > 0) {
    begin_group(from, c.serial, delay);
  } else {
    waiting_ = waiting_group{++last_group_, from, c.serial};
    note({supervision_note::kind::retry_all, last_group_});
  }
}

void supervision::restart_one_done(child& c, start_end end, const caf::error& reason) {
  if (end == start_end::ignored || (end == start_end::failed && c.given_up)) {
    settle_down(c);
  } else if (end == start_end::failed) {
    children_.set_phase(c, child_phase::restarting);
    if (may_restart(c, reason))
      retry_later(c);
  }
  finish_job();
}

/// Stops the children from a place on, then starts them in order, `delay` later. Takes the place of such a restart that
/// is under way or waits: what that had still to stop and to start is part of this one.
void supervision::begin_group(std::uint64_t from, std::uint64_t trigger, std::chrono::milliseconds delay) {
  const bool under_way = doing_ == activity::stop_group || doing_ == activity::start_group;
  if (!under_way)
    all_of_group_ = !waiting_;
  waiting_.reset();
  due_.clear(nobody);
  doing_ = activity::stop_group;
  from_ = from;
  cursor_ = behind_all;
  trigger_ = trigger;
  group_delay_ = delay;
  busy_ = false;
}

bool supervision::step_stop_group() {
  auto* c = children_.before(cursor_);
  if (c && c->order >= from_) {
    cursor_ = c->order;
    begin_stop(*c);
  } else {
    group_stopped();
  }
  return true;
}

void supervision::group_stopped() {
  if (group_delay_.count() > 0) {
    waiting_ = waiting_group{++last_group_, from_, trigger_};
    set_due(nobody, group_delay_);
    finish_job();
    return;
  }
  doing_ = activity::start_group;
  cursor_ = from_;
}

bool supervision::step_start_group() {
  auto* c = children_.at_or_after(cursor_);
  if (!c) {
    finish_job();
  } else {
    cursor_ = c->order + 1;
    if (c->phase == child_phase::restarting)
      begin_start(*c);
  }
  return true;
}

void supervision::group_start_done(child& c, start_end end, const caf::error& reason) {
  if (end == start_end::started)
    return;
  if (end == start_end::ignored || c.given_up) {
    settle_down(c);
    return;
  }
  children_.set_phase(c, child_phase::restarting);
  if (!may_restart(c, reason))
    return;
  retry_later(c);
  if (waiting_)
    finish_job();
}

void supervision::resume_group() {
  const auto group = *waiting_;
  begin_group(group.from, group.trigger, {});
}

}  // namespace troupe
