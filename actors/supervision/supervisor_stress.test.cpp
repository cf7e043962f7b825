#include "actors/supervision/supervisor.hpp"
#include "actors/supervision/supervisor_admin.hpp"

#include <gtest/gtest.h>
#include <caf/actor_registry.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using enum restart_strategy;

using stress_atom = caf::atom_constant<caf::atom("stress")>;

/// Everything that was told of any child, from the supervisor's thread.
class ledger {
 public:
  void spawned(std::uint64_t instance) {
    const std::lock_guard lock{mutex_};
    ++spawned_[instance];
  }

  void told(const supervisor_report& report) {
    const std::lock_guard lock{mutex_};
    if (report.context == report_context::progress)
      ++started_[report.instance];
    else if (report.context != report_context::shutdown && report.instance != 0)
      ++gone_[report.instance];
  }

  /// Every instance was told to be gone exactly once, unless it is one of `alive`, which were told to run.
  void expect_balance(const std::set<std::uint64_t>& alive) {
    const std::lock_guard lock{mutex_};
    for (const auto& [instance, times] : spawned_) {
      EXPECT_EQ(times, 1);
      EXPECT_EQ(count(gone_, instance), alive.contains(instance) ? 0 : 1) << "instance " << instance;
      EXPECT_LE(count(started_, instance), 1);
    }
    for (const auto instance : alive)
      EXPECT_EQ(count(started_, instance), 1);
    EXPECT_EQ(gone_.size() + alive.size(), spawned_.size()) << "nobody is told of who never was";
  }

  std::size_t size() {
    const std::lock_guard lock{mutex_};
    return spawned_.size();
  }

 private:
  static int count(const std::map<std::uint64_t, int>& of, std::uint64_t instance) {
    const auto i = of.find(instance);
    return i == of.end() ? 0 : i->second;
  }

  std::mutex mutex_;
  std::map<std::uint64_t, int> spawned_, started_, gone_;
};

std::uint64_t seed_of_run() {
  const auto* given = std::getenv("TROUPE_SEED");
  const auto seed = given ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "TROUPE_SEED=" << seed << '\n';
  return seed;
}

/// What a child does when told: ends in one of many ways.
void end_somehow(caf::event_based_actor* self, int how) {
  switch (how % 5) {
    case 0:
      self->quit();
      break;
    case 1:
      self->quit(caf::exit_reason::user_shutdown);
      break;
    case 2:
      self->quit(to_caf(make_error(status_code::internal, "stress")));
      break;
    case 3:
      throw std::runtime_error{"stress"};
    default:
      throw 42;
  }
}

struct supervisor_stress : testing::TestWithParam<restart_strategy> {
  supervisor_stress() {
    config.set("scheduler.max-threads", std::size_t{4});
    config.set("logger.console", caf::atom("none"));
  }

  /// Starts well, badly, late or not at all, as chance has it.
  start_outcome spawn_child(const start_context& context, std::uint32_t chance) {
    if (chance % 23 == 0)
      throw 42;
    if (chance % 29 == 0)
      return start_outcome::ignore();
    const auto handle = context.system.spawn([chance](caf::event_based_actor* self) -> caf::behavior {
      if (chance % 7 == 0)
        self->set_exit_handler([](const caf::exit_msg&) { /* deaf to anything but kill */ });
      return {[self, chance](start_atom) -> caf::result<start_answer> {
                if (chance % 11 == 0)
                  return to_caf(make_error(status_code::unavailable, "not today"));
                if (chance % 13 == 0)
                  return start_answer{true, {}};
                if (chance % 5 == 0)
                  self->send(self, stress_atom::value, static_cast<int>(chance / 5));
                if (chance % 17 == 0)
                  end_somehow(self, static_cast<int>(chance));
                return start_answer{};
              },
              [self](stress_atom, int how) { end_somehow(self, how); }};
    });
    book.spawned(handle.id());
    return handle;
  }

  child_spec make_child(std::mt19937& random, const std::string& id) {
    child_spec spec;
    spec.id = id;
    spec.restart = static_cast<restart_type>(random() % 3);
    spec.shutdown = random() % 4 == 0 ? shutdown_time::brutal() : shutdown_time{1ms};
    spec.start = [this, source = std::make_shared<std::mt19937>(random())](const start_context& context) {
      return spawn_child(context, static_cast<std::uint32_t>((*source)()));
    };
    return spec;
  }

  caf::actor spawn_top(std::mt19937& random) {
    supervisor_flags flags;
    flags.name = "stress";
    flags.strategy = GetParam();
    flags.intensity = 1'000'000;
    flags.on_report = [this](const supervisor_report& report) { book.told(report); };
    if (random() % 2)
      flags.backoff = {1ms, 4ms, 2, 0.5};
    if (GetParam() != dynamic)
      return spawn_supervisor(system, flags, {});
    return spawn_supervisor(system, flags, {make_child(random, "template")});
  }

  /// One thing that an operator or bad luck may do.
  void disturb(caf::scoped_actor& self, const caf::actor& top, std::mt19937& random) {
    const auto id = std::to_string(random() % 40);
    const auto someone = [&]() -> caf::actor {
      const auto children = ask(self, top, admin::which_children(), timeout);
      return !children || children->empty() ? nullptr : (*children)[random() % children->size()].instance;
    };
    switch (random() % 6) {
      case 0:
      case 1:
        check(GetParam() == dynamic ? ask(self, top, admin::start_dynamic_child(), timeout)
                                    : ask(self, top, admin::start_child(make_child(random, id)), timeout));
        break;
      case 2:
        if (auto victim = someone(); GetParam() == dynamic && victim)
          check(ask(self, top, admin::terminate_child(victim), timeout));
        else
          check(ask(self, top, admin::terminate_child(id), timeout));
        break;
      case 3:
        check(ask(self, top, admin::restart_child(id), timeout));
        break;
      case 4:
        check(ask(self, top, admin::delete_child(id), timeout));
        break;
      default:
        if (auto victim = someone())
          caf::anon_send(victim, stress_atom::value, static_cast<int>(random() % 5));
    }
  }

