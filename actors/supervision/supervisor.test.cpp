#include "actors/supervision/supervisor.hpp"

#include "actors/concurrency/virtual_clock.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <map>
#include <set>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using caf::exit_reason;

using crash_atom = caf::atom_constant<caf::atom("crash")>;
using finish_atom = caf::atom_constant<caf::atom("finish")>;

struct test_config : caf::actor_system_config {
  test_config() { set("scheduler.policy", caf::atom("testing")); }
};

/// Children that write down what happens to them, on a scheduler and a clock that the test moves.
struct supervisor_test : testing::Test {
  child_spec child(const std::string& id, restart_type restart = restart_type::permanent,
                   std::chrono::milliseconds shutdown = 5s) {
    return {id, [this, id](caf::actor_system& sys) { return spawn_child(sys, id); }, restart, shutdown};
  }

  caf::actor spawn_child(caf::actor_system& sys, const std::string& id) {
    if (throws.count(id))
      throw std::runtime_error{"cannot spawn " + id};
    auto handle = sys.spawn([this, id](caf::event_based_actor* self) -> caf::behavior {
      self->set_exit_handler([this, id, self](const caf::exit_msg& exit) {
        events.push_back("stop " + id);
        if (!stubborn.count(id))
          self->quit(exit.reason);
      });
      return {
          [this, id](start_atom) -> caf::result<void> {
            if (refuses.count(id) && refuses[id]-- > 0) {
              events.push_back("refuse " + id);
              return to_caf(make_error(status_code::data_loss, id + " is broken", "mend it"));
            }
            events.push_back("start " + id);
            return caf::unit;
          },
          [self](crash_atom) { self->quit(to_caf(make_error(status_code::internal, "crashed"))); },
          [self](finish_atom) { self->quit(); },
      };
    });
    running[id] = handle;
    return handle;
  }

  /// Starts a supervisor and answers what it said to that.
  caf::error start(supervisor_flags flags, std::vector<child_spec> children) {
    flags.name = "test";
    flags.clock = &clock;
    top = spawn_supervisor(system, std::move(flags), std::move(children));
    caf::error result;
    auto asker = system.spawn([&](caf::event_based_actor* self) {
      self->set_down_handler([&](const caf::down_msg& down) {
        ended = true;
        reason = down.reason;
      });
      self->monitor(top);
      self->request(top, caf::infinite, start_atom::value).then([] {}, [&](const caf::error& e) { result = e; });
      // Stays alive for the down message.
      self->become([](crash_atom) {});
    });
    scheduler().run();
    watcher = asker;
    return result;
  }

  /// What the supervisor says when it is told to start by somebody else.
  caf::error start_again() {
    caf::error result;
    system.spawn([&](caf::event_based_actor* self) {
      self->request(top, caf::infinite, start_atom::value).then([] {}, [&](const caf::error& e) { result = e; });
    });
    scheduler().run();
    return result;
  }

  void tell(const std::string& id, caf::atom_value what) {
    if (what == crash_atom::value)
      caf::anon_send(running[id], crash_atom::value);
    else
      caf::anon_send(running[id], finish_atom::value);
    scheduler().run();
  }

  void stop() {
    caf::anon_send_exit(top, exit_reason::user_shutdown);
    scheduler().run();
  }

  std::vector<std::string> take_events() { return std::exchange(events, {}); }

  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }

  ~supervisor_test() override {
    stubborn.clear();
    caf::anon_send_exit(top, exit_reason::user_shutdown);
    caf::anon_send_exit(watcher, exit_reason::user_shutdown);
    scheduler().run();
    for (auto& [id, handle] : running)
      caf::anon_send_exit(handle, exit_reason::kill);
    scheduler().run();
  }

  virtual_clock clock;
  test_config config;
  caf::actor_system system{config};
  std::vector<std::string> events;
  std::map<std::string, caf::actor> running;
  std::set<std::string> throws, stubborn;
  std::map<std::string, int> refuses;
  caf::actor top, watcher;
  bool ended = false;
  caf::error reason;
};

