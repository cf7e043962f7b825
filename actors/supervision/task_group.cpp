#include "actors/supervision/task_group.hpp"

#include "actors/concurrency/log.hpp"

#include <boost/core/demangle.hpp>

#include <atomic>
#include <map>
#include <vector>

namespace troupe {

std::string_view to_string(task_status status) noexcept {
  switch (status) {
    case task_status::pending:
      return "pending";
    case task_status::cancelling:
      return "cancelling";
    case task_status::finished:
      return "finished";
    case task_status::failed:
      return "failed";
    case task_status::cancelled:
      break;
  }
  return "cancelled";
}

namespace detail {

namespace {

/// Of tasks and groups.
std::uint64_t next_id() noexcept {
  static std::atomic<std::uint64_t> last = 0;
  return ++last;
}

error not_active() {
  return make_error(status_code::failed_precondition, "the task group is not active: it was left",
                    "start tasks before leaving, or from a task of the group");
}

}  // namespace

class group_core {
 public:
  group_core(const cancel_token& parent, task_group_options options)
      : options_(options), scope_(no_deadline, parent), id_(next_id()) {}

  cancel_scope& scope() noexcept { return scope_; }
  std::uint64_t id() const noexcept { return id_; }
  task_failure_policy policy() const noexcept { return options_.on_failure; }

  std::shared_ptr<void> local(const void* where, const std::function<std::shared_ptr<void>()>& make) {
    const std::lock_guard lock{local_mutex_};
    auto& kept = local_[where];
    if (!kept)
      kept = make();
    return kept;
  }

  /// Counts a task in; false when everybody has left.
  bool enter() {
    const std::lock_guard lock{mutex_};
    if (closed_)
      return false;
    ++counts_.active;
    ++counts_.started;
    return true;
  }

  /// A task has failed; it has not left yet.
  void fail(const error& why) {
    {
      const std::lock_guard lock{mutex_};
      ++counts_.failed;
    }
    if (options_.on_failure == task_failure_policy::cancel_group)
      add(why);
  }

  /// Notes a failure, a task's or the host's, and cancels what goes on.
  void add(const error& why) {
    {
      const std::lock_guard lock{mutex_};
      failures_.push_back(why);
    }
    scope_.cancel(make_error(status_code::cancelled, "a task of the group failed: " + to_string(why)));
  }

  void leave(bool cancelled) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (cancelled) {
      ++counts_.cancelled;
      cancelled_ = true;
    }
    if (--counts_.active > 0 || !left_)
      return;
    closed_ = true;
    if (auto* host = std::exchange(host_, nullptr))
      complete(*host, expected<void>{}, woken);
  }

  /// The host is done with its own part.
  std::optional<expected<void>> host_left(expected<void> outcome, pending<void>& who) {
    {
      const std::lock_guard lock{mutex_};
      if (left_)
        return make_error(status_code::failed_precondition, "the task group was left before", "leave a group once");
      left_ = true;
      // Nobody starts anything from here on unless there are tasks that do.
      ++counts_.active;
    }
    bool cancelled = false;
    if (!outcome)
      cancelled = !take_failure(std::move(outcome).error());
    {
      const std::lock_guard lock{mutex_};
      cancelled_ = cancelled_ || cancelled;
      if (--counts_.active > 0) {
        waited_ = true;
        host_ = &who;
        return std::nullopt;
      }
      closed_ = true;
    }
    return conclude();
  }

  /// What leaving comes to, once all have left.
  expected<void> conclude() {
    std::vector<error> failures;
    bool cancelled = false;
    {
      const std::lock_guard lock{mutex_};
      failures.swap(failures_);
      cancelled = cancelled_ || waited_;
    }
    const auto token = scope_.token();
    auto left = scope_.leave(cancelled && token.cancelled() ? expected<void>{token.reason()} : expected<void>{});
    if (failures.empty())
      return left;
    return aggregate(failures.size() == 1 ? "a task of the group failed"
                                          : std::to_string(failures.size()) + " tasks of the group failed",
                     std::move(failures));
  }

  bool forget_host(const pending<void>& who) {
    const std::lock_guard lock{mutex_};
    if (host_ != &who)
      return false;
    host_ = nullptr;
    return true;
  }

  bool was_left() const {
    const std::lock_guard lock{mutex_};
    return left_;
  }

  task_group::statistics stats() const {
    const std::lock_guard lock{mutex_};
    return counts_;
  }

 private:
  /// The host's own end; false where it is a cancellation only.
  bool take_failure(error why) {
    const bool ours = scope_.token().cancelled();
    auto failure = ours ? without_cancellations(std::move(why)) : std::optional{std::move(why)};
    if (!failure)
      return false;
    failure->cancellation = false;
    add(*failure);
    return true;
  }

