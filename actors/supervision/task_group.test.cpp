#include "actors/supervision/task_group.hpp"

#include "actors/concurrency/callers.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/concurrency/stream.hpp"
#include "actors/supervision/actor_task.hpp"
#include "actors/supervision/caf_error.hpp"
#include "actors/supervision/coroutine_task.hpp"
#include "actors/supervision/pool_task.hpp"

#include <gmock/gmock.h>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include <random>

namespace troupe {
namespace {

namespace asio = boost::asio;

/// What a task does, in whatever way it runs: waits, lingers, and comes to something.
struct script {
  std::function<void()> begin = [] {};
  event until = {};                            ///< waited for under the task's token
  std::optional<event> linger = std::nullopt;  ///< then waited for whatever is cancelled
  std::function<expected<void>(expected<void>)> outcome = [](expected<void> waited) { return waited; };
  std::shared_ptr<void> held = nullptr;
};

/// A task that has nothing to wait for.
script immediately(std::function<expected<void>(expected<void>)> outcome) {
  script result{.outcome = std::move(outcome)};
  result.until.set();
  return result;
}

script returning(expected<void> outcome) {
  return immediately([outcome](auto) { return outcome; });
}

error some_error(const std::string& text = "the disk is full") {
  return make_error(status_code::data_loss, text);
}

/// Starts a task that plays a script at a place where functions or coroutines run.
template <class Where, class Play>
task_handle<void> start_soon_at(Where&& where, Play play, task_group& group, script what, task_options options) {
  return group.start_soon(
      where, [play, what = std::move(what)](const cancel_token& token) { return play(what, token); },
      std::move(options));
}

template <class Where, class Play>
auto start_at(Where&& where, Play play, task_group& group, script what, const cancel_token& token, bool says) {
  return group.start<int>(
      where,
      [play, what = std::move(what), says](const cancel_token& own, const task_ready<int>& ready) {
        if (says) {
          EXPECT_TRUE(ready(7));
        }
        return play(what, own);
      },
      token);
}

/// Tasks of one kind, beside the caller that belongs to it.
class pool_tasks {
 public:
  using caller = thread_caller;

  pool_tasks() = default;
  explicit pool_tasks(caller&) {}

  task_handle<void> start_soon(task_group& group, script what, task_options options = {}) {
    return start_soon_at(pool_, play, group, std::move(what), std::move(options));
  }

  auto start(task_group& group, script what, const cancel_token& token, bool says = true) {
    return start_at(pool_, play, group, std::move(what), token, says);
  }

 private:
  static expected<void> play(const script& what, const cancel_token& token) {
    what.begin();
    auto waited = wait(what.until.wait(), token);
    if (what.linger) {
      EXPECT_TRUE(wait(what.linger->wait(), {}));
    }
    return what.outcome(std::move(waited));
  }

  thread_pool pool_;
};

class coroutine_tasks {
 public:
  using caller = coroutine_caller;

  coroutine_tasks() = default;
  explicit coroutine_tasks(caller&) {}

  ~coroutine_tasks() { io_.stop(); }

  auto executor() { return io_.get_executor(); }

  task_handle<void> start_soon(task_group& group, script what, task_options options = {}) {
    return start_soon_at(executor(), play, group, std::move(what), std::move(options));
  }

  auto start(task_group& group, script what, const cancel_token& token, bool says = true) {
    return start_at(executor(), play, group, std::move(what), token, says);
  }

 private:
  static asio::awaitable<expected<void>> play(const script& what, cancel_token token) {
    what.begin();
    auto waited = co_await async(what.until.wait(), token, asio::use_awaitable);
    if (what.linger) {
      EXPECT_TRUE(co_await async(what.linger->wait(), {}, asio::use_awaitable));
    }
    co_return what.outcome(std::move(waited));
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> open_{io_.get_executor()};
  std::jthread thread_{[this] { io_.run(); }};
};

struct playing_state {
  cancel_scope scope;
};

/// An actor that plays a script, as a child of a supervisor.
caf::behavior play(caf::stateful_actor<playing_state>* self, script what, bool says) {
  self->set_exit_handler([self](const caf::exit_msg& exit) {
    auto why = from_caf(exit.reason);
    self->state.scope.cancel(why);
  });
  what.begin();
  const auto end = [self](expected<void> outcome) {
    if (outcome)
      self->quit();
    else if (outcome.error().cancellation)
      self->quit(caf::exit_reason::user_shutdown);
    else
      self->quit(to_caf(outcome.error()));
  };
  const auto go_on = [self, what, end] {
    await(self, what.until.wait(), self->state.scope.token(), [self, what, end](expected<void> waited) {
      if (what.linger)
        await(self, what.linger->wait(), {}, [=](const expected<void>&) { end(what.outcome(waited)); });
      else
        end(what.outcome(waited));
    });
  };
  // One that says that it is ready does so before it can end.
  if (!says)
    go_on();
  return {[self, says, go_on](start_atom) -> caf::result<start_answer> {
    if (!says)
      return self->make_response_promise<start_answer>();
    go_on();
    return start_answer{.info = 7};
  }};
}

class actor_tasks {
 public:
  using caller = actor_caller;

