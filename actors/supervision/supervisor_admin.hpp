#pragma once

#include "actors/supervision/supervisor_flags.hpp"

#include <caf/duration.hpp>

namespace troupe {

/// Why a supervisor refused a call, for callers who act on it; `error::code` and the cause are for those who pass it
/// on.
enum class admin_errc : std::uint8_t {
  not_found,        ///< no child of that id, or the actor is no child of this supervisor
  already_started,  ///< the child runs: `admin_error::instance`
  already_present,  ///< the child is known but doesn't run
  running,          ///< only a child that is stopped can be restarted or deleted
  restarting,       ///< the supervisor is about to start the child itself
  not_supported,    ///< a dynamic supervisor's children have no id, and another's no arguments
  invalid,          ///< the specification or the flags make no sense
  start_failed,     ///< the child didn't start: its own error
  cancelled,        ///< the caller's token, or another call, ended the start before it was complete
  not_ended,        ///< the child was killed and still runs
  not_started,      ///< the supervisor has not been told to start
  no_supervisor,    ///< the supervisor has ended, is stopping, or never was one
  no_answer,        ///< the caller has waited long enough
};

std::string_view to_string(admin_errc what) noexcept;

struct admin_error : error {
  admin_errc what = admin_errc::no_supervisor;
  caf::actor instance;
};

/// The answer to a call: a value, or the error that stood in its way.
template <class T>
class [[nodiscard]] admin_result {
 public:
  using value_type = T;

  admin_result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  admin_result(admin_error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  const T& operator*() const { return *std::get_if<0>(&state_); }
  const T* operator->() const { return std::get_if<0>(&state_); }
  const admin_error& error() const { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, admin_error> state_;
};

/// The answer of a call that only succeeds.
struct done {};

/// A child that was started: its instance, or null when its start had nothing to do; and what its start had to say.
struct started_child {
  caf::actor instance;
  std::any info;
};

/// Where a child is, as its supervisor's callers see it.
enum class child_status : std::uint8_t { running, starting, stopping, restarting, stopped };

struct child_info {
  std::string id;  ///< the template's for a dynamic child
  caf::actor instance;
  child_status status = child_status::stopped;
  child_type type = child_type::worker;
};

struct child_counts {
  std::size_t specs = 0;        ///< a dynamic supervisor has one
  std::size_t active = 0;       ///< that run, or are being stopped
  std::size_t supervisors = 0;  ///< running or not
  std::size_t workers = 0;

  friend bool operator==(const child_counts&, const child_counts&) = default;
};

namespace admin {

struct start_child_request {
  std::optional<child_spec> spec;
  std::any arguments;
  cancel_token token;
};
struct restart_child_request {
  std::string id;
  cancel_token token;
};
struct terminate_child_request {
  std::string id;
  caf::actor instance;
};
struct delete_child_request {
  std::string id;
};
struct get_childspec_request {
  std::string id;
};
struct which_children_request {};
struct count_children_request {};
struct configure_request {
  supervisor_flags flags;
  std::optional<std::vector<child_spec>> children;
};

using request = std::variant<which_children_request, count_children_request, get_childspec_request, start_child_request,
                             restart_child_request, terminate_child_request, delete_child_request, configure_request>;
using value = std::variant<done, started_child, std::vector<child_info>, child_counts, child_spec>;
using answer = admin_result<value>;

/// A call, and by its type what is answered. Calls are asked in the order of their arrival, one after the other, except
/// that `which_children`, `count_children` and `get_childspec` are answered at once.
template <class T>
struct call {
  std::shared_ptr<const request> content;
};

/// Adds a child behind the others and starts it. Its id must be new: else `already_started` or `already_present`. A
/// child that fails to start is not kept. The start is given up when `token` is cancelled.
call<started_child> start_child(child_spec spec, cancel_token token = {});

/// Starts one more child of a dynamic supervisor: its start function finds the arguments in its context.
call<started_child> start_dynamic_child(std::any arguments = {}, cancel_token token = {});

/// Starts a child that is stopped.
call<started_child> restart_child(std::string id, cancel_token token = {});

/// Stops a child, or ends the attempts to start it, and forgets it if it is temporary. OK when it doesn't run.
call<done> terminate_child(std::string id);

/// The same for a child of a dynamic supervisor, which forgets it. OK when the actor has ended, whoever's it was.
call<done> terminate_child(caf::actor instance);

/// Forgets a child that is stopped.
call<done> delete_child(std::string id);

/// The specification of a child; a dynamic supervisor has its template's only.
call<child_spec> get_childspec(std::string id);

/// All children in order.
call<std::vector<child_info>> which_children();
call<child_counts> count_children();

/// Replaces the flags, and the specifications where there are some; nothing is started or stopped by that, and what has
/// happened is not looked at again. Children of new ids are added as stopped; those that aren't mentioned stay, in
/// front. What makes no sense is refused as a whole. Static and dynamic supervisors don't change into each other, and
/// the name stays.
call<done> configure(supervisor_flags flags, std::optional<std::vector<child_spec>> children = std::nullopt);

void ask_for_any(caf::event_based_actor& self, const caf::actor& supervisor, std::shared_ptr<const request> content,
                 std::function<void(const answer&)> on_answer);
answer ask_for_any(caf::scoped_actor& self, const caf::actor& supervisor, std::shared_ptr<const request> content,
                   caf::duration timeout);

template <class T>
admin_result<T> narrow(const answer& from) {
  if (!from)
    return from.error();
  return std::get<T>(*from);
}

}  // namespace admin

/// Asks a supervisor from within an actor. `on_answer` gets an `admin_result<T>`, in that actor and exactly once; a
/// supervisor that has ended is an error like others.
template <class T, class F>
void ask(caf::event_based_actor& self, const caf::actor& supervisor, admin::call<T> call, F on_answer) {
  admin::ask_for_any(self, supervisor, std::move(call.content),
                     [f = std::move(on_answer)](const admin::answer& x) mutable { f(admin::narrow<T>(x)); });
}

/// Asks a supervisor from a thread, and waits for the answer; no longer than `timeout`, after which the call may still
/// take place. Never from a thread of the scheduler.
template <class T>
admin_result<T> ask(caf::scoped_actor& self, const caf::actor& supervisor, admin::call<T> call, caf::duration timeout) {
  return admin::narrow<T>(admin::ask_for_any(self, supervisor, std::move(call.content), timeout));
}

/// How a call travels; for the supervisor, and for an actor that passes calls on to one.
using admin_atom = caf::atom_constant<caf::atom("supAdmin")>;

struct admin_message {
  std::shared_ptr<const admin::request> content;
};

struct admin_reply {
  std::shared_ptr<const admin::answer> content;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::admin_message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::admin_reply)
