#include "actors/supervision/supervisor_admin.hpp"

#include "actors/supervision/caf_error.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/sec.hpp>

namespace troupe {

std::string_view to_string(admin_errc what) noexcept {
  switch (what) {
    case admin_errc::not_found:
      return "not_found";
    case admin_errc::already_started:
      return "already_started";
    case admin_errc::already_present:
      return "already_present";
    case admin_errc::running:
      return "running";
    case admin_errc::restarting:
      return "restarting";
    case admin_errc::not_supported:
      return "not_supported";
    case admin_errc::invalid:
      return "invalid";
    case admin_errc::start_failed:
      return "start_failed";
    case admin_errc::cancelled:
      return "cancelled";
    case admin_errc::not_ended:
      return "not_ended";
    case admin_errc::not_started:
      return "not_started";
    case admin_errc::no_supervisor:
      return "no_supervisor";
    case admin_errc::no_answer:
      return "no_answer";
  }
  return "unknown";
}

namespace admin {
namespace {

template <class T, class Request>
call<T> make_call(Request&& content) {
  return {std::make_shared<const request>(std::forward<Request>(content))};
}

/// A call that was not answered by a supervisor: it is no more, or the actor has never been one.
answer unanswered(const caf::error& why) {
  if (why == caf::sec::request_timeout)
    return admin_error{make_error(status_code::deadline_exceeded, "the supervisor has not answered in time"),
                       admin_errc::no_answer,
                       {}};
  return admin_error{make_error(status_code::unavailable, "there is no such supervisor: " + from_caf(why).message()),
                     admin_errc::no_supervisor,
                     {}};
}

}  // namespace

call<started_child> start_child(child_spec spec, cancel_token token) {
  return make_call<started_child>(start_child_request{std::move(spec), {}, std::move(token)});
}

call<started_child> start_dynamic_child(std::any arguments, cancel_token token) {
  return make_call<started_child>(start_child_request{std::nullopt, std::move(arguments), std::move(token)});
}

call<started_child> restart_child(std::string id, cancel_token token) {
  return make_call<started_child>(restart_child_request{std::move(id), std::move(token)});
}

call<done> terminate_child(std::string id) {
  return make_call<done>(terminate_child_request{std::move(id), {}});
}

call<done> terminate_child(caf::actor instance) {
  return make_call<done>(terminate_child_request{{}, std::move(instance)});
}

call<done> delete_child(std::string id) {
  return make_call<done>(delete_child_request{std::move(id)});
}

call<child_spec> get_childspec(std::string id) {
  return make_call<child_spec>(get_childspec_request{std::move(id)});
}

call<std::vector<child_info>> which_children() {
  return make_call<std::vector<child_info>>(which_children_request{});
}

call<child_counts> count_children() {
  return make_call<child_counts>(count_children_request{});
}

call<done> configure(supervisor_flags flags, std::optional<std::vector<child_spec>> children) {
  return make_call<done>(configure_request{std::move(flags), std::move(children)});
}

void ask_for_any(caf::event_based_actor& self, const caf::actor& supervisor, std::shared_ptr<const request> content,
                 std::function<void(const answer&)> on_answer) {
  self.request(supervisor, caf::infinite, admin_atom::value, admin_message{std::move(content)})
      .then([on_answer](const admin_reply& reply) { on_answer(*reply.content); },
            [on_answer](const caf::error& e) { on_answer(unanswered(e)); });
}

answer ask_for_any(caf::scoped_actor& self, const caf::actor& supervisor, std::shared_ptr<const request> content,
                   caf::duration timeout) {
  std::optional<answer> result;
  self->request(supervisor, timeout, admin_atom::value, admin_message{std::move(content)})
      .receive([&](const admin_reply& reply) { result = *reply.content; },
               [&](const caf::error& e) { result = unanswered(e); });
  return *std::move(result);
}

}  // namespace admin
}  // namespace troupe