  actor_tasks() : own_(std::make_unique<actor_caller>()), system_(own_->system()) {}

  /// In the caller's system: a system can't end while the threads of another one have worked for it.
  explicit actor_tasks(caller& of) : system_(of.system()) {}

  task_handle<void> start_soon(task_group& group, script what, task_options options = {}) {
    return group.start_soon(
        system_, [what = std::move(what)](caf::actor_system& system) { return system.spawn(play, what, true); },
        std::move(options));
  }

  auto start(task_group& group, script what, const cancel_token& token, bool says = true) {
    return group.start<std::any>(
        system_, [what = std::move(what), says](caf::actor_system& system) { return system.spawn(play, what, says); },
        token);
  }

 private:
  std::unique_ptr<actor_caller> own_;
  caf::actor_system& system_;
};

int number(int value) {
  return value;
}
int number(const std::any& value) {
  return std::any_cast<int>(value);
}

/// Calls that come to an error have their parts compared, whatever their order.
std::vector<std::string> causes(const error& e) {
  std::vector<std::string> result;
  for (const auto& part : e.parts)
    result.push_back(part.cause);
  std::sort(result.begin(), result.end());
  return result;
}

template <class Tasks>
class task_group_rules : public with_caller<typename Tasks::caller> {
 protected:
  cancel_token token() { return this->scope.token(); }

  auto leave(task_group& group, expected<void> outcome = {}) { return this->start(group.leave(std::move(outcome))); }
  expected<void> left(task_group& group, expected<void> outcome = {}) { return leave(group, std::move(outcome)).get(); }

  task_status ended(const task_handle<void>& task) {
    EXPECT_TRUE(wait(task.wait(), {}));
    return task.status();
  }