using list = std::vector<std::string>;

TEST_F(supervisor_test, starts_in_order_and_stops_in_reverse) {
  EXPECT_FALSE(start({}, {child("a"), child("b"), child("c")}));
  EXPECT_EQ(take_events(), (list{"start a", "start b", "start c"}));
  stop();
  EXPECT_EQ(take_events(), (list{"stop c", "stop b", "stop a"}));
  EXPECT_TRUE(ended);
  EXPECT_EQ(reason, exit_reason::user_shutdown);
}

TEST_F(supervisor_test, a_failed_start_stops_the_others_and_tells_the_cause) {
  refuses["c"] = 100;
  const auto e = from_caf(start({}, {child("a"), child("b"), child("c"), child("d")}));
  EXPECT_EQ(take_events(), (list{"start a", "start b", "refuse c", "stop b", "stop a"}));
  EXPECT_EQ(e, make_error(status_code::data_loss, "c is broken", "mend it"));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, a_start_function_that_throws_is_a_failed_start) {
  throws.insert("b");
  EXPECT_EQ(from_caf(start({}, {child("a"), child("b")})).cause, "cannot spawn b");
  EXPECT_EQ(take_events(), (list{"start a", "stop a"}));
}

TEST_F(supervisor_test, one_for_one_restarts_the_failed_child_only) {
  EXPECT_FALSE(start({}, {child("a"), child("b"), child("c")}));
  take_events();
  const auto before = running;
  tell("b", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"start b"}));
  EXPECT_EQ(running["a"], before.at("a"));
  EXPECT_NE(running["b"], before.at("b"));
}

TEST_F(supervisor_test, one_for_all_restarts_everybody) {
  EXPECT_FALSE(start({"", restart_strategy::one_for_all}, {child("a"), child("b"), child("c")}));
  take_events();
  tell("b", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"stop c", "stop a", "start a", "start b", "start c"}));
}

TEST_F(supervisor_test, rest_for_one_restarts_those_after) {
  EXPECT_FALSE(start({"", restart_strategy::rest_for_one}, {child("a"), child("b"), child("c")}));
  take_events();
  tell("b", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"stop c", "start b", "start c"}));
}

TEST_F(supervisor_test, restart_types_decide_who_comes_back) {
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 10},
                     {child("p"), child("t", restart_type::transient), child("x", restart_type::temporary)}));
  take_events();
  tell("p", finish_atom::value);
  tell("t", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"start p", "start t"}));
  tell("t", finish_atom::value);
  tell("x", crash_atom::value);
  EXPECT_EQ(take_events(), list{});
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_test, too_many_restarts_within_the_period_end_it) {
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 2, 5s}, {child("a"), child("b")}));
  tell("b", crash_atom::value);
  tell("b", crash_atom::value);
  EXPECT_FALSE(ended);
  take_events();
  tell("b", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_TRUE(ended);
  EXPECT_EQ(from_caf(reason).cause, "crashed");
}

TEST_F(supervisor_test, restarts_further_apart_than_the_period_never_add_up) {
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 1, 5s}, {child("a")}));
  for (int i = 0; i != 5; ++i) {
    tell("a", crash_atom::value);
    clock.advance(6s);
  }
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_test, a_restart_that_fails_counts_and_is_tried_again) {
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 3}, {child("a")}));
  take_events();
  refuses["a"] = 2;
  tell("a", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"refuse a", "refuse a", "start a"}));
  EXPECT_FALSE(ended);
  refuses["a"] = 100;
  tell("a", crash_atom::value);
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, a_child_that_will_not_stop_is_killed_after_its_shutdown_time) {
  stubborn.insert("b");
  EXPECT_FALSE(start({}, {child("a"), child("b", restart_type::permanent, 2s)}));
  take_events();
  stop();
  EXPECT_EQ(take_events(), (list{"stop b"}));
  EXPECT_FALSE(ended);
  clock.advance(3s);
  scheduler().run();
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, can_be_stopped_while_a_child_is_still_starting) {
  const auto mute = [](caf::actor_system& sys) {
    return sys.spawn([](caf::event_based_actor* self) -> caf::behavior {
      return {[self](start_atom) { return self->make_response_promise(); }};
    });
  };
  const auto e = start({}, {child("a"), {"mute", mute}, child("c")});
  EXPECT_FALSE(e) << "neither started nor failed so far";
  take_events();
  stop();
  EXPECT_TRUE(ended);
  EXPECT_EQ(take_events(), (list{"stop a"}));
}