  template <class T>
  void check(const admin_result<T>& result) {
    if (!result) {
      EXPECT_NE(result.error().what, admin_errc::no_answer) << "hangs";
      EXPECT_NE(result.error().what, admin_errc::no_supervisor) << to_string(result.error());
    }
  }

  const caf::duration timeout{60s};
  caf::actor_system_config config;
  caf::actor_system system{config};
  ledger book;
};

TEST_P(supervisor_stress, SV_15_SV_31_SV_80_every_child_is_alive_or_told_gone_once) {
  std::mt19937 random{static_cast<std::uint32_t>(seed_of_run())};
  const auto top = spawn_top(random);
  caf::scoped_actor self{system};
  self->request(top, timeout, start_atom::value)
      .receive([] {}, [](const caf::error& e) { FAIL() << caf::to_string(e); });
  for (int i = 0; i != 1500; ++i)
    disturb(self, top, random);
  self->send_exit(top, caf::exit_reason::user_shutdown);
  self->wait_for(top);
  book.expect_balance({});
  EXPECT_GT(book.size(), 100u);
  // An actor that was told gone may still be on its way out of the system's books.
  const auto give_up = std::chrono::steady_clock::now() + 60s;
  while (system.registry().running() > 1 && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  EXPECT_EQ(system.registry().running(), 1u) << "nobody but this test is left";
}

TEST_P(supervisor_stress, SV_42_SV_54_callers_are_answered_when_the_supervisor_ends_under_them) {
  const auto seed = seed_of_run();
  for (std::uint32_t round = 0; round != 20; ++round) {
    std::mt19937 random{static_cast<std::uint32_t>(seed) + round};
    const auto top = spawn_top(random);
    caf::scoped_actor self{system};
    self->request(top, timeout, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
    std::atomic<int> answers = 0;
    std::atomic<int> asked = 0;
    for (int i = 0; i != 50; ++i)
      system.spawn([&, spec = make_child(random, std::to_string(i))](caf::event_based_actor* asker) {
        const auto count = [&](const auto& result) {
          answers += result || result.error().what != admin_errc::no_answer ? 1 : 0;
        };
        asked += 2;
        ask(*asker, top, GetParam() == dynamic ? admin::start_dynamic_child() : admin::start_child(spec), count);
        ask(*asker, top, admin::terminate_child(spec.id), count);
      });
    self->send_exit(top, round % 2 ? caf::exit_reason::kill : caf::exit_reason::user_shutdown);
    self->wait_for(top);
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (answers != 100 && std::chrono::steady_clock::now() < give_up)
      std::this_thread::yield();
    ASSERT_EQ(answers, 100) << "of " << asked;
  }
}

std::string name_of(const testing::TestParamInfo<restart_strategy>& parameter) {
  constexpr const char* names[] = {"one_for_one", "one_for_all", "rest_for_one", "dynamic"};
  return names[static_cast<std::size_t>(parameter.param)];
}

INSTANTIATE_TEST_SUITE_P(strategies, supervisor_stress,
                         testing::Values(one_for_one, one_for_all, rest_for_one, dynamic), name_of);

/// CPU time is what the work costs whoever else is running.
double cpu_ms_of(std::size_t children, bool dynamic_ones) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{1});
  caf::actor_system system{config};
  const auto begin = std::clock();
  child_spec spec;
  spec.start = [](caf::actor_system& sys) {
    return sys.spawn([](caf::event_based_actor*) -> caf::behavior { return {[](start_atom) {}}; });
  };
  std::vector<child_spec> specs;
  for (std::size_t i = 0; i != (dynamic_ones ? 1 : children); ++i) {
    spec.id = std::to_string(i);
    specs.push_back(spec);
  }
  supervisor_flags flags;
  flags.strategy = dynamic_ones ? dynamic : one_for_one;
  const auto top = spawn_supervisor(system, flags, std::move(specs));
  caf::scoped_actor self{system};
  self->request(top, 100s, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
  for (std::size_t i = 0; dynamic_ones && i != children; ++i)
    EXPECT_TRUE(ask(self, top, admin::start_dynamic_child(), caf::duration{100s}));
  EXPECT_EQ(ask(self, top, admin::count_children(), caf::duration{100s})->active, children);
  self->send_exit(top, caf::exit_reason::user_shutdown);
  self->wait_for(top);
  return 1000.0 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

// The rule allows 50 times the time for 10 times the children; a search through all at every event takes 100 times.
TEST(supervisor_cost, SV_63_dynamic_children_cost_the_same_however_many_there_are) {
  const auto few = cpu_ms_of(1'000, true);
  const auto many = cpu_ms_of(10'000, true);
  std::cout << "1 000: " << few << " ms, 10 000: " << many << " ms\n";
  EXPECT_LT(many, 50 * few);
}

TEST(supervisor_cost, SV_63_static_children_cost_the_same_however_many_there_are) {
  const auto few = cpu_ms_of(1'000, false);
  const auto many = cpu_ms_of(100'000, false);
  std::cout << "1 000: " << few << " ms, 100 000: " << many << " ms\n";
  EXPECT_LT(many, 500 * few);
}

}  // namespace
}  // namespace troupe