  Tasks tasks{this->caller};
};

struct task_names {
  template <class Tasks>
  static std::string GetName(int) {
    return std::string{Tasks::caller::name} + "s";
  }
};

using all_tasks = ::testing::Types<pool_tasks, coroutine_tasks, actor_tasks>;
TYPED_TEST_SUITE(task_group_rules, all_tasks, task_names);

/// What to do with `begin` to know that it was.
std::function<void()> tell(event what) {
  return [what]() mutable { what.set(); };
}

void wait_for(const event& what) {
  EXPECT_TRUE(wait(what.wait(), {}));
}

// -- Lifetime ---------------------------------------------------------------------------------------------------------

TYPED_TEST(task_group_rules, TG_1_leaving_waits_for_the_tasks) {
  task_group group{this->token()};
  script task;
  const auto handle = this->tasks.start_soon(group, task);
  auto leaving = this->leave(group);
  EXPECT_FALSE(leaving.done());
  task.until.set();
  EXPECT_TRUE(leaving.get());
  EXPECT_EQ(handle.status(), task_status::finished);
  EXPECT_EQ(group.stats().active, 0u);
}

TYPED_TEST(task_group_rules, TG_2_tasks_start_others_also_while_the_group_is_being_left) {
  task_group group{this->token()};
  script first, second;
  std::optional<task_handle<void>> started;
  first.outcome = [&](auto) {
    started = this->tasks.start_soon(group, second);
    return expected<void>{};
  };
  this->tasks.start_soon(group, first);
  auto leaving = this->leave(group);
  first.until.set();
  while (group.stats().started < 2)
    std::this_thread::yield();
  EXPECT_FALSE(leaving.done());
  second.until.set();
  EXPECT_TRUE(leaving.get());
  EXPECT_EQ(started->status(), task_status::finished);
}

TYPED_TEST(task_group_rules, TG_3_a_group_that_was_left_refuses_to_start) {
  task_group group{this->token()};
  EXPECT_TRUE(this->left(group));
  std::atomic<bool> ran = false;
  script task = returning({});
  task.begin = [&] { ran = true; };
  const auto refused = this->tasks.start_soon(group, task);
  EXPECT_EQ(refused.status(), task_status::failed);
  EXPECT_EQ(code_of(refused.result()), status_code::failed_precondition);
  EXPECT_EQ(code_of(this->run(this->tasks.start(group, task, this->token()))), status_code::failed_precondition);
  EXPECT_FALSE(ran);
}

TYPED_TEST(task_group_rules, TG_3_a_group_is_left_once) {
  task_group group{this->token()};
  EXPECT_TRUE(this->left(group));
  EXPECT_EQ(code_of(this->left(group)), status_code::failed_precondition);
}

TYPED_TEST(task_group_rules, TG_4_an_empty_group_in_a_cancelled_scope_is_left_well) {
  task_group group{this->token()};
  this->scope.cancel();
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_4_one_that_had_to_be_waited_for_tells_of_the_cancellation) {
  task_group group{this->token()};
  script task{.linger = event{}, .outcome = [](auto) { return expected<void>{}; }};
  task.begin = tell(task.until);
  this->tasks.start_soon(group, task);
  wait_for(task.until);
  auto leaving = this->leave(group);
  this->scope.cancel();
  EXPECT_FALSE(leaving.done());
  task.linger->set();
  const auto left = leaving.get();
  ASSERT_FALSE(left);
  EXPECT_TRUE(left.error().cancellation);
}

TEST(task_group, TG_5_a_coroutine_in_a_cancelled_group_runs_up_to_its_first_wait) {
  coroutine_tasks tasks;
  task_group group{{}};
  group.scope().cancel();
  event begun;
  const auto handle = tasks.start_soon(group, {.begin = tell(begun)});
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_TRUE(begun.is_set());
  EXPECT_EQ(handle.status(), task_status::cancelled);
}

/// A function in a pool and an actor have no such prologue: TT-2.
TEST(task_group, TG_5_other_tasks_in_a_cancelled_group_never_run) {
  pool_tasks functions;
  actor_tasks actors;
  task_group group{{}};
  group.scope().cancel();
  event begun;
  const auto function = functions.start_soon(group, {.begin = tell(begun)});
  const auto actor = actors.start_soon(group, {.begin = tell(begun)});
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_FALSE(begun.is_set());
  EXPECT_EQ(function.status(), task_status::cancelled);
  EXPECT_EQ(actor.status(), task_status::cancelled);
}

TEST(task_group, TG_6_a_new_coroutine_does_not_run_before_its_starter_waits) {
  coroutine_tasks tasks;
  task_group group{{}};
  bool first_waits = false, second_ran_early = false;
  group.start_soon(tasks.executor(), [&](const cancel_token& token) -> asio::awaitable<expected<void>> {
    auto second = tasks.start_soon(group, immediately([&](auto) {
                                     second_ran_early = !first_waits;
                                     return expected<void>{};
                                   }));
    first_waits = true;
    co_return co_await async(second.wait(), token, asio::use_awaitable);
  });
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_FALSE(second_ran_early);
}

// -- Failure ----------------------------------------------------------------------------------------------------------

TYPED_TEST(task_group_rules, TG_10_a_failure_cancels_the_others_and_is_told_once_they_have_ended) {
  task_group group{this->token()};
  script failing, other{.linger = event{}};
  event begun;
  other.begin = tell(begun);
  failing.outcome = [](auto) { return some_error(); };
  const auto bystander = this->tasks.start_soon(group, other);
  wait_for(begun);
  const auto culprit = this->tasks.start_soon(group, failing);
  auto leaving = this->leave(group);
  failing.until.set();
  EXPECT_EQ(this->ended(culprit), task_status::failed);
  while (bystander.status() != task_status::cancelling)
    std::this_thread::yield();
  EXPECT_TRUE(group.token().cancelled());
  EXPECT_FALSE(leaving.done());
  other.linger->set();
  const auto left = leaving.get();
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, status_code::data_loss);
  EXPECT_EQ(left.error().parts, std::vector{some_error()});
  EXPECT_EQ(bystander.status(), task_status::cancelled);
}

TYPED_TEST(task_group_rules, TG_11_an_error_of_the_host_cancels_the_tasks) {
  task_group group{this->token()};
  const auto task = this->tasks.start_soon(group, {});
  const auto left = this->left(group, some_error());
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().parts, std::vector{some_error()});
  EXPECT_EQ(task.status(), task_status::cancelled);
}

TYPED_TEST(task_group_rules, TG_12_of_several_errors_none_is_lost_or_doubled) {
  task_group group{this->token()};
  script first, second, third;
  event begun[2];
  first.outcome = [](auto) { return some_error("first"); };
  // Errors of the cleanup.
  second.outcome = [](auto) { return some_error("second"); };
  third.outcome = [](auto) { return some_error("third"); };
  second.begin = tell(begun[0]);
  third.begin = tell(begun[1]);
  this->tasks.start_soon(group, second);
  this->tasks.start_soon(group, third);
  wait_for(begun[0]);
  wait_for(begun[1]);
  const auto culprit = this->tasks.start_soon(group, first);
  first.until.set();
  EXPECT_TRUE(wait(culprit.wait(), {}));
  const auto left = this->left(group, some_error("host"));
  ASSERT_FALSE(left);
  EXPECT_EQ(causes(left.error()), (std::vector<std::string>{"first", "host", "second", "third"}));
}

TYPED_TEST(task_group_rules, TG_13_cancellation_alone_is_told_once_and_not_as_a_part) {
  task_group group{this->token()};
  for (int i = 0; i != 3; ++i)
    this->tasks.start_soon(group, {});
  auto leaving = this->leave(group);
  this->scope.cancel(make_error(status_code::cancelled, "enough"));
  const auto left = leaving.get();
  ASSERT_FALSE(left);
  EXPECT_TRUE(left.error().cancellation);
  EXPECT_EQ(left.error().cause, "enough");
  EXPECT_TRUE(left.error().parts.empty());
}

TYPED_TEST(task_group_rules, TG_13_a_group_that_was_cancelled_itself_is_left_well) {
  task_group group{this->token()};
  const auto task = this->tasks.start_soon(group, {});
  group.scope().cancel();
  EXPECT_TRUE(this->left(group, group.token().check()));
  EXPECT_EQ(task.status(), task_status::cancelled);
}

TYPED_TEST(task_group_rules, TG_13_beside_a_failure_no_cancellation_is_told) {
  task_group group{this->token()};
  this->tasks.start_soon(group, {});
  const auto culprit = this->tasks.start_soon(group, returning(some_error()));
  EXPECT_EQ(this->ended(culprit), task_status::failed);
  this->scope.cancel();
  const auto left = this->left(group, this->token().check());
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().parts, std::vector{some_error()});
}

