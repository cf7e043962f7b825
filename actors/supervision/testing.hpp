#pragma once

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/supervision/supervisor.hpp"
#include "actors/supervision/supervisor_admin.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <map>
#include <set>

namespace troupe::testing_supervision {

using namespace std::chrono_literals;
using caf::exit_reason;

using crash_atom = caf::atom_constant<caf::atom("crash")>;
using finish_atom = caf::atom_constant<caf::atom("finish")>;
using shut_atom = caf::atom_constant<caf::atom("shut")>;
using throw_atom = caf::atom_constant<caf::atom("throw")>;
using answer_atom = caf::atom_constant<caf::atom("answer")>;

struct test_config : caf::actor_system_config {
  test_config() { set("scheduler.policy", caf::atom("testing")); }
};

/// Children that write down what happens to them, on a scheduler and a clock that the test moves.
struct world : testing::Test {
  child_spec child(const std::string& id, restart_type restart = restart_type::permanent, shutdown_time shutdown = 5s) {
    child_spec spec;
    spec.id = id;
    spec.start = [this, id](caf::actor_system& sys) { return spawn_child(sys, id); };
    spec.restart = restart;
    spec.shutdown = shutdown;
    return spec;
  }

  child_spec significant(const std::string& id, restart_type restart) {
    auto spec = child(id, restart);
    spec.significant = true;
    return spec;
  }

  /// A supervisor as a child.
  child_spec branch(const std::string& id, supervisor_flags flags, std::vector<child_spec> children) {
    child_spec spec;
    spec.id = id;
    spec.type = child_type::supervisor;
    flags.name = id;
    flags.on_report = sink();
    flags.clock = &clock;
    spec.start = [this, id, flags, children](caf::actor_system& sys) {
      return running[id] = spawn_supervisor(sys, flags, children);
    };
    return spec;
  }

  /// One whose children are called after their arguments.
  child_spec dynamic_template(restart_type restart = restart_type::permanent, shutdown_time shutdown = 5s) {
    child_spec spec;
    spec.id = "template";
    spec.start = [this](const start_context& context) -> start_outcome {
      const auto* id = std::any_cast<std::string>(&context.arguments);
      if (!id)
        return make_error(status_code::invalid_argument, "no name");
      return *id == "ignore" ? start_outcome::ignore() : spawn_child(context.system, *id);
    };
    spec.restart = restart;
    spec.shutdown = shutdown;
    return spec;
  }

  static supervisor_flags with(restart_strategy strategy, std::int64_t intensity = 1,
                               std::chrono::milliseconds period = 5s) {
    supervisor_flags flags;
    flags.strategy = strategy;
    flags.intensity = intensity;
    flags.period = period;
    return flags;
  }

  static supervisor_flags with(auto_shutdown when_done, restart_strategy strategy = restart_strategy::one_for_one,
                               std::int64_t intensity = 1) {
    auto flags = with(strategy, intensity);
    flags.when_done = when_done;
    return flags;
  }

  caf::actor spawn_child(caf::actor_system& sys, const std::string& id) {
    if (throws.count(id))
      throw std::runtime_error{"cannot spawn " + id};
    const auto handle = sys.spawn([this, id](caf::event_based_actor* self) { return behave(self, id); });
    running[id] = handle;
    instances.push_back(handle);
    return handle;
  }

  caf::behavior behave(caf::event_based_actor* self, const std::string& id) {
    self->set_exit_handler([this, id, self](const caf::exit_msg& exit) {
      events.push_back("stop " + id);
      if (!stubborn.count(id))
        self->quit(dies_of.count(id) ? dies_of[id] : exit.reason);
    });
    const auto pending = std::make_shared<caf::response_promise>();
    return {
        [this, id, self, pending](start_atom) -> caf::result<start_answer> {
          if (mute.count(id)) {
            events.push_back("ask " + id);
            return *pending = self->make_response_promise();
          }
          return answer_of(id);
        },
        [this, id, pending](answer_atom) {
          events.push_back("start " + id);
          pending->deliver(start_answer{});
        },
        [self](crash_atom) { self->quit(to_caf(make_error(status_code::internal, "crashed"))); },
        [self](finish_atom) { self->quit(); },
        [self](shut_atom) { self->quit(shutdown_because(make_error(status_code::ok, "done"))); },
        [](throw_atom) { throw 42; },
    };
  }

  caf::result<start_answer> answer_of(const std::string& id) {
    if (refuses.count(id) && refuses[id]-- > 0) {
      events.push_back("refuse " + id);
      return to_caf(make_error(status_code::data_loss, id + " is broken", "mend it"));
    }
    if (ignores.count(id)) {
      events.push_back("ignore " + id);
      return start_answer{true, {}};
    }
    events.push_back("start " + id);
    return start_answer{false, infos.count(id) ? std::any{infos[id]} : std::any{}};
  }

