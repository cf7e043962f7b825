#include "actors/supervision/actor_task.hpp"

#include "actors/supervision/supervisor.hpp"
#include "actors/supervision/supervisor_admin.hpp"

#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include <functional>
#include <map>
#include <vector>

namespace troupe {

/// One actor to be: until its supervisor has it.
struct actor_task {
  start_function make;
  task_promise<void> promise;
  std::optional<task_ready<std::any>> ready;
};

/// What the one who keeps a group's actors is told.
struct actor_task_start {
  std::shared_ptr<actor_task> task;
};
struct actor_task_report {
  std::shared_ptr<const supervisor_report> what;
};

}  // namespace troupe

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actor_task_start)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actor_task_report)

namespace troupe {
namespace {

using cancel_atom = caf::atom_constant<caf::atom("taskCancel")>;
using settle_atom = caf::atom_constant<caf::atom("taskSettle")>;

/// An actor's task, from its start to its end.
struct running_task {
  std::shared_ptr<actor_task> what;
  std::optional<std::stop_callback<std::function<void()>>> on_cancel;
  caf::actor_addr asked;                  // the supervisor that is to start it
  bool refused = false;                   // by that supervisor, which is ending
  bool answered = false;                  // its supervisor has said that it runs
  std::optional<expected<void>> outcome;  // its end, should that be known first
};

/// Keeps the actors of a group: has a supervisor while there are any, and passes on what it tells of them.
class keeper {
 public:
  keeper(caf::event_based_actor* self, bool isolates) : self_(self), isolates_(isolates) {}

  void start(std::shared_ptr<actor_task> task) {
    const auto token = task->promise.token();
    const auto id = shortened(task->promise.name(), 64) + "#" + std::to_string(++last_);
    auto& entry = tasks_[id];
    entry.what = std::move(task);
    entry.on_cancel.emplace(token.stop(), [me = caf::actor_cast<caf::actor_addr>(self_), id] {
      if (const auto to = caf::actor_cast<caf::actor>(me))
        caf::anon_send(to, cancel_atom::value, id);
    });
    start_child(id);
  }

  void cancel(const std::string& id) {
    const auto found = tasks_.find(id);
    // A start that is under way has the token itself.
    if (found != tasks_.end() && found->second.answered && supervisor_)
      ask(*self_, supervisor_, admin::terminate_child(id), [](const auto&) {});
  }

  /// A supervisor has ended. Its reports may still be on their way: ends are told before them.
  void on_down(const caf::actor_addr& supervisor) {
    if (supervisor_ == supervisor)
      supervisor_ = nullptr;
    caf::anon_send(caf::actor_cast<caf::actor>(self_), settle_atom::value, supervisor);
  }

  void on_settled(const caf::actor_addr& supervisor) {
    std::vector<std::string> refused;
    for (const auto& [id, entry] : tasks_)
      if (entry.refused && entry.asked == supervisor)
        refused.push_back(id);
    for (const auto& id : refused)
      settle(id);
  }

  void on_report(const supervisor_report& report) {
    using enum report_context;
    const auto found = tasks_.find(report.child);
    if (found == tasks_.end())
      return;
    if (report.context == child_terminated || report.context == shutdown_error)
      end(found->first, found->second, report.reason);
    else if (report.context == ended)
      end(found->first, found->second, ended_well(found->second, report.reason));
  }

 private:
  static expected<void> ended_well(const running_task& task, const error& reason) {
    const auto token = task.what->promise.token();
    return reason.code != status_code::ok && token.cancelled() ? expected<void>{token.reason()} : expected<void>{};
  }

  void make_supervisor() {
    auto flags = task_group_flags("task group", {});
    if (isolates_) {
      flags.strategy = restart_strategy::one_for_one;
      flags.when_done = auto_shutdown::never;
    }
    flags.on_report = [me = caf::actor_cast<caf::actor_addr>(self_)](const supervisor_report& report) {
      if (const auto to = caf::actor_cast<caf::actor>(me))
        caf::anon_send(to, actor_task_report{std::make_shared<const supervisor_report>(report)});
    };
    supervisor_ = spawn_supervisor(self_->system(), std::move(flags), {});
    self_->monitor(supervisor_);
    caf::anon_send(supervisor_, start_atom::value);
  }