TYPED_TEST(task_group_rules, TG_14_nested_groups_give_nested_aggregates) {
  task_group outer{this->token()};
  thread_pool pool;
  outer.start_soon(pool, [&](const cancel_token& token) {
    return with_task_group(token, [&](task_group& inner) {
      this->tasks.start_soon(inner, {});
      this->tasks.start_soon(inner, returning(some_error()));
    });
  });
  const auto left = this->left(outer);
  ASSERT_FALSE(left);
  ASSERT_EQ(left.error().parts.size(), 1u);
  EXPECT_EQ(left.error().parts[0].parts, std::vector{some_error()});
}

TYPED_TEST(task_group_rules, TG_14_an_aggregate_passes_through_a_task_whole) {
  task_group outer{this->token()};
  auto nested = aggregate("two", {some_error("a"), some_error("b")});
  this->tasks.start_soon(outer, returning(nested));
  const auto left = this->left(outer);
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().parts, std::vector{nested});
}

TYPED_TEST(task_group_rules, TG_15_a_cancel_while_leaving_cancels_the_tasks_which_are_still_waited_for) {
  task_group group{this->token()};
  script task{.linger = event{}};
  event begun;
  task.begin = tell(begun);
  const auto handle = this->tasks.start_soon(group, task);
  wait_for(begun);
  auto leaving = this->leave(group);
  this->scope.cancel();
  EXPECT_EQ(handle.status(), task_status::cancelling);
  EXPECT_FALSE(leaving.done());
  task.linger->set();
  EXPECT_EQ(code_of(leaving.get()), status_code::cancelled);
  EXPECT_EQ(handle.status(), task_status::cancelled);
}

TYPED_TEST(task_group_rules, TG_16_a_cancel_cascades_through_tasks_that_own_groups) {
  task_group outer{this->token()};
  thread_pool pool;
  std::optional<task_handle<void>> innermost;
  event begun;
  std::atomic<bool> went_on = false;
  outer.start_soon(pool, [&](const cancel_token& token) -> expected<void> {
    auto left = with_task_group(
        token, [&](task_group& inner) { innermost = this->tasks.start_soon(inner, {.begin = tell(begun)}); });
    if (!left)
      return left;
    went_on = true;
    return {};
  });
  wait_for(begun);
  this->scope.cancel();
  EXPECT_EQ(code_of(this->left(outer)), status_code::cancelled);
  EXPECT_EQ(innermost->status(), task_status::cancelled);
  EXPECT_FALSE(went_on);
}

TYPED_TEST(task_group_rules, TG_17_a_scope_of_the_tasks_own_concerns_nobody_else) {
  task_group group{this->token()};
  thread_pool pool;
  const auto task = group.start_soon(pool, [](const cancel_token& token) {
    cancel_scope inner{no_deadline, token};
    inner.cancel();
    return inner.leave(wait(event{}.wait(), inner.token()));
  });
  script other;
  const auto sibling = this->tasks.start_soon(group, other);
  EXPECT_EQ(this->ended(task), task_status::finished);
  EXPECT_FALSE(group.token().cancelled());
  other.until.set();
  EXPECT_TRUE(this->left(group));
  EXPECT_EQ(sibling.status(), task_status::finished);
}

TYPED_TEST(task_group_rules, TG_17_a_cancellation_that_nobody_asked_for_is_a_failure) {
  task_group group{this->token()};
  thread_pool pool;
  group.start_soon(pool, [](const cancel_token& token) {
    cancel_scope inner{no_deadline, token};
    inner.cancel(make_error(status_code::cancelled, "forgotten"));
    return wait(event{}.wait(), inner.token());
  });
  const auto left = this->left(group);
  ASSERT_FALSE(left);
  EXPECT_EQ(causes(left.error()), std::vector<std::string>{"forgotten"});
  EXPECT_FALSE(left.error().cancellation);
}

TEST(task_group, TG_18_tasks_whose_executor_is_gone_end_the_group) {
  task_group group{{}};
  {
    asio::io_context io;
    group.start_soon(io.get_executor(), [](const cancel_token& token) -> asio::awaitable<expected<void>> {
      co_return co_await async(event{}.wait(), token, asio::use_awaitable);
    });
    io.poll();
  }
  const auto left = wait(group.leave(), {});
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, status_code::aborted);
  EXPECT_EQ(left.error().parts.size(), 1u);
}

TEST(task_group, CS_16_cancellations_are_taken_out_of_an_aggregate_at_every_depth) {
  auto cancelled = make_error(status_code::cancelled, "enough");
  cancelled.cancellation = true;
  cancel_scope scope;
  scope.cancel(cancelled);
  const auto nested = aggregate("inner", {cancelled, some_error("deep"), aggregate("empty", {cancelled})});
  const auto left = scope.leave(expected<void>{aggregate("outer", {nested, cancelled, some_error("flat")})});
  ASSERT_FALSE(left);
  ASSERT_EQ(left.error().parts.size(), 2u);
  EXPECT_EQ(left.error().parts[0].parts, std::vector{some_error("deep")});
  EXPECT_EQ(left.error().parts[1], some_error("flat"));
}