  report_sink sink() {
    return [this](const supervisor_report& report) { reports.push_back(report); };
  }

  /// Starts a supervisor and answers what it said to that.
  caf::error start(supervisor_flags flags, std::vector<child_spec> children) {
    flags.name = "test";
    flags.on_report = sink();
    flags.clock = &clock;
    top = spawn_supervisor(system, std::move(flags), std::move(children));
    return start_top();
  }

  caf::error start_top() {
    caf::error result;
    supervisors.push_back(top);
    supervisors.push_back(watcher);
    watcher = system.spawn([&](caf::event_based_actor* self) {
      self->set_down_handler([&](const caf::down_msg& down) {
        ended = true;
        reason = down.reason;
      });
      self->monitor(top);
      self->request(top, caf::infinite, start_atom::value).then([] {}, [&](const caf::error& e) { result = e; });
      // Stays alive for the down message.
      self->become([](crash_atom) {});
    });
    run();
    return result;
  }

  /// Asks the supervisor; empty until it answers.
  template <class T>
  std::shared_ptr<std::optional<admin_result<T>>> ask_later(admin::call<T> call) {
    auto result = std::make_shared<std::optional<admin_result<T>>>();
    system.spawn([&, result](caf::event_based_actor* self) {
      ask(*self, top, call, [result](admin_result<T> answer) { *result = std::move(answer); });
    });
    run();
    return result;
  }

  /// Asks the supervisor, which answers without time passing.
  template <class T>
  admin_result<T> ask_now(admin::call<T> call) {
    const auto result = ask_later(std::move(call));
    EXPECT_TRUE(*result) << "no answer";
    return *result ? **result : admin_result<T>{admin_error{}};
  }

  template <class T>
  admin_errc refused(admin::call<T> call) {
    const auto result = ask_now(std::move(call));
    EXPECT_FALSE(result);
    return result ? admin_errc::no_answer : result.error().what;
  }

  admin_result<started_child> start_dynamic(const std::string& id) {
    return ask_now(admin::start_dynamic_child(std::any{id}));
  }

  child_status status(const std::string& id) {
    const auto children = ask_now(admin::which_children());
    for (const auto& info : *children)
      if (info.id == id)
        return info.status;
    ADD_FAILURE() << "no child " << id;
    return child_status::stopped;
  }

  child_counts counts() { return *ask_now(admin::count_children()); }

  void crash(const std::string& id) { tell<crash_atom>(id); }

  template <class What>
  void tell(const std::string& id) {
    caf::anon_send(running[id], What::value);
    run();
  }

  void stop(exit_reason why = exit_reason::user_shutdown) {
    caf::anon_send_exit(top, why);
    run();
  }

  void pass(std::chrono::milliseconds time) {
    clock.advance(time);
    run();
  }

  void run() { scheduler().run(); }

  std::vector<std::string> take_events() { return std::exchange(events, {}); }

  /// The contexts of the reports so far, with the child's id: "start_error b".
  std::vector<std::string> take_reports(bool quiet_ones = false) {
    std::vector<std::string> result;
    for (const auto& r : std::exchange(reports, {}))
      if (quiet_ones || (r.context != report_context::progress && r.context != report_context::ended))
        result.push_back(std::string{to_string(r.context)} + " " + r.child);
    return result;
  }

  static bool is_alive(const caf::actor& handle) {
    return !caf::actor_cast<caf::abstract_actor*>(handle)->getf(caf::abstract_actor::is_terminated_flag);
  }

  std::size_t alive() const { return std::count_if(instances.begin(), instances.end(), is_alive); }

  caf::scheduler::test_coordinator& scheduler() {
    return dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  }

  ~world() override {
    stubborn.clear();
    mute.clear();
    supervisors.insert(supervisors.end(), {top, watcher});
    for (const auto& handle : supervisors)
      caf::anon_send_exit(handle, exit_reason::kill);
    run();
    for (const auto& handle : instances)
      caf::anon_send_exit(handle, exit_reason::kill);
    for (auto& [id, handle] : running)
      caf::anon_send_exit(handle, exit_reason::kill);
    run();
  }

  virtual_clock clock;
  test_config config;
  caf::actor_system system{config};
  std::vector<std::string> events;
  std::vector<supervisor_report> reports;
  std::map<std::string, caf::actor> running;
  std::vector<caf::actor> instances;
  std::set<std::string> throws, stubborn, ignores, mute;
  std::map<std::string, int> refuses;
  std::map<std::string, caf::error> dies_of;
  std::map<std::string, std::string> infos;
  caf::actor top, watcher;
  std::vector<caf::actor> supervisors;  // and their watchers
  bool ended = false;
  caf::error reason;
};

}  // namespace troupe::testing_supervision