  const task_group_options options_;
  cancel_scope scope_;
  const std::uint64_t id_;

  std::mutex local_mutex_;
  std::map<const void*, std::shared_ptr<void>> local_;

  mutable std::mutex mutex_;
  task_group::statistics counts_{};
  std::vector<error> failures_;
  pending<void>* host_ = nullptr;  // while it waits
  bool left_ = false;              // by the host
  bool closed_ = false;            // by everybody
  bool waited_ = false;
  bool cancelled_ = false;  // somebody ended by a cancellation
};

// -- task_base --------------------------------------------------------------------------------------------------------

task_base::task_base(std::shared_ptr<group_core> group, task_options options, const std::type_info& function,
                     const cancel_token* starter)
    : group_(std::move(group)),
      name_(std::move(options.name)),
      function_(function),
      id_(next_id()),
      entered_(group_->enter()),
      scope_(scope_options{.deadline = starter ? starter->deadline() : no_deadline, .shield = starter != nullptr},
             group_->scope().token()) {}

task_base::~task_base() = default;

std::string task_base::name() const {
  return name_.empty() ? boost::core::demangle(function_.name()) : name_;
}

std::uint64_t task_base::parent() const noexcept {
  return group_->id();
}

task_failure_policy task_base::policy() const noexcept {
  return group_->policy();
}

std::shared_ptr<void> task_base::group_local(const void* where,
                                             const std::function<std::shared_ptr<void>()>& make) const {
  return group_->local(where, make);
}

task_status task_base::status() const {
  {
    const std::lock_guard lock{mutex_};
    if (status_ != task_status::pending)
      return status_;
  }
  return scope_.token().cancelled() ? task_status::cancelling : task_status::pending;
}

error task_base::refusal() const {
  auto why = not_active();
  log_event(spdlog::level::err, "task refused", {{"task", name()}, {"reason", why.message()}});
  return why;
}

task_status task_base::judge(error& why) const {
  if (!scope_.token().cancelled()) {
    // The cancellation of a scope that the task had no business with, or forgot to leave.
    why.cancellation = false;
    return task_status::failed;
  }
  auto failure = without_cancellations(why);
  if (!failure)
    return task_status::cancelled;
  why = *std::move(failure);
  return task_status::failed;
}

void task_base::tell_group(task_status how, const error* why) {
  if (!entered_)
    return;
  const bool cancelled = how == task_status::cancelled;
  const auto starter = std::exchange(starter_, nullptr);
  const bool unready = starter && starter->task_ended(why, cancelled);
  if (!unready && how == task_status::failed)
    group_->fail(*why);
  group_->leave(cancelled && !unready);
}

error task_base::failure(const error& why) const {
  return aggregate("task '" + name() + "' failed", {why});
}

error task_base::cancellation(const error& why) const {
  return make_error(status_code::cancelled, "task '" + name() + "' was cancelled: " + why.message());
}

error task_base::not_over() const {
  return make_error(status_code::failed_precondition, "task '" + name() + "' has not ended", "wait for it");
}

}  // namespace detail

// -- task_group -------------------------------------------------------------------------------------------------------

task_group::task_group(const cancel_token& parent, task_group_options options)
    : core_(std::make_shared<detail::group_core>(parent, options)) {}

task_group::~task_group() {
  if (core_->was_left())
    return;
  if (const auto active = core_->stats().active; active > 0)
    log_event(spdlog::level::err, "task group not left", {{"group", core_->id()}, {"tasks", active}});
  core_->scope().cancel(make_error(status_code::cancelled, "the host of the task group is gone"));
}

cancel_scope& task_group::scope() noexcept {
  return core_->scope();
}

cancel_token task_group::token() const noexcept {
  return core_->scope().token();
}

std::uint64_t task_group::id() const noexcept {
  return core_->id();
}

task_group::statistics task_group::stats() const {
  return core_->stats();
}

task_group::leave_operation task_group::leave(expected<void> outcome) const {
  return {core_, std::move(outcome)};
}

std::optional<expected<void>> task_group::leave_operation::begin(pending<void>& who) {
  return core_->host_left(std::move(outcome_), who);
}

bool task_group::leave_operation::forget(pending<void>& who) {
  if (!core_->forget_host(who))
    return false;
  core_->scope().cancel(make_error(status_code::cancelled, "the host of the task group is gone"));
  return true;
}

expected<void> task_group::leave_operation::finish(expected<void> outcome) {
  return outcome ? core_->conclude() : outcome;
}

}  // namespace troupe