TEST(task_group, CS_16_an_aggregate_of_cancellations_alone_is_swallowed) {
  auto cancelled = make_error(status_code::cancelled, "enough");
  cancelled.cancellation = true;
  cancel_scope scope;
  scope.cancel(cancelled);
  EXPECT_TRUE(scope.leave(expected<void>{aggregate("outer", {aggregate("inner", {cancelled}), cancelled})}));
  EXPECT_TRUE(scope.cancelled_caught());
}

TYPED_TEST(task_group_rules, CS_24_a_shield_around_the_host_does_not_shield_the_tasks) {
  task_group group{this->token()};
  event begun;
  const auto task = this->tasks.start_soon(group, {.begin = tell(begun)});
  wait_for(begun);
  cancel_scope host{scope_options{.shield = true}, group.token()};
  this->scope.cancel();
  EXPECT_EQ(this->ended(task), task_status::cancelled);
  EXPECT_FALSE(host.token().cancelled());
  EXPECT_EQ(code_of(this->left(group)), status_code::cancelled);
}

TYPED_TEST(task_group_rules, CS_37_a_timeout_around_a_group_is_told_once_the_tasks_have_ended) {
  auto timeout = fail_after(std::chrono::seconds{1}, this->token());
  task_group group{timeout.token()};
  const auto task = this->tasks.start_soon(group, {});
  auto leaving = this->leave(group);
  this->clock.advance(std::chrono::seconds{2});
  const auto left = timeout.leave(leaving.get());
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().code, status_code::deadline_exceeded);
  EXPECT_FALSE(left.error().cancellation);
  EXPECT_TRUE(left.error().parts.empty());
  EXPECT_EQ(task.status(), task_status::cancelled);
}

// -- Starting with a handshake ----------------------------------------------------------------------------------------

TYPED_TEST(task_group_rules, TG_20_start_waits_until_the_task_is_ready_and_gives_its_value) {
  task_group group{this->token()};
  script task;
  auto started = this->run(this->tasks.start(group, task, this->token()));
  ASSERT_TRUE(started);
  EXPECT_EQ(number(started->start_value), 7);
  EXPECT_EQ(started->task.status(), task_status::pending);
  task.until.set();
  EXPECT_TRUE(this->left(group));
  EXPECT_EQ(started->task.status(), task_status::finished);
}

TEST(task_group, TG_21_ready_needs_no_value_and_is_said_once) {
  thread_pool pool;
  task_group group{{}};
  expected<void> first, second;
  const auto started = wait(group.start(pool,
                                        [&](const cancel_token&, const task_ready<std::monostate>& ready) {
                                          first = ready();
                                          second = ready();
                                        },
                                        {}),
                            {});
  EXPECT_TRUE(started);
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_TRUE(first);
  EXPECT_EQ(code_of(second), status_code::failed_precondition);
}

TYPED_TEST(task_group_rules, TG_22_a_failure_before_it_concerns_the_starter_alone) {
  task_group group{this->token()};
  const auto started = this->run(this->tasks.start(group, returning(some_error()), this->token(), false));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().cause, some_error().cause);
  EXPECT_FALSE(group.token().cancelled());
  this->tasks.start_soon(group, returning({}));
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_23_an_end_without_having_been_ready_is_told_to_the_starter) {
  task_group group{this->token()};
  const auto started = this->run(this->tasks.start(group, returning({}), this->token(), false));
  EXPECT_FALSE(started);
  EXPECT_FALSE(started.error().cancellation);
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_24_a_failure_after_it_ends_the_group) {
  task_group group{this->token()};
  script task;
  task.outcome = [](auto) { return some_error(); };
  EXPECT_TRUE(this->run(this->tasks.start(group, task, this->token())));
  task.until.set();
  const auto left = this->left(group);
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().parts, std::vector{some_error()});
}

TYPED_TEST(task_group_rules, TG_25_a_cancelled_start_cancels_its_task_and_waits_for_it) {
  task_group group{this->token()};
  cancel_scope starter{no_deadline, this->token()};
  script task{.linger = event{}};
  event begun;
  task.begin = tell(begun);
  auto starting = this->start(this->tasks.start(group, task, starter.token(), false), starter.token());
  wait_for(begun);
  starter.cancel(make_error(status_code::cancelled, "changed my mind"));
  EXPECT_FALSE(starting.done());
  task.linger->set();
  const auto started = starting.get();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().cancellation);
  EXPECT_EQ(started.error().cause, "changed my mind");
  EXPECT_FALSE(group.token().cancelled());
  EXPECT_TRUE(this->left(group));
}