// In OTP the exit of a child that is about to be stopped is consumed by the stop, and costs no restart.
TEST_F(supervisor_test, children_that_fail_together_cost_one_restart) {
  stubborn.insert("c");
  EXPECT_FALSE(
      start({"", restart_strategy::one_for_all, 1}, {child("a"), child("b"), child("c", restart_type::permanent, 1s)}));
  take_events();
  tell("b", crash_atom::value);
  tell("a", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"stop c"}));
  stubborn.clear();
  clock.advance(2s);
  scheduler().run();
  EXPECT_EQ(take_events(), (list{"start a", "start b", "start c"}));
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_test, a_child_before_those_that_are_being_restarted_brings_them_all_down) {
  stubborn.insert("c");
  EXPECT_FALSE(start({"", restart_strategy::rest_for_one, 2},
                     {child("a"), child("b"), child("c", restart_type::permanent, 1s)}));
  take_events();
  tell("b", crash_atom::value);
  tell("a", crash_atom::value);
  stubborn.clear();
  clock.advance(2s);
  scheduler().run();
  EXPECT_EQ(take_events(), (list{"stop c", "start a", "start b", "start c"}));
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_test, a_child_may_fail_while_another_is_starting) {
  bool answers = true;
  const auto slow = [&](caf::actor_system& sys) {
    return running["slow"] = sys.spawn([&](caf::event_based_actor* self) -> caf::behavior {
      const auto pending = std::make_shared<caf::response_promise>();
      return {[&, pending, self](start_atom) -> caf::result<void> {
                events.push_back("start slow");
                if (answers)
                  return caf::unit;
                *pending = self->make_response_promise();
                return *pending;
              },
              [pending](finish_atom) { pending->deliver(caf::unit); },
              [self](crash_atom) { self->quit(exit_reason::unhandled_exception); }};
    });
  };
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 5}, {child("a"), {"slow", slow}}));
  take_events();
  answers = false;
  tell("slow", crash_atom::value);
  tell("a", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"start slow"})) << "one after the other";
  tell("slow", finish_atom::value);
  EXPECT_EQ(take_events(), (list{"start a"}));
  tell("slow", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"start slow"}));
  tell("slow", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"start slow"})) << "a child that ends while it starts has failed to start";
  stop();
  EXPECT_TRUE(ended);
}

// What ends or answers meanwhile is not what is waited for.
TEST_F(supervisor_test, waits_for_the_child_that_it_stops_whatever_else_happens) {
  bool answers = true;
  const auto slow = [&](caf::actor_system& sys) {
    return running["slow"] = sys.spawn([&](caf::event_based_actor* self) -> caf::behavior {
      const auto pending = std::make_shared<caf::response_promise>();
      return {[&, pending, self](start_atom) -> caf::result<void> {
                if (answers)
                  return caf::unit;
                *pending = self->make_response_promise();
                return *pending;
              },
              [pending](finish_atom) { pending->deliver(caf::unit); },
              [self](crash_atom) { self->quit(exit_reason::unhandled_exception); }};
    });
  };
  stubborn.insert("b");
  EXPECT_FALSE(start({"", restart_strategy::one_for_one, 5},
                     {{"slow", slow}, child("b", restart_type::permanent, std::chrono::milliseconds{1000})}));
  answers = false;
  tell("slow", crash_atom::value);
  take_events();
  stop();
  EXPECT_EQ(take_events(), (list{"stop b"}));
  tell("slow", finish_atom::value);
  EXPECT_FALSE(ended) << "b still runs";
  clock.advance(2s);
  scheduler().run();
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, can_be_stopped_while_it_restarts) {
  stubborn.insert("c");
  EXPECT_FALSE(
      start({"", restart_strategy::one_for_all, 5}, {child("a"), child("b"), child("c", restart_type::permanent, 1s)}));
  take_events();
  tell("b", crash_atom::value);
  stop();
  clock.advance(2s);
  scheduler().run();
  EXPECT_EQ(take_events(), (list{"stop c", "stop a"}));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, may_be_told_to_stop_before_it_was_told_to_start) {
  top = spawn_supervisor(system, {"test"}, {child("a")});
  stop();
  EXPECT_EQ(from_caf(start_again()).code, status_code::internal);
  EXPECT_EQ(take_events(), list{});
}

