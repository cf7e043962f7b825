#include "actors/supervision/supervision.hpp"

#include "actors/concurrency/await.hpp"
#include "actors/concurrency/sleep.hpp"
#include "actors/supervision/caf_error.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

namespace troupe {
supervision::supervision(caf::event_based_actor* self, supervisor_flags flags, std::vector<child_spec> children)
    : self_(self), flags_(std::move(flags)), initial_(std::move(children)), random_(std::random_device{}()) {}

supervision::~supervision() {
  for (const auto& [order, c] : children_.in_order())
    if (c->instance)
      caf::anon_send_exit(c->instance, caf::exit_reason::kill);
  for (auto& [number, waiting] : jobs_)
    refuse(waiting);
  if (current_)
    refuse(*current_);
  if (starter_)
    starter_->deliver(to_caf(make_error(status_code::unavailable, "supervisor '" + flags_.name + "' was killed")));
}

void supervision::on_start(caf::response_promise starter) {
  if (told_to_start_ || stopping_) {
    starter.deliver(
        to_caf(make_error(status_code::already_exists, "supervisor '" + flags_.name + "' was started before")));
    return;
  }
  told_to_start_ = true;
  starter_ = std::move(starter);
  push({job::kind::start_all, 0, 0, nullptr, std::nullopt, nullptr});
  advance();
}

void supervision::on_stop(const caf::actor_addr& source, caf::error reason) {
  // A child that has linked itself to its supervisor ends by a down message as any other.
  if (children_.find(source))
    return;
  stop_all(std::move(reason));
  advance();
}

void supervision::on_note(const supervision_note& note) {
  using enum supervision_note::kind;
  auto* c = note.what == settle || note.what == retry ? children_.find(note.number) : nullptr;
  if (note.what == cancel)
    on_cancelled(note.number);
  else if (note.what == retry_all)
    push({job::kind::retry_all, note.number, 0, nullptr, std::nullopt, nullptr});
  else if (c && c->incarnation == note.incarnation && note.what == settle)
    on_settled(*c);
  else if (c && c->incarnation == note.incarnation && note.what == retry)
    push({job::kind::retry, note.number, note.incarnation, nullptr, std::nullopt, nullptr});
  advance();
}

void supervision::advance() {
  while (!busy_ && step()) {
  }
  set_alarm();
}

/// Takes one step, or begins the next job. False when there is nothing to do.
bool supervision::step() {
  switch (doing_) {
    case activity::none:
      return begin_job();
    case activity::start_all:
      return step_start_all();
    case activity::stop_group:
      return step_stop_group();
    case activity::start_group:
      return step_start_group();
    case activity::stop_all:
      return step_stop_all();
    default:
      return false;
  }
}

bool supervision::begin_job() {
  if (jobs_.empty())
    return false;
  auto next = jobs_.extract(jobs_.begin());
  current_number_ = next.key();
  begin(current_.emplace(std::move(next.mapped())));
  if (doing_ == activity::none)
    finish_job();
  return true;
}

void supervision::begin(job& next) {
  auto* c = next.child ? children_.find(next.child) : nullptr;
  const bool same = c && c->incarnation == next.incarnation;
  switch (next.what) {
    case job::kind::start_all:
      begin_start_all();
      break;
    case job::kind::exit:
      if (same && c->phase == child_phase::exited)
        take_exit(*c);
      break;
    case job::kind::retry:
      if (same && c->phase == child_phase::restarting) {
        doing_ = activity::restart_one;
        begin_start(*c);
      }
      break;
    case job::kind::retry_all:
      if (waiting_ && waiting_->number == next.child)
        resume_group();
      break;
    case job::kind::call:
      take_call(next);
      break;
  }
}

void supervision::push(job next) {
  jobs_.emplace(++last_job_, std::move(next));
}

void supervision::finish_job() {
  if (doing_ != activity::stop_all)
    doing_ = activity::none;
  subject_ = 0;
  current_.reset();
}

void supervision::begin_start_all() {
  auto valid = validate(flags_);
  if (valid)
    valid = validate(flags_, initial_);
  if (!valid) {
    stop_all(to_caf(valid.error()));
    return;
  }
  if (is_dynamic()) {
    children_.without_ids();
    template_ = std::make_shared<const child_spec>(std::move(initial_.front()));
  } else {
    for (auto& spec : initial_)
      children_.add(std::make_shared<const child_spec>(std::move(spec)), {});
  }
  initial_ = {};
  doing_ = activity::start_all;
  cursor_ = 0;
}

bool supervision::step_start_all() {
  if (auto* c = children_.at_or_after(cursor_)) {
    cursor_ = c->order + 1;
    begin_start(*c);
    return true;
  }
  finish_job();
  std::exchange(starter_, std::nullopt)->deliver(caf::unit);
  return true;
}

void supervision::initial_start_done(child& c, start_end end, const caf::error& reason) {
  if (end == start_end::ignored) {
    settle_down(c);
  } else if (end == start_end::failed) {
    const auto inner = failed_child(reason);
    const auto path = inner.empty() ? c.spec->id : c.spec->id + "/" + inner;
    children_.set_phase(c, child_phase::stopped);
    stop_all(shutdown_because(from_caf(reason), path));
  }
}

/// Drops all that is under way, and stops every child; then the supervisor ends for `reason`.
void supervision::stop_all(caf::error reason) {
  if (stopping_)
    return;
  stopping_ = true;
  exit_reason_ = std::move(reason);
  for (auto& [number, waiting] : jobs_)
    refuse(waiting);
  jobs_.clear();
  if (current_)
    refuse(*current_);
  current_.reset();
  waiting_.reset();
  due_.clear(nobody);
  doing_ = activity::stop_all;
  cursor_ = behind_all;
  subject_ = 0;
  busy_ = false;
}

bool supervision::step_stop_all() {
  if (is_dynamic())
    return stop_dynamic_children();
  if (auto* c = children_.before(cursor_)) {
    cursor_ = c->order;
    begin_stop(*c);
    return true;
  }
  end();
  return false;
}

bool supervision::stop_dynamic_children() {
  if (broadcast_) {
    end();
    return false;
  }
  broadcast_ = true;
  std::vector<child*> all;
  for (const auto& [order, c] : children_.in_order())
    all.push_back(c);
  still_up_ = all.size();
  for (auto* c : all)
    begin_stop(*c);
  busy_ = still_up_ != 0;
  const auto time = template_ ? template_->shutdown_or_default() : shutdown_time::infinite();
  if (busy_ && !time.is_infinite() && !time.is_brutal())
    set_due(nobody, time.limit());
  return true;
}

/// The one time of all dynamic children is over.
void supervision::dynamic_stop_late() {
  std::vector<child*> late;
  for (const auto& [order, c] : children_.in_order())
    if (!c->killed)
      late.push_back(c);
  for (auto* c : late)
    kill(*c);
}

void supervision::end() {
  busy_ = true;  // takes no step more
  due_ = {};
  if (auto starter = std::exchange(starter_, std::nullopt))
    starter->deliver(exit_reason_ ? exit_reason_
                                  : to_caf(make_error(status_code::unavailable, "supervisor '" + flags_.name +
                                                                                    "' was stopped while it started")));
  self_->quit(exit_reason_);
}

/// Waits for the next time that is due, and for none when there is none. An alarm for an earlier time is left as it is:
/// times mostly move on, and it then looks again.
void supervision::set_alarm() {
  const auto next = due_.next();
  if (alarm_ && next && alarm_time_ <= *next)
    return;
  if (alarm_)
    alarm_->cancel();
  alarm_.reset();
  ++last_alarm_;
  if (!next)
    return;
  alarm_time_ = *next;
  alarm_.emplace(scope_options{.clock = &clock()});
  const auto token = alarm_->token();
  await(self_, sleep_until(*next, token), token, [this, number = last_alarm_](const expected<void>&) {
    if (number != last_alarm_)
      return;  // taken back, though it may have gone off before
    alarm_.reset();
    wake();
    advance();
  });
}

/// Deals with whatever is due.
void supervision::wake() {
  while (const auto who = due_.pop(now())) {
    if (*who == nobody) {
      if (stopping_)
        dynamic_stop_late();
      else if (waiting_)
        push({job::kind::retry_all, waiting_->number, 0, nullptr, std::nullopt, nullptr});
    } else if (auto* c = children_.find(*who)) {
      on_child_late(*c);
    }
  }
}

void supervision::note(supervision_note note) {
  self_->send(self_, note);
}

void supervision::set_due(std::uint64_t who, std::chrono::milliseconds wait) {
  due_.set(who, now() + wait);
}

}  // namespace troupe