TEST(task_group, TG_26_until_it_is_ready_the_task_is_under_its_starters_scopes) {
  virtual_clock clock;
  cancel_scope root{scope_options{.clock = &clock}};
  thread_pool pool;
  task_group group{root.token()};
  auto starter = move_on_after(std::chrono::seconds{3}, root.token());
  steady_clock::time_point before, after;
  bool group_seen_before = true, group_seen_after = false;
  std::uint64_t parent = 0;
  group.scope().cancel();
  const auto started = wait(group.start<int>(
                                pool,
                                [&](const cancel_token& token, const task_ready<int>& ready) {
                                  before = token.deadline();
                                  group_seen_before = token.cancelled();
                                  EXPECT_TRUE(ready(7));
                                  after = token.deadline();
                                  group_seen_after = token.cancelled();
                                },
                                starter.token()),
                            starter.token());
  ASSERT_TRUE(started);
  parent = started->task.parent();
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_EQ(before, starter.deadline());
  EXPECT_FALSE(group_seen_before);
  EXPECT_EQ(after, no_deadline);
  EXPECT_TRUE(group_seen_after);
  EXPECT_EQ(parent, group.id());
}

TEST(task_group, TG_26_a_deadline_of_the_starter_is_one_of_the_start_only) {
  virtual_clock clock;
  cancel_scope root{scope_options{.clock = &clock}};
  thread_pool pool;
  task_group group{root.token()};
  auto starter = move_on_after(std::chrono::seconds{1}, root.token());
  event go;
  const auto started = wait(group.start(
                                pool,
                                [&](const cancel_token& token, const task_ready<std::monostate>& ready) {
                                  EXPECT_TRUE(ready());
                                  return wait(go.wait(), token);
                                },
                                starter.token()),
                            starter.token());
  ASSERT_TRUE(started);
  clock.advance(std::chrono::seconds{2});
  EXPECT_TRUE(starter.token().cancelled());
  EXPECT_EQ(started->task.status(), task_status::pending);
  go.set();
  EXPECT_TRUE(wait(group.leave(), {}));
}

TEST(task_group, TG_27_a_shield_protects_the_task_while_it_starts) {
  thread_pool pool;
  task_group group{{}};
  cancel_scope starter;
  event begun, go;
  bool seen = true, seen_after = false;
  std::jthread caller{[&] {
    const auto started = wait(group.start<int>(
                                  pool,
                                  [&](const cancel_token& token, const task_ready<int>& ready) {
                                    const cancel_scope shield{scope_options{.shield = true}, token};
                                    begun.set();
                                    EXPECT_TRUE(wait(go.wait(), shield.token()));
                                    seen = shield.token().cancelled();
                                    seen_after = token.cancelled();
                                    // Nobody wants to know any more.
                                    EXPECT_TRUE(ready(7));
                                  },
                                  starter.token()),
                              starter.token());
    EXPECT_EQ(code_of(started), status_code::cancelled);
  }};
  wait_for(begun);
  starter.cancel();
  go.set();
  caller.join();
  EXPECT_FALSE(seen);
  EXPECT_TRUE(seen_after);
  EXPECT_TRUE(wait(group.leave(), {}));
}

TEST(task_group, TG_28_ready_in_a_cancelled_group_succeeds) {
  thread_pool pool;
  task_group group{{}};
  group.scope().cancel();
  event never;
  const auto started = wait(group.start<int>(pool,
                                             [&](const cancel_token& token, const task_ready<int>& ready) {
                                               EXPECT_TRUE(ready(7));
                                               return wait(never.wait(), token);
                                             },
                                             {}),
                            {});
  ASSERT_TRUE(started);
  EXPECT_EQ(started->start_value, 7);
  EXPECT_TRUE(wait(group.leave(), {}));
  EXPECT_EQ(started->task.status(), task_status::cancelled);
}

TYPED_TEST(task_group_rules, TG_29_a_start_under_way_keeps_the_group_open) {
  task_group group{this->token()};
  script task;
  event begun;
  task.begin = tell(begun);
  auto starting = this->start(this->tasks.start(group, task, this->token(), false));
  wait_for(begun);
  auto leaving = this->leave(group);
  EXPECT_FALSE(leaving.done());
  task.until.set();
  EXPECT_FALSE(starting.get());
  EXPECT_TRUE(leaving.get());
}

TYPED_TEST(task_group_rules, TG_30_a_failure_of_an_inner_group_cancels_a_start_in_the_outer_one) {
  task_group outer{this->token()};
  task_group inner{outer.token()};
  script task;
  event begun;
  task.begin = tell(begun);
  auto starting = this->start(this->tasks.start(outer, task, inner.token(), false), inner.token());
  wait_for(begun);
  this->tasks.start_soon(inner, returning(some_error()));
  const auto started = starting.get();
  ASSERT_FALSE(started);
  EXPECT_TRUE(started.error().cancellation);
  EXPECT_EQ(code_of(this->left(inner)), status_code::data_loss);
  EXPECT_FALSE(outer.token().cancelled());
  EXPECT_TRUE(this->left(outer));
}

// -- Handles ----------------------------------------------------------------------------------------------------------

