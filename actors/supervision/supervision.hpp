#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/supervision/child_table.hpp"
#include "actors/supervision/due_times.hpp"
#include "actors/supervision/restart_intensity.hpp"
#include "actors/supervision/supervisor_admin.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>

#include <limits>
#include <random>

namespace troupe {

/// What the supervisor tells itself, so that it comes after what is in its mailbox already.
struct supervision_note {
  enum class kind : std::uint8_t {
    settle,     ///< the child ended while it started, and all that it said before is known now
    retry,      ///< a restart that failed is tried again
    retry_all,  ///< the same of a group
    cancel,     ///< the caller's token was cancelled
  } what;
  std::uint64_t number = 0;  ///< of the child, or of the call
  std::uint64_t incarnation = 0;
};

/// The supervisor's state and rules, to be used in the handlers of its actor alone.
///
/// What is to be done waits in `jobs_`, one job is under way, and a job is worked off in steps: each starts or stops
/// one child, and the next comes when the child has answered or ended (`busy_`). Handlers change the state and then
/// call `advance()`, which takes steps until one has to be waited for; nothing that a step calls calls `advance()`.
class supervision {
 public:
  supervision(caf::event_based_actor* self, supervisor_flags flags, std::vector<child_spec> children);
  supervision(const supervision&) = delete;
  supervision& operator=(const supervision&) = delete;

  /// Kills what is left, and answers what is open, when the actor was killed.
  ~supervision();

  void on_start(caf::response_promise starter);
  void on_stop(const caf::actor_addr& source, caf::error reason);
  void on_down(const caf::actor_addr& source, const caf::error& reason);
  void on_note(const supervision_note& note);
  void on_call(std::shared_ptr<const admin::request> content, caf::response_promise promise);

 private:
  using time_point = due_times::time_point;

  static constexpr auto behind_all = std::numeric_limits<std::uint64_t>::max();  // no child's place
  static constexpr std::uint64_t nobody = 0;  // no child's number: the supervisor's own time in `due_`

  /// What is under way.
  enum class activity : std::uint8_t {
    none,
    start_all,    ///< the initial start
    start_one,    ///< a call to start or to restart a child
    restart_one,  ///< a restart of one child
    stop_one,     ///< a call to stop a child
    stop_group,   ///< the first half of a restart of several
    start_group,  ///< the second half
    stop_all,     ///< the end
  };

  enum class start_end : std::uint8_t { started, ignored, failed };

  struct job {
    enum class kind : std::uint8_t { start_all, exit, retry, retry_all, call } what;
    std::uint64_t child = 0;
    std::uint64_t incarnation = 0;
    std::shared_ptr<const admin::request> content;
    std::optional<caf::response_promise> promise;
    std::unique_ptr<std::stop_callback<std::function<void()>>> on_cancel;
  };

  /// A restart of several children that waits to be tried again.
  struct waiting_group {
    std::uint64_t number;   // tells a note of this one from a note of an earlier one
    std::uint64_t from;     // the place of the first child
    std::uint64_t trigger;  // the child that failed
  };

  // supervision.cpp: jobs, starting and ending the supervisor
  void advance();
  bool step();
  bool begin_job();
  void begin(job& next);
  void push(job next);
  void finish_job();
  void begin_start_all();
  bool step_start_all();
  void initial_start_done(child& c, start_end end, const caf::error& reason);
  void stop_all(caf::error reason);
  bool step_stop_all();
  bool stop_dynamic_children();
  void dynamic_stop_late();
  void end();
  void set_alarm();
  void wake();

  // supervision_child.cpp: the life of one child
  void begin_start(child& c);
  start_outcome spawn(child& c);
  void ask_to_start(child& c);
  void on_started(std::uint64_t serial, std::uint64_t incarnation, start_answer answer);
  void on_refused(std::uint64_t serial, std::uint64_t incarnation, const caf::error& reason);
  void on_settled(child& c);
  void give_up_start(child& c, const error& why, bool for_good);
  void begin_stop(child& c);
  void ask_to_stop(child& c);
  void kill(child& c);
  void on_child_late(child& c);
  void abandon(child& c);
  void instance_gone(child& c, caf::error reason);
  void no_longer_busy_with(const child& c);
  void start_done(child& c, start_end end, const caf::error& reason);
  void stop_done(child& c);
  void forget_start(child& c);
  void report(report_context context, const child& c, const caf::error& reason);
  bool is_starting_activity() const;