TEST_F(supervisor_test, starts_once) {
  EXPECT_FALSE(start({}, {child("a", restart_type::temporary)}));
  tell("a", finish_atom::value);
  take_events();
  EXPECT_EQ(from_caf(start_again()).code, status_code::already_exists);
  EXPECT_EQ(take_events(), list{});
}

TEST_F(supervisor_test, refuses_two_children_of_one_name) {
  const auto e = from_caf(start({}, {child("a"), child("b"), child("a")}));
  EXPECT_EQ(e.code, status_code::already_exists);
  EXPECT_EQ(e.cause, "supervisor 'test' has two children called 'a'");
  EXPECT_EQ(take_events(), list{});
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, a_start_function_that_throws_anything_is_a_failed_start) {
  const auto mad = [](caf::actor_system&) -> caf::actor { throw 42; };
  EXPECT_EQ(from_caf(start({}, {child("a"), {"mad", mad}})).code, status_code::internal);
  EXPECT_EQ(take_events(), (list{"start a", "stop a"}));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_test, supervises_supervisors) {
  supervisor_flags inner{"inner", restart_strategy::one_for_one, 0};
  const auto branch = [&](caf::actor_system& sys) { return spawn_supervisor(sys, inner, {child("b"), child("c")}); };
  EXPECT_FALSE(start({"", restart_strategy::rest_for_one}, {child("a"), {"branch", branch}, child("d")}));
  EXPECT_EQ(take_events(), (list{"start a", "start b", "start c", "start d"}));
  tell("c", crash_atom::value);
  EXPECT_EQ(take_events(), (list{"stop b", "stop d", "start b", "start c", "start d"}));
}

TEST(caf_errors, round_trip) {
  const auto e = make_error(status_code::not_found, "no such model", "look again");
  EXPECT_EQ(from_caf(to_caf(e)), e);
  EXPECT_EQ(from_caf(caf::make_error(exit_reason::user_shutdown)).code, status_code::unavailable);
}

TEST(supervisor, stress_children_crash_on_a_real_scheduler) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{4});
  caf::actor_system system{config};
  std::atomic<int> starts = 0;
  std::vector<child_spec> children;
  for (int i = 0; i != 50; ++i)
    children.push_back({std::to_string(i), [&](caf::actor_system& sys) {
                          return sys.spawn([&](caf::event_based_actor* self) -> caf::behavior {
                            return {[self, &starts](start_atom) {
                                      if (++starts <= 2000)
                                        self->send(self, crash_atom::value);
                                    },
                                    [self](crash_atom) { self->quit(exit_reason::unhandled_exception); }};
                          });
                        }});
  const auto top = spawn_supervisor(system, {"stress", restart_strategy::one_for_one, 100'000}, std::move(children));
  caf::scoped_actor self{system};
  self->request(top, 60s, start_atom::value).receive([] {}, [](const caf::error& e) { FAIL() << caf::to_string(e); });
  while (starts < 2050)
    std::this_thread::yield();
  self->send_exit(top, exit_reason::user_shutdown);
  self->wait_for(top);
  EXPECT_EQ(system.registry().running(), 1u) << "nobody but this test is left";
}

}  // namespace
}  // namespace troupe