TYPED_TEST(task_group_rules, TG_40_a_handle_tells_where_its_task_is) {
  task_group group{this->token()};
  script task, lingering{.linger = event{}};
  event begun;
  lingering.begin = tell(begun);
  const auto handle = this->tasks.start_soon(group, task);
  const auto other = this->tasks.start_soon(group, lingering);
  EXPECT_EQ(handle.status(), task_status::pending);
  EXPECT_EQ(code_of(handle.result()), status_code::failed_precondition);
  task.until.set();
  EXPECT_EQ(this->ended(handle), task_status::finished);
  EXPECT_TRUE(handle.result());
  wait_for(begun);
  EXPECT_TRUE(other.cancel());
  EXPECT_EQ(other.status(), task_status::cancelling);
  lingering.linger->set();
  EXPECT_EQ(this->ended(other), task_status::cancelled);
  const auto culprit = this->tasks.start_soon(group, returning(some_error()));
  EXPECT_EQ(this->ended(culprit), task_status::failed);
  EXPECT_EQ(culprit.result().error(), some_error());
  EXPECT_FALSE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_41_waiting_on_a_handle_gives_the_end_of_its_task) {
  task_group group{this->token()};
  script task;
  const auto handle = this->tasks.start_soon(group, task);
  auto waiting = this->start(handle.get());
  EXPECT_FALSE(waiting.done());
  task.until.set();
  EXPECT_TRUE(waiting.get());
  const auto doomed = this->tasks.start_soon(group, {});
  auto waits = this->start(doomed.wait());
  auto gets = this->start(doomed.get());
  doomed.cancel();
  EXPECT_TRUE(waits.get());
  const auto got = gets.get();
  EXPECT_EQ(code_of(got), status_code::cancelled);
  EXPECT_FALSE(got.error().cancellation);
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_41_a_failure_is_told_with_its_cause) {
  task_group group{this->token()};
  const auto handle = this->tasks.start_soon(group, returning(some_error()), {.name = "the writer"});
  const auto got = this->run(handle.get(), {});
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, status_code::data_loss);
  EXPECT_EQ(got.error().parts, std::vector{some_error()});
  EXPECT_THAT(got.error().cause, testing::HasSubstr("the writer"));
  EXPECT_FALSE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_41_a_cancelled_wait_leaves_the_task_alone) {
  task_group group{this->token()};
  script task;
  const auto handle = this->tasks.start_soon(group, task);
  cancel_scope other;
  auto waiting = this->start(handle.get(), other.token());
  other.cancel();
  EXPECT_TRUE(waiting.get().error().cancellation);
  EXPECT_EQ(handle.status(), task_status::pending);
  task.until.set();
  EXPECT_TRUE(this->left(group));
}

TEST(task_group, TG_41_a_value_comes_to_everybody_who_waits_or_to_the_first) {
  thread_pool pool;
  task_group group{{}};
  const auto seven = group.start_soon(pool, [] { return 7; });
  EXPECT_EQ(*wait(seven.get(), {}), 7);
  EXPECT_EQ(*wait(seven.get(), {}), 7);
  EXPECT_EQ(*seven.result(), 7);
  const auto unique = group.start_soon(pool, [] { return std::make_unique<int>(8); });
  EXPECT_EQ(**wait(unique.get(), {}), 8);
  EXPECT_EQ(code_of(wait(unique.get(), {})), status_code::failed_precondition);
  EXPECT_TRUE(wait(group.leave(), {}));
}

TYPED_TEST(task_group_rules, TG_42_a_handle_cancels_its_task_alone) {
  task_group group{this->token()};
  script other;
  event begun;
  const auto doomed = this->tasks.start_soon(group, {.begin = tell(begun)});
  const auto sibling = this->tasks.start_soon(group, other);
  wait_for(begun);
  EXPECT_TRUE(doomed.cancel());
  EXPECT_FALSE(doomed.cancel());
  EXPECT_EQ(this->ended(doomed), task_status::cancelled);
  EXPECT_EQ(sibling.status(), task_status::pending);
  EXPECT_FALSE(group.token().cancelled());
  other.until.set();
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_43_a_failure_counts_although_its_handle_was_asked) {
  task_group group{this->token()};
  const auto handle = this->tasks.start_soon(group, returning(some_error()));
  EXPECT_FALSE(this->run(handle.get(), {}));
  EXPECT_EQ(code_of(this->left(group)), status_code::data_loss);
}

TYPED_TEST(task_group_rules, TG_44_with_start_the_value_comes_with_the_handle) {
  task_group group{this->token()};
  const auto started = this->run(this->tasks.start(group, returning({}), this->token()));
  ASSERT_TRUE(started);
  EXPECT_EQ(this->ended(started->task), task_status::finished);
  EXPECT_EQ(number(started->start_value), 7);
  EXPECT_TRUE(this->left(group));
}

TYPED_TEST(task_group_rules, TG_45_tasks_have_a_name_and_their_group_for_a_parent) {
  task_group group{this->token()};
  script first, second;
  std::optional<task_handle<void>> by_sibling;
  first.outcome = [&](auto) {
    by_sibling = this->tasks.start_soon(group, second, {.name = "second"});
    return expected<void>{};
  };
  second.until.set();
  const auto handle = this->tasks.start_soon(group, first, {.name = "first"});
  first.until.set();
  EXPECT_TRUE(this->left(group));
  EXPECT_EQ(handle.name(), "first");
  EXPECT_EQ(by_sibling->name(), "second");
  EXPECT_NE(handle.id(), by_sibling->id());
  EXPECT_EQ(handle.parent(), group.id());
  EXPECT_EQ(by_sibling->parent(), group.id());
}

struct indexer {
  void operator()() const {}
};