  void start_child(const std::string& id) {
    const auto& task = *tasks_.at(id).what;
    if (task.promise.token().cancelled())
      return end(id, tasks_.at(id), task.promise.token().reason(), true);
    if (!supervisor_)
      make_supervisor();
    tasks_.at(id).asked = supervisor_.address();
    tasks_.at(id).refused = false;
    child_spec spec{.id = id, .start = task.make};
    spec.restart = isolates_ ? restart_type::temporary : restart_type::transient;
    spec.significant = !isolates_;
    ask(*self_, supervisor_, admin::start_child(std::move(spec), task.promise.token()),
        [this, id](const admin_result<started_child>& answer) { on_answer(id, answer); });
  }

  void on_answer(const std::string& id, const admin_result<started_child>& answer) {
    auto& entry = tasks_.at(id);
    const auto token = entry.what->promise.token();
    if (answer) {
      entry.answered = true;
      if (entry.what->ready)
        (void)(*entry.what->ready)(answer->info);
      if (entry.outcome)
        end(id, entry, *std::move(entry.outcome));
      else if (token.cancelled())
        cancel(id);  // meanwhile
    } else if (answer.error().what == admin_errc::no_supervisor) {
      // It has ended with the last of the others, or is ending after a failure. What it still has to report of this
      // child, which may have been starting, comes before its end.
      entry.refused = true;
      if (supervisor_ == entry.asked)
        supervisor_ = nullptr;
      if (const auto asked = caf::actor_cast<caf::actor>(entry.asked))
        self_->monitor(asked);  // once more: its end may have been told before
      else
        on_down(entry.asked);
    } else {
      end(id, entry, token.cancelled() && answer.error().cancellation ? token.reason() : error{answer.error()}, true);
    }
  }

  /// The supervisor that refused a task is gone, and has told everything.
  void settle(const std::string& id) {
    auto& entry = tasks_.at(id);
    if (entry.outcome)
      end(id, entry, *std::move(entry.outcome), true);
    else
      start_child(id);
  }

  void end(const std::string& id, running_task& task, expected<void> outcome, bool never_ran = false) {
    if (!task.answered && !never_ran) {
      task.outcome = std::move(outcome);
      return;
    }
    const auto what = std::move(task.what);
    const auto spec = id;
    tasks_.erase(spec);
    if (supervisor_ && tasks_.empty())
      self_->send_exit(std::exchange(supervisor_, nullptr), caf::exit_reason::user_shutdown);
    else if (supervisor_ && !never_ran && !isolates_)
      ask(*self_, supervisor_, admin::delete_child(spec), [](const auto&) {});
    what->promise.finish(std::move(outcome));
  }

  caf::event_based_actor* self_;
  const bool isolates_;
  caf::actor supervisor_;
  std::map<std::string, running_task> tasks_;  // by the ids of the children
  std::uint64_t last_ = 0;
};

struct keeper_state {
  static constexpr const char* name = "task group";

  std::unique_ptr<keeper> tasks;
};

caf::behavior keep_actors(caf::stateful_actor<keeper_state>* self, bool isolates) {
  self->state.tasks = std::make_unique<keeper>(self, isolates);
  auto* tasks = self->state.tasks.get();
  self->set_down_handler([tasks](const caf::down_msg& down) { tasks->on_down(down.source); });
  return {
      [tasks](settle_atom, const caf::actor_addr& supervisor) { tasks->on_settled(supervisor); },
      [tasks](const actor_task_start& message) { tasks->start(message.task); },
      [tasks](cancel_atom, const std::string& id) { tasks->cancel(id); },
      [tasks](const actor_task_report& message) { tasks->on_report(*message.what); },
  };
}

/// A group's own.
struct keeper_handle {
  caf::actor keeper;
  ~keeper_handle() { caf::anon_send_exit(keeper, caf::exit_reason::user_shutdown); }
};

void hand_over(caf::actor_system& system, actor_task task) {
  const auto policy = task.promise.policy();
  const auto kept = task.promise.group_local(&system, [&]() -> std::shared_ptr<void> {
    auto handle = std::make_shared<keeper_handle>();
    handle->keeper = system.spawn(keep_actors, policy == task_failure_policy::isolate);
    return handle;
  });
  caf::anon_send(std::static_pointer_cast<keeper_handle>(kept)->keeper,
                 actor_task_start{std::make_shared<actor_task>(std::move(task))});
}

}  // namespace

void task_launcher<caf::actor_system>::launch(caf::actor_system& system, start_function make,
                                              task_promise<void> promise) {
  hand_over(system, {std::move(make), std::move(promise), std::nullopt});
}

void task_launcher<caf::actor_system>::start(caf::actor_system& system, start_function make, task_promise<void> promise,
                                             task_ready<std::any> ready) {
  hand_over(system, {std::move(make), std::move(promise), std::move(ready)});
}

}  // namespace troupe
