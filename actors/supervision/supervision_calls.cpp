#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/supervision.hpp"

#include <caf/abstract_actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <set>

namespace troupe {
namespace {

admin_error refusal(admin_errc what, status_code code, std::string cause, caf::actor instance = {}) {
  return {make_error(code, std::move(cause)), what, std::move(instance)};
}

admin_error not_found(const std::string& id) {
  return refusal(admin_errc::not_found, status_code::not_found,
                 id.empty() ? "that actor is no child of this supervisor" : "there is no child '" + id + "'");
}

admin_error not_supported(std::string cause) {
  return refusal(admin_errc::not_supported, status_code::failed_precondition, std::move(cause));
}

child_status status_of(child_phase phase) {
  switch (phase) {
    case child_phase::starting:
      return child_status::starting;
    case child_phase::running:
      return child_status::running;
    case child_phase::stopping:
      return child_status::stopping;
    case child_phase::stopped:
      return child_status::stopped;
    case child_phase::exited:
    case child_phase::restarting:
      return child_status::restarting;
  }
  return child_status::stopped;
}

bool is_active(const child& c) {
  return c.phase == child_phase::running || c.phase == child_phase::stopping;
}

/// Why a child that is not stopped can be neither restarted nor deleted.
admin_error not_stopped(const child& c) {
  if (c.phase == child_phase::restarting || c.phase == child_phase::exited)
    return refusal(admin_errc::restarting, status_code::failed_precondition,
                   "child '" + c.spec->id + "' is being restarted");
  return refusal(admin_errc::running, status_code::failed_precondition, "child '" + c.spec->id + "' is running",
                 c.instance);
}

const cancel_token* token_of(const admin::request& content) {
  if (const auto* start = std::get_if<admin::start_child_request>(&content))
    return &start->token;
  if (const auto* restart = std::get_if<admin::restart_child_request>(&content))
    return &restart->token;
  return nullptr;
}

/// True for the handle of an actor that doesn't run any more.
bool has_ended(const caf::actor& handle) {
  return !handle || caf::actor_cast<caf::abstract_actor*>(handle)->getf(caf::abstract_actor::is_terminated_flag);
}

}  // namespace

void supervision::on_call(std::shared_ptr<const admin::request> content, caf::response_promise promise) {
  job next{job::kind::call, 0, 0, std::move(content), std::move(promise), nullptr};
  if (!told_to_start_) {
    answer(next.promise, refusal(admin_errc::not_started, status_code::failed_precondition,
                                 "supervisor '" + flags_.name + "' has not been told to start"));
  } else if (auto known = answer_question(*next.content)) {
    answer(next.promise, *std::move(known));
  } else if (stopping_) {
    refuse(next);
  } else {
    watch_token(next, last_job_ + 1);
    const auto keep = next.content;
    push(std::move(next));
    if (const auto* terminate = std::get_if<admin::terminate_child_request>(keep.get()))
      on_terminate_call(*terminate);
  }
  advance();
}

void supervision::answer(std::optional<caf::response_promise>& promise, admin::answer what) {
  if (auto waiting = std::exchange(promise, std::nullopt))
    waiting->deliver(admin_reply{std::make_shared<const admin::answer>(std::move(what))});
}

void supervision::answer_current(admin::answer what) {
  if (current_)
    answer(current_->promise, std::move(what));
}

/// Answers a call that will not take place.
void supervision::refuse(job& refused) {
  answer(refused.promise,
         refusal(admin_errc::no_supervisor, status_code::unavailable, "supervisor '" + flags_.name + "' is stopping"));
}

/// The answer of a call that changes nothing.
std::optional<admin::answer> supervision::answer_question(const admin::request& content) const {
  if (std::holds_alternative<admin::which_children_request>(content)) {
    std::vector<child_info> result;
    for (const auto& [order, c] : children_.in_order())
      result.push_back({c->spec->id, is_active(*c) ? c->instance : caf::actor{}, status_of(c->phase), c->spec->type});
    return admin::value{std::move(result)};
  }
  if (std::holds_alternative<admin::count_children_request>(content)) {
    child_counts result;
    result.specs = is_dynamic() ? 1 : children_.size();
    for (const auto& [order, c] : children_.in_order()) {
      result.active += is_active(*c) ? 1 : 0;
      ++(c->spec->type == child_type::supervisor ? result.supervisors : result.workers);
    }
    return admin::value{result};
  }
  if (const auto* call = std::get_if<admin::get_childspec_request>(&content)) {
    if (template_ && template_->id == call->id)
      return admin::value{*template_};
    const auto* c = children_.find(call->id);
    return c ? admin::answer{admin::value{*c->spec}} : admin::answer{not_found(call->id)};
  }
  return std::nullopt;
}

/// Has the cancellation of the caller's token told to us, in our own thread.
void supervision::watch_token(job& next, std::uint64_t number) {
  const auto* token = token_of(*next.content);
  if (!token || !token->stop().stop_possible())
    return;
  auto tell = [weak = caf::actor_cast<caf::weak_actor_ptr>(self_), number] {
    if (const auto self = caf::actor_cast<caf::actor>(weak))
      caf::anon_send(self, supervision_note{supervision_note::kind::cancel, number});
  };
  next.on_cancel = std::make_unique<std::stop_callback<std::function<void()>>>(token->stop(), std::move(tell));
}

void supervision::on_cancelled(std::uint64_t number) {
  const auto why = [](const job& cancelled) { return token_of(*cancelled.content)->reason(); };
  if (const auto i = jobs_.find(number); i != jobs_.end()) {
    answer(i->second.promise, admin_error{why(i->second), admin_errc::cancelled, {}});
    jobs_.erase(i);
  } else if (current_ && current_number_ == number && doing_ == activity::start_one) {
    auto* c = children_.find(subject_);
    if (c && c->phase == child_phase::starting)
      give_up_start(*c, why(*current_), true);
  }
}

/// Ends a start that is under way at once; the call itself takes its turn.
void supervision::on_terminate_call(const admin::terminate_child_request& call) {
  auto* c = find(call);
  if (c && c->serial == subject_ && c->phase == child_phase::starting && doing_ != activity::start_all &&
      is_starting_activity())
    give_up_start(*c, make_error(status_code::cancelled, "the child was terminated while it started"), true);
}

child* supervision::find(const admin::terminate_child_request& call) {
  return is_dynamic() ? children_.find(call.instance.address()) : children_.find(call.id);
}

void supervision::take_call(job& next) {
  const auto content = next.content;
  if (const auto* token = token_of(*content); token && token->cancelled()) {
    answer(next.promise, admin_error{token->reason(), admin_errc::cancelled, {}});
    return;
  }
  std::visit(
      [this](const auto& call) {
        if constexpr (requires { take(call); })
          take(call);
      },
      *content);
}

void supervision::take(const admin::start_child_request& call) {
  if (is_dynamic() == call.spec.has_value()) {
    answer_current(not_supported(is_dynamic() ? "a dynamic supervisor's children are made from its template"
                                              : "only a dynamic supervisor makes children from arguments"));
    return;
  }
  if (is_dynamic()) {
    start_for_call(children_.add(template_, call.arguments));
    return;
  }
  const auto& spec = *call.spec;
  if (const auto valid = validate(flags_, spec); !valid) {
    answer_current(admin_error{valid.error(), admin_errc::invalid, {}});
  } else if (const auto* c = children_.find(spec.id)) {
    const bool runs = c->phase == child_phase::running;
    answer_current(refusal(runs ? admin_errc::already_started : admin_errc::already_present,
                           status_code::already_exists,
                           "there is a child '" + spec.id + (runs ? "', and it is running" : "', not running"),
                           runs ? c->instance : caf::actor{}));
  } else {
    start_for_call(children_.add(std::make_shared<const child_spec>(spec), {}));
  }
}

void supervision::take(const admin::restart_child_request& call) {
  if (is_dynamic()) {
    answer_current(not_supported("a dynamic supervisor's children can't be restarted by id"));
  } else if (auto* c = children_.find(call.id); !c) {
    answer_current(not_found(call.id));
  } else if (c->phase != child_phase::stopped) {
    answer_current(not_stopped(*c));
  } else {
    start_for_call(*c);
  }
}

void supervision::start_for_call(child& c) {
  doing_ = activity::start_one;
  begin_start(c);
}

void supervision::start_one_done(child& c, start_end end, const caf::error& reason) {
  const bool is_new = std::holds_alternative<admin::start_child_request>(*current_->content);
  if (end == start_end::started) {
    answer_current(admin::value{started_child{c.instance, std::exchange(c.info, {})}});
  } else if (end == start_end::ignored) {
    answer_current(admin::value{started_child{}});
    settle_down(c);
  } else {
    answer_current(admin_error{from_caf(reason), c.given_up ? admin_errc::cancelled : admin_errc::start_failed, {}});
    if (is_new)
      children_.drop(c);
    else
      children_.set_phase(c, child_phase::stopped);
  }
  finish_job();
}

void supervision::take(const admin::terminate_child_request& call) {
  if (is_dynamic() != call.id.empty()) {
    answer_current(not_supported(is_dynamic() ? "a dynamic supervisor's children have no id"
                                              : "children with an id are terminated by that"));
    return;
  }
  auto* c = find(call);
  if (!c && is_dynamic() && has_ended(call.instance)) {
    answer_current(admin::value{done{}});
  } else if (!c) {
    answer_current(not_found(call.id));
  } else {
    doing_ = activity::stop_one;
    begin_stop(*c);
  }
}

void supervision::stop_one_done(child& c) {
  if (c.abandoned)
    answer_current(refusal(admin_errc::not_ended, status_code::deadline_exceeded,
                           "child '" + c.spec->id + "' was killed and has not ended", c.instance));
  else
    answer_current(admin::value{done{}});
  // A group that waited to be restarted on this child's account goes on without it.
  if (waiting_ && waiting_->trigger == c.serial) {
    due_.clear(nobody);
    note({supervision_note::kind::retry_all, waiting_->number});
  }
  settle_down(c);
  finish_job();
}

void supervision::take(const admin::delete_child_request& call) {
  if (is_dynamic()) {
    answer_current(not_supported("a dynamic supervisor's children have no id"));
  } else if (auto* c = children_.find(call.id); !c) {
    answer_current(not_found(call.id));
  } else if (c->phase != child_phase::stopped) {
    answer_current(not_stopped(*c));
  } else {
    children_.drop(*c);
    answer_current(admin::value{done{}});
  }
}

void supervision::take(const admin::configure_request& call) {
  auto flags = call.flags;
  flags.name = flags_.name;
  if (!flags.on_report)
    flags.on_report = flags_.on_report;
  flags.clock = flags_.clock;
  const auto* children = call.children ? &*call.children : nullptr;
  if (const auto valid = check_new_setup(flags, children); !valid) {
    answer_current(admin_error{valid.error(), admin_errc::invalid, {}});
    return;
  }
  flags_ = std::move(flags);
  if (children)
    set_up(*children);
  // A group that waits is looked at anew, as places and strategy may be others.
  if (waiting_) {
    waiting_.reset();
    due_.clear(nobody);
    for (const auto& [order, c] : children_.in_order())
      if (c->phase == child_phase::restarting)
        note({supervision_note::kind::retry, c->serial, c->incarnation});
  }
  answer_current(admin::value{done{}});
}

expected<void> supervision::check_new_setup(const supervisor_flags& flags,
                                            const std::vector<child_spec>* children) const {
  if (auto valid = validate(flags); !valid)
    return valid;
  if ((flags.strategy == restart_strategy::dynamic) != is_dynamic())
    return make_error(status_code::invalid_argument,
                      "supervisor '" + flags_.name + "': strategy can't change between dynamic and others");
  std::set<std::string_view> replaced;
  if (children) {
    if (auto valid = validate(flags, *children); !valid)
      return valid;
    for (const auto& spec : *children)
      replaced.insert(spec.id);
  }
  const auto is_illegal = [&](const child_spec& spec) {
    return spec.significant && flags.when_done == auto_shutdown::never && !replaced.contains(spec.id);
  };
  if (template_ && !children && is_illegal(*template_))
    return validate(flags, *template_);
  for (const auto& [order, c] : children_.in_order())
    if (!is_dynamic() && is_illegal(*c->spec))
      return make_error(status_code::invalid_argument,
                        "child '" + c->spec->id + "' is significant, but when_done would be never");
  return {};
}

void supervision::set_up(const std::vector<child_spec>& children) {
  if (is_dynamic()) {
    template_ = std::make_shared<const child_spec>(children.front());
    return;
  }
  std::vector<child*> in_order;
  for (const auto& spec : children) {
    auto shared = std::make_shared<const child_spec>(spec);
    auto* c = children_.find(spec.id);
    if (c)
      children_.set_spec(*c, std::move(shared));
    else
      c = &children_.add(std::move(shared), {});
    if (c->phase == child_phase::running)
      forget_start(*c);
    in_order.push_back(c);
  }
  children_.move_to_end(in_order);
}

}  // namespace troupe