TEST(task_group, TG_45_the_name_is_the_functions_where_none_is_given) {
  thread_pool pool;
  task_group group{{}};
  EXPECT_THAT(group.start_soon(pool, indexer{}).name(), testing::HasSubstr("indexer"));
  EXPECT_TRUE(wait(group.leave(), {}));
}

TYPED_TEST(task_group_rules, TG_46_what_a_task_held_goes_when_it_ends) {
  task_group group{this->token()};
  const auto held = std::make_shared<int>(7);
  auto task = returning({});
  task.held = held;
  const auto handle = this->tasks.start_soon(group, std::move(task));
  EXPECT_EQ(this->ended(handle), task_status::finished);
  // Of an actor its own end is what counts, and that is told by its supervisor.
  while (held.use_count() > 1)
    std::this_thread::yield();
  EXPECT_TRUE(this->left(group));
}

// -- What has no rule -------------------------------------------------------------------------------------------------

TYPED_TEST(task_group_rules, a_task_that_throws_has_failed) {
  task_group group{this->token()};
  thread_pool pool;
  group.start_soon(pool, [] { throw std::runtime_error{"no such file"}; });
  const auto left = this->left(group);
  ASSERT_FALSE(left);
  EXPECT_EQ(causes(left.error()), std::vector<std::string>{"no such file"});
}

TYPED_TEST(task_group_rules, a_host_that_is_gone_cancels_its_tasks) {
  std::optional<task_handle<void>> task;
  event begun;
  {
    task_group group{this->token()};
    task = this->tasks.start_soon(group, {.begin = tell(begun)});
    wait_for(begun);
  }
  EXPECT_EQ(this->ended(*task), task_status::cancelled);
}

TYPED_TEST(task_group_rules, isolated_failures_concern_nobody_else) {
  task_group group{this->token(), {.on_failure = task_failure_policy::isolate}};
  script other;
  const auto sibling = this->tasks.start_soon(group, other);
  const auto culprit = this->tasks.start_soon(group, returning(some_error()));
  EXPECT_EQ(this->ended(culprit), task_status::failed);
  EXPECT_EQ(sibling.status(), task_status::pending);
  other.until.set();
  EXPECT_TRUE(this->left(group));
  EXPECT_EQ(group.stats().failed, 1u);
}

TEST(task_group, tasks_of_all_kinds_stand_in_one_group) {
  pool_tasks functions;
  coroutine_tasks coroutines;
  actor_tasks actors;
  task_group group{{}};
  event begun[3];
  const auto function = functions.start_soon(group, {.begin = tell(begun[0])});
  const auto coroutine = coroutines.start_soon(group, {.begin = tell(begun[1])});
  for (int i = 0; i != 2; ++i)
    wait_for(begun[i]);
  const auto actor = actors.start_soon(group, returning(some_error()));
  const auto left = wait(group.leave(), {});
  EXPECT_EQ(code_of(left), status_code::data_loss);
  EXPECT_EQ(left.error().parts.size(), 1u);
  EXPECT_EQ(function.status(), task_status::cancelled);
  EXPECT_EQ(coroutine.status(), task_status::cancelled);
  EXPECT_EQ(actor.status(), task_status::failed);
}

TEST(task_group, a_coroutine_hosts_a_group) {
  coroutine_tasks tasks;
  task_group outer{{}};
  const auto host = outer.start_soon(tasks.executor(), [&](const cancel_token& token) {
    return with_task_group(token, [&](task_group& group) -> asio::awaitable<expected<void>> {
      tasks.start_soon(group, returning(some_error()));
      // The failure of the task ends this wait.
      co_return co_await async(event{}.wait(), group.token(), asio::use_awaitable);
    });
  });
  const auto left = wait(outer.leave(), {});
  ASSERT_FALSE(left);
  EXPECT_EQ(left.error().parts.at(0).parts, std::vector{some_error()});
  EXPECT_EQ(host.status(), task_status::failed);
}

/// Tasks that start others, fail and are cancelled at any moment: none is left, and each failure is told once.
TYPED_TEST(task_group_rules, stress_tasks_that_come_go_and_fail) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::minstd_rand random{seed};
  for (int round = 0; round != 30; ++round) {
    task_group group{{}};
    std::atomic<int> failures = 0;
    std::vector<task_handle<void>> handles;
    for (int i = 0; i != 20; ++i) {
      script task;
      if (random() % 2)
        task.until.set();
      if (random() % 10 == 0)
        task.outcome = [&failures](auto) {
          ++failures;
          return some_error();
        };
      handles.push_back(this->tasks.start_soon(group, task));
      if (random() % 5 == 0)
        handles[random() % handles.size()].cancel();
    }
    if (random() % 3 == 0)
      group.scope().cancel();
    auto leaving = this->leave(group);
    group.scope().cancel();
    const auto left = leaving.get();
    EXPECT_EQ(left ? 0 : static_cast<int>(left.error().parts.size()), failures);
    EXPECT_EQ(group.stats().active, 0u);
    EXPECT_EQ(group.stats().started, 20u);
    for (const auto& handle : handles)
      EXPECT_GE(handle.status(), task_status::finished);
  }
}

}  // namespace
}  // namespace troupe