  // supervision_restart.cpp: what the end of a child means
  void on_exit(child& c);
  bool is_to_be_stopped(const child& c) const;
  void take_exit(child& c);
  void settle_down(child& c);
  bool is_auto_shutdown() const;
  bool may_restart(child& c, const caf::error& reason);
  void begin_restart(child& c);
  void retry_later(child& c);
  void restart_one_done(child& c, start_end end, const caf::error& reason);
  void begin_group(std::uint64_t from, std::uint64_t trigger, std::chrono::milliseconds delay);
  bool step_stop_group();
  void group_stopped();
  bool step_start_group();
  void group_start_done(child& c, start_end end, const caf::error& reason);
  void resume_group();
  std::chrono::milliseconds next_delay(const child& c);

  // supervision_calls.cpp: administration
  void take_call(job& next);
  void answer(std::optional<caf::response_promise>& promise, admin::answer what);
  void answer_current(admin::answer what);
  void refuse(job& refused);
  std::optional<admin::answer> answer_question(const admin::request& content) const;
  void watch_token(job& next, std::uint64_t number);
  void on_cancelled(std::uint64_t number);
  void on_terminate_call(const admin::terminate_child_request& call);
  child* find(const admin::terminate_child_request& call);
  void take(const admin::start_child_request& call);
  void take(const admin::restart_child_request& call);
  void take(const admin::terminate_child_request& call);
  void take(const admin::delete_child_request& call);
  void take(const admin::configure_request& call);
  void start_for_call(child& c);
  void start_one_done(child& c, start_end end, const caf::error& reason);
  void stop_one_done(child& c);
  expected<void> check_new_setup(const supervisor_flags& flags, const std::vector<child_spec>* children) const;
  void set_up(const std::vector<child_spec>& children);

  bool is_dynamic() const { return flags_.strategy == restart_strategy::dynamic; }
  bool restarts_groups() const {
    return flags_.strategy == restart_strategy::one_for_all || flags_.strategy == restart_strategy::rest_for_one;
  }
  troupe::clock& clock() const { return flags_.clock ? *flags_.clock : real_clock(); }
  time_point now() const { return clock().now(); }
  void note(supervision_note note);
  void set_due(std::uint64_t who, std::chrono::milliseconds wait);

  caf::event_based_actor* self_;
  supervisor_flags flags_;
  std::vector<child_spec> initial_;
  std::shared_ptr<const child_spec> template_;  // of a dynamic supervisor
  child_table children_;
  restart_intensity restarts_;
  std::minstd_rand random_;

  due_times due_;
  std::optional<cancel_scope> alarm_;  // of the wait for the next of them
  time_point alarm_time_;
  std::uint64_t last_alarm_ = 0;

  std::map<std::uint64_t, job> jobs_;  // by number, which is the order of their arrival
  std::uint64_t last_job_ = 0;
  std::optional<job> current_;
  std::uint64_t current_number_ = 0;

  activity doing_ = activity::none;
  bool busy_ = false;          // a step waits for its child
  std::uint64_t subject_ = 0;  // the child of the step
  std::uint64_t cursor_ = 0;   // the place where the next step looks
  std::uint64_t from_ = 0;     // the place of the first child of a group
  bool all_of_group_ = false;  // those too that were stopped before
  std::uint64_t trigger_ = 0;  // the child on whose account a group is restarted
  std::chrono::milliseconds group_delay_{0};
  std::optional<waiting_group> waiting_;
  std::uint64_t last_group_ = 0;

  std::optional<caf::response_promise> starter_;
  bool told_to_start_ = false;
  bool stopping_ = false;
  bool broadcast_ = false;    // dynamic children were told to stop
  std::size_t still_up_ = 0;  // of those
  caf::error exit_reason_;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::supervision_note)
