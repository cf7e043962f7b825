#include "actors/supervision/testing.hpp"

#include <gmock/gmock.h>

#include <latch>

namespace troupe {
namespace {

using namespace testing_supervision;
using enum restart_strategy;
using enum restart_type;
using enum admin_errc;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

using list = std::vector<std::string>;

struct supervisor_rules : world {};

// Specs

TEST_F(supervisor_rules, SV_1_the_full_spec_is_readable_by_id) {
  auto spec = child("a", transient, 2s);
  spec.significant = true;
  spec.type = child_type::supervisor;
  EXPECT_FALSE(start(with(auto_shutdown::any_significant), {child("x"), spec}));
  const auto read = ask_now(admin::get_childspec("a"));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, "a");
  EXPECT_EQ(read->restart, transient);
  EXPECT_EQ(read->shutdown, shutdown_time{2s});
  EXPECT_EQ(read->type, child_type::supervisor);
  EXPECT_TRUE(read->significant);
  EXPECT_TRUE(read->start);
  EXPECT_EQ(refused(admin::get_childspec("none")), not_found);
}

TEST_F(supervisor_rules, SV_2_a_bad_child_is_refused_before_anything_starts) {
  auto bad = child("b", permanent, -1ms);
  const auto e = from_caf(start({}, {child("a"), bad}));
  EXPECT_EQ(e.code, status_code::invalid_argument);
  EXPECT_EQ(e.cause, "child 'b': shutdown is -1 ms");
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_3_bad_flags_are_refused_before_anything_starts) {
  const auto e = from_caf(start(with(one_for_one, -3), {child("a")}));
  EXPECT_EQ(e.code, status_code::invalid_argument);
  EXPECT_EQ(e.cause, "supervisor 'test': intensity is -3");
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_4_an_illegal_significant_child_is_refused_at_start_child) {
  EXPECT_FALSE(start({}, {child("a")}));
  EXPECT_EQ(refused(admin::start_child(significant("b", transient))), invalid);
  EXPECT_EQ(counts().specs, 1u);
}

// Start and stop

TEST_F(supervisor_rules, SV_10_children_start_one_after_the_other_and_stop_in_reverse) {
  mute = {"b"};
  EXPECT_FALSE(start({}, {child("a"), child("b"), child("c")}));
  EXPECT_EQ(take_events(), (list{"start a", "ask b"})) << "c waits for b";
  tell<answer_atom>("b");
  EXPECT_EQ(take_events(), (list{"start b", "start c"}));
  stubborn = {"b"};
  stop();
  EXPECT_EQ(take_events(), (list{"stop c", "stop b"})) << "a waits for b's end";
  pass(6s);
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_11_a_failed_initial_start_stops_the_others_and_names_the_child) {
  refuses["c"] = 1;
  const auto inner = branch("inner", {}, {child("b"), child("c"), child("d")});
  const auto e = start({}, {child("a"), inner, child("e")});
  EXPECT_EQ(from_caf(e), make_error(status_code::data_loss, "c is broken", "mend it"));
  EXPECT_EQ(failed_child(e), "inner/c");
  EXPECT_EQ(take_events(), (list{"start a", "start b", "refuse c", "stop b", "stop a"}));
  EXPECT_TRUE(ended);
  EXPECT_EQ(failed_child(reason), "inner/c");
  EXPECT_EQ(take_reports(), (list{"start_error c", "start_error inner"}));
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_11_a_child_that_was_asked_in_vain_has_failed_to_start) {
  auto dead = child("dead");
  dead.start = [this](caf::actor_system& sys) {
    const auto handle = spawn_child(sys, "dead");
    caf::anon_send_exit(handle, exit_reason::kill);
    return handle;
  };
  EXPECT_TRUE(start({}, {child("a"), dead}));
  EXPECT_TRUE(ended);
  EXPECT_EQ(take_reports(), (list{"start_error dead"}));
}

TEST_F(supervisor_rules, SV_11_start_functions_that_make_no_use_of_themselves_fail) {
  auto null = child("null");
  null.start = [](caf::actor_system&) { return caf::actor{}; };
  EXPECT_EQ(from_caf(start({}, {null})).cause, "the start function made no actor");
  auto twice = child("twice");
  twice.start = [this](caf::actor_system&) { return running["a"]; };
  EXPECT_EQ(from_caf(start({}, {child("a"), twice})).cause, "the start function made an actor that is a child already");
  auto thrower = child("thrower");
  thrower.start = [](caf::actor_system&) -> caf::actor { throw 42; };
  EXPECT_EQ(from_caf(start({}, {thrower})).code, status_code::internal);
  auto error = child("error");
  error.start = [](caf::actor_system&) -> start_outcome { return make_error(status_code::not_found, "gone"); };
  EXPECT_EQ(from_caf(start({}, {error})).code, status_code::not_found);
  EXPECT_EQ(take_reports(),
            (list{"start_error null", "start_error twice", "start_error thrower", "start_error error"}));
}

TEST_F(supervisor_rules, SV_12_an_ignored_child_is_kept_but_for_temporary_ones) {
  ignores = {"p", "t", "x"};
  auto by_function = child("f");
  by_function.start = [](caf::actor_system&) { return start_outcome::ignore(); };
  EXPECT_FALSE(start({}, {child("p"), child("t", transient), child("x", temporary), by_function, child("last")}));
  EXPECT_EQ(status("p"), child_status::stopped);
  EXPECT_EQ(status("t"), child_status::stopped);
  EXPECT_EQ(status("f"), child_status::stopped);
  EXPECT_EQ(status("last"), child_status::running);
  EXPECT_EQ(counts(), (child_counts{4, 1, 0, 4}));
  EXPECT_EQ(alive(), 1u) << "those that said so were ended";
  EXPECT_THAT(take_reports(), IsEmpty());
  const auto again = ask_now(admin::restart_child("p"));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->instance);
  ignores.clear();
  EXPECT_TRUE(ask_now(admin::restart_child("p"))->instance);
}

TEST_F(supervisor_rules, SV_12_start_child_may_be_ignored) {
  EXPECT_FALSE(start({}, {}));
  ignores = {"a", "b"};
  const auto kept = ask_now(admin::start_child(child("a")));
  ASSERT_TRUE(kept);
  EXPECT_FALSE(kept->instance);
  EXPECT_TRUE(ask_now(admin::start_child(child("b", temporary))));
  EXPECT_EQ(counts(), (child_counts{1, 0, 0, 1}));
}

TEST_F(supervisor_rules, SV_12_a_dynamic_supervisor_keeps_no_ignored_child) {
  EXPECT_FALSE(start(with(dynamic), {dynamic_template()}));
  const auto answer = start_dynamic("ignore");
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->instance);
  EXPECT_EQ(counts(), (child_counts{1, 0, 0, 0}));
}

TEST_F(supervisor_rules, SV_12_a_restart_may_be_ignored) {
  EXPECT_FALSE(start({}, {child("a")}));
  ignores = {"a"};
  crash("a");
  EXPECT_EQ(status("a"), child_status::stopped);
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_rules, SV_13_extra_info_reaches_the_caller_unchanged) {
  infos = {{"a", "port 1"}, {"b", "port 2"}};
  EXPECT_FALSE(start({}, {child("a")}));
  const auto b = ask_now(admin::start_child(child("b")));
  EXPECT_EQ(std::any_cast<std::string>(b->info), "port 2");
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_EQ(std::any_cast<std::string>(ask_now(admin::restart_child("a"))->info), "port 1");
  auto by_function = child("f");
  by_function.start = [this](caf::actor_system& sys) { return start_outcome{spawn_child(sys, "f"), 7}; };
  EXPECT_EQ(std::any_cast<int>(ask_now(admin::start_child(by_function))->info), 7);
  EXPECT_FALSE(ask_now(admin::start_child(child("plain")))->info.has_value());
}

TEST_F(supervisor_rules, SV_14_a_child_that_ignores_its_stop_is_killed_after_its_time) {
  stubborn = {"a"};
  EXPECT_FALSE(start({}, {child("a", permanent, 2s)}));
  stop();
  pass(1999ms);
  EXPECT_FALSE(ended);
  EXPECT_EQ(alive(), 1u);
  pass(1ms);
  EXPECT_TRUE(ended);
  EXPECT_EQ(alive(), 0u);
  ASSERT_EQ(reports.back().context, report_context::shutdown_error);
  EXPECT_THAT(reports.back().reason.cause, testing::HasSubstr("kill"));
}

TEST_F(supervisor_rules, SV_14_infinity_waits_for_ever) {
  stubborn = {"a"};
  EXPECT_FALSE(start({}, {child("a", permanent, shutdown_time::infinite())}));
  stop();
  pass(std::chrono::hours{24 * 365});
  EXPECT_FALSE(ended);
  tell<finish_atom>("a");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_14_brutal_kills_at_once) {
  EXPECT_FALSE(start({}, {child("a", permanent, shutdown_time::brutal())}));
  caf::error seen;
  const auto looker = system.spawn([&](caf::event_based_actor* self) {
    self->set_down_handler([&](const caf::down_msg& down) { seen = down.reason; });
    self->monitor(running["a"]);
    self->become([](crash_atom) {});
  });
  run();
  take_events();
  stop();
  EXPECT_THAT(take_events(), IsEmpty()) << "it wasn't asked";
  EXPECT_EQ(seen, exit_reason::kill);
  EXPECT_TRUE(ended);
  EXPECT_THAT(take_reports(), IsEmpty()) << "it ended as it should";
  caf::anon_send_exit(looker, exit_reason::kill);
}

TEST_F(supervisor_rules, SV_14_a_shutdown_time_of_zero_asks_and_kills) {
  stubborn = {"a"};
  EXPECT_FALSE(start({}, {child("a", permanent, 0ms)}));
  take_events();
  stop();
  pass(0ms);
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_15_children_that_end_by_themselves_do_not_disturb_a_stop) {
  stubborn = {"d"};
  EXPECT_FALSE(start({}, {child("a"), child("b"), child("c"), child("d", permanent, 1s)}));
  stop();
  crash("a");
  tell<finish_atom>("b");
  dies_of["c"] = to_caf(make_error(status_code::internal, "while stopping"));
  EXPECT_FALSE(ended);
  pass(1s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(reason, exit_reason::user_shutdown);
  EXPECT_EQ(alive(), 0u);
  EXPECT_EQ(take_reports(), (list{"shutdown_error d", "shutdown_error c", "shutdown_error a"}));
}

TEST_F(supervisor_rules, SV_15_normal_is_no_good_end_for_a_permanent_child_that_is_stopped) {
  dies_of["p"] = dies_of["t"] = caf::error{};
  EXPECT_FALSE(start({}, {child("p"), child("t", transient)}));
  stop();
  EXPECT_EQ(take_reports(), (list{"shutdown_error p"}));
}

TEST_F(supervisor_rules, SV_16_links_to_the_supervisor_change_nothing) {
  const auto linked = [this](const std::string& id, bool unlinks) {
    auto spec = child(id, transient);
    spec.start = [this, id, unlinks](caf::actor_system& sys) {
      return running[id] = sys.spawn([this, unlinks](caf::event_based_actor* self) -> caf::behavior {
        return {[this, self, unlinks](start_atom) {
                  self->link_to(top);
                  if (unlinks)
                    self->unlink_from(top);
                },
                [self](crash_atom) { self->quit(exit_reason::unhandled_exception); }};
      });
    };
    return spec;
  };
  EXPECT_FALSE(start(with(one_for_one, 5), {linked("a", false), linked("b", true)}));
  crash("a");
  crash("b");
  EXPECT_FALSE(ended);
  EXPECT_EQ(counts().active, 2u);
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_FALSE(ended);
  EXPECT_EQ(counts().active, 0u);
}

// An actor can't keep its supervisor from monitoring it; what comes closest is one that is deaf even to kill.
TEST(supervisor_rules_real, SV_16_a_child_that_cannot_be_killed_does_not_hang_its_supervisor) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{2});
  caf::actor_system system{config};
  std::latch release{1};
  child_spec spec;
  spec.id = "deaf";
  spec.shutdown = 10ms;
  spec.start = [&](caf::actor_system& sys) {
    return sys.spawn<caf::detached>([&](caf::event_based_actor* self) -> caf::behavior {
      return {[self](start_atom) { self->send(self, crash_atom::value); }, [&](crash_atom) { release.wait(); }};
    });
  };
  std::vector<std::string> reports;
  supervisor_flags flags;
  flags.name = "real";
  flags.kill_grace = 10ms;
  flags.on_report = [&](const supervisor_report& r) { reports.push_back(std::string{to_string(r.context)}); };
  const auto top = spawn_supervisor(system, flags, {spec});
  {
    caf::scoped_actor self{system};
    self->request(top, 60s, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
    const auto stopped = ask(self, top, admin::terminate_child("deaf"), caf::duration{60s});
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().what, not_ended);
    self->send_exit(top, exit_reason::user_shutdown);
    self->wait_for(top);
  }
  release.count_down();
  EXPECT_EQ(reports, (list{"progress", "shutdown_error"}));
}

TEST(supervisor_rules_real, SV_31_nothing_is_started_beside_a_child_that_cannot_be_killed) {
  caf::actor_system_config config;
  config.set("scheduler.max-threads", std::size_t{2});
  caf::actor_system system{config};
  std::latch release{1};
  std::atomic<int> starts = 0;
  child_spec deaf;
  deaf.id = "deaf";
  deaf.shutdown = shutdown_time::brutal();
  deaf.start = [&](caf::actor_system& sys) {
    ++starts;
    return sys.spawn<caf::detached>([&](caf::event_based_actor* self) -> caf::behavior {
      return {[self](start_atom) { self->send(self, crash_atom::value); }, [&](crash_atom) { release.wait(); }};
    });
  };
  child_spec weak;
  weak.id = "weak";
  weak.start = [&](caf::actor_system& sys) {
    return sys.spawn([](caf::event_based_actor* self) -> caf::behavior {
      return {[](start_atom) {}, [self](crash_atom) { self->quit(exit_reason::unhandled_exception); }};
    });
  };
  supervisor_flags flags;
  flags.strategy = one_for_all;
  flags.kill_grace = 10ms;
  const auto top = spawn_supervisor(system, flags, {deaf, weak});
  {
    caf::scoped_actor self{system};
    self->request(top, 60s, start_atom::value).receive([] {}, [](const caf::error&) { FAIL(); });
    const auto children = ask(self, top, admin::which_children(), caf::duration{60s});
    self->monitor(top);
    caf::anon_send(children->back().instance, crash_atom::value);
    self->receive([&](const caf::down_msg& down) { EXPECT_EQ(failed_child(down.reason), "deaf"); });
  }
  EXPECT_EQ(starts, 1);
  release.count_down();
}

// Restart types

TEST_F(supervisor_rules, SV_20_permanent_children_come_back_whatever_they_ended_of) {
  EXPECT_FALSE(start(with(one_for_one, 10), {child("a")}));
  tell<finish_atom>("a");
  tell<shut_atom>("a");
  crash("a");
  EXPECT_EQ(take_events(), (list{"start a", "start a", "start a", "start a"}));
  caf::anon_send_exit(running["a"], exit_reason::kill);
  run();
  EXPECT_EQ(take_events(), (list{"start a"}));
  EXPECT_EQ(alive(), 1u);
}

TEST_F(supervisor_rules, SV_20_transient_children_come_back_when_they_failed) {
  EXPECT_FALSE(start(with(one_for_one, 10), {child("n", transient), child("s", transient), child("w", transient),
                                             child("c", transient), child("e", transient)}));
  take_events();
  tell<finish_atom>("n");
  caf::anon_send_exit(running["s"], exit_reason::user_shutdown);
  tell<shut_atom>("w");
  crash("c");
  tell<throw_atom>("e");
  EXPECT_EQ(take_events(), (list{"stop s", "start c", "start e"}));
  for (const auto* id : {"n", "s", "w"})
    EXPECT_EQ(status(id), child_status::stopped) << id;
  EXPECT_EQ(counts(), (child_counts{5, 2, 0, 5}));
}

TEST_F(supervisor_rules, SV_20_temporary_children_are_forgotten) {
  EXPECT_FALSE(start({}, {child("n", temporary), child("c", temporary), child("e", temporary)}));
  take_events();
  tell<finish_atom>("n");
  crash("c");
  tell<throw_atom>("e");
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_EQ(counts(), (child_counts{0, 0, 0, 0}));
  EXPECT_EQ(refused(admin::restart_child("c")), not_found);
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_rules, SV_21_temporary_bystanders_are_not_restarted_and_not_kept) {
  for (const auto strategy : {one_for_all, rest_for_one}) {
    ended = false;
    EXPECT_FALSE(start(with(strategy, 1), {child("a"), child("x", temporary), child("b")}));
    take_events();
    take_reports();
    crash("a");
    EXPECT_EQ(take_events(), (list{"stop b", "stop x", "start a", "start b"}));
    EXPECT_EQ(counts(), (child_counts{2, 2, 0, 2}));
    EXPECT_EQ(take_reports(), (list{"child_terminated a"}));
    EXPECT_FALSE(ended);
    stop();
  }
}

TEST_F(supervisor_rules, SV_22_nothing_is_kept_of_what_temporary_children_started_with) {
  const auto token = std::make_shared<int>(1);
  const auto spec = [&](const std::string& id, restart_type type) {
    auto result = child(id, type);
    result.start = [this, token, id](caf::actor_system& sys) { return spawn_child(sys, id); };
    return result;
  };
  EXPECT_FALSE(start({}, {spec("t", temporary)}));
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_TRUE(ask_now(admin::start_child(spec("u", temporary))));
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(ask_now(admin::get_childspec("u"))->start);
  EXPECT_TRUE(ask_now(admin::start_child(spec("p", permanent))));
  EXPECT_GT(token.use_count(), 1);
}

TEST_F(supervisor_rules, SV_22_nor_of_a_dynamic_childs_arguments) {
  const auto token = std::make_shared<int>(1);
  auto tmpl = child("t", temporary);
  EXPECT_FALSE(start(with(dynamic), {tmpl}));
  EXPECT_TRUE(ask_now(admin::start_dynamic_child(token)));
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_EQ(counts().active, 1u);
}

// Strategies

TEST_F(supervisor_rules, SV_30_one_for_one_restarts_the_failed_child_alone) {
  EXPECT_FALSE(start({}, {child("a"), child("b"), child("c")}));
  const auto before = running;
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"start b"}));
  EXPECT_EQ(running["a"], before.at("a"));
  EXPECT_EQ(running["c"], before.at("c"));
}

TEST_F(supervisor_rules, SV_30_one_for_all_stops_all_then_restarts_all_in_order) {
  EXPECT_FALSE(start(with(one_for_all), {child("a"), child("b"), child("c")}));
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop c", "stop a", "start a", "start b", "start c"}));
}

TEST_F(supervisor_rules, SV_30_rest_for_one_leaves_those_before_alone) {
  EXPECT_FALSE(start(with(rest_for_one), {child("a"), child("b"), child("c"), child("d")}));
  const auto before = running;
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop d", "stop c", "start b", "start c", "start d"}));
  EXPECT_EQ(running["a"], before.at("a"));
}

TEST_F(supervisor_rules, SV_30_children_that_were_added_have_their_place_at_the_end) {
  EXPECT_FALSE(start(with(rest_for_one), {child("a")}));
  EXPECT_TRUE(ask_now(admin::start_child(child("b"))));
  EXPECT_TRUE(ask_now(admin::start_child(child("c"))));
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop c", "start b", "start c"}));
}

TEST_F(supervisor_rules, SV_31_no_old_instance_lives_beside_a_new_one) {
  for (const auto strategy : {one_for_one, one_for_all, rest_for_one}) {
    ended = false;
    EXPECT_FALSE(start(with(strategy, 100), {child("a"), child("b"), child("c")}));
    for (const auto* id : {"a", "b", "c", "b"}) {
      crash(id);
      EXPECT_EQ(alive(), 3u);
    }
    stop();
    EXPECT_EQ(alive(), 0u);
  }
}

TEST_F(supervisor_rules, SV_31_one_that_refused_to_start_is_dead_before_the_next_try) {
  EXPECT_FALSE(start(with(one_for_one, 10), {child("a")}));
  std::size_t most = 0;
  auto spec = child("b");
  spec.start = [&](caf::actor_system& sys) {
    const auto handle = spawn_child(sys, "b");
    most = std::max(most, alive());
    return handle;
  };
  EXPECT_TRUE(ask_now(admin::start_child(spec)));
  refuses["b"] = 5;
  crash("b");
  EXPECT_EQ(status("b"), child_status::running);
  EXPECT_EQ(most, 2u);
}

TEST_F(supervisor_rules, SV_32_one_for_all_begins_from_the_beginning_when_a_later_child_fails) {
  EXPECT_FALSE(start(with(one_for_all, 5), {child("a"), child("b"), child("c")}));
  take_events();
  refuses["b"] = 1;
  crash("a");
  EXPECT_EQ(take_events(),
            (list{"stop c", "stop b", "start a", "refuse b", "stop a", "start a", "start b", "start c"}));
  EXPECT_EQ(alive(), 3u);
}

TEST_F(supervisor_rules, SV_32_rest_for_one_begins_from_the_child_that_failed) {
  EXPECT_FALSE(start(with(rest_for_one, 5), {child("a"), child("b"), child("c"), child("d")}));
  take_events();
  refuses["c"] = 2;
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop d", "stop c", "start b", "refuse c", "refuse c", "start c", "start d"}));
  EXPECT_EQ(alive(), 4u);
}

TEST_F(supervisor_rules, SV_32_a_child_that_ends_during_the_restart_of_its_group) {
  mute = {"c"};
  EXPECT_FALSE(start(with(one_for_all, 5), {child("a"), child("b"), child("c")}));
  tell<answer_atom>("c");
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop c", "stop a", "start a", "start b", "ask c"}));
  crash("a");
  EXPECT_EQ(take_events(), (list{"stop c", "stop b", "start a", "start b", "ask c"}));
  tell<answer_atom>("c");
  EXPECT_EQ(alive(), 3u);
}

TEST_F(supervisor_rules, SV_32_a_child_of_rest_for_one_that_ends_during_the_restart) {
  mute = {"d"};
  EXPECT_FALSE(start(with(rest_for_one, 5), {child("a"), child("b"), child("c"), child("d")}));
  tell<answer_atom>("d");
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop d", "stop c", "start b", "start c", "ask d"}));
  crash("c");
  EXPECT_EQ(take_events(), (list{"stop d", "start c", "ask d"})) << "b stays";
  tell<answer_atom>("d");
  EXPECT_EQ(alive(), 4u);
}

// Intensity

TEST_F(supervisor_rules, SV_40_one_restart_too_many_ends_the_supervisor_with_a_shutdown) {
  EXPECT_FALSE(start(with(one_for_one, 2), {child("a"), child("b")}));
  crash("b");
  crash("b");
  EXPECT_FALSE(ended);
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_TRUE(ended);
  EXPECT_TRUE(is_shutdown(reason));
  EXPECT_EQ(from_caf(reason).cause, "crashed") << "and tells why";
  EXPECT_EQ(failed_child(reason), "b");
  EXPECT_EQ(take_reports(), (list{"child_terminated b", "child_terminated b", "child_terminated b", "shutdown b"}));
}

TEST_F(supervisor_rules, SV_40_a_clean_end_counts_where_the_child_should_have_gone_on) {
  EXPECT_FALSE(start(with(one_for_one, 0), {child("a")}));
  tell<finish_atom>("a");
  EXPECT_TRUE(ended);
  EXPECT_TRUE(is_shutdown(reason));
  EXPECT_EQ(from_caf(reason).cause, "the child ended although it should run");
}

TEST_F(supervisor_rules, SV_40_restarts_wider_apart_than_the_period_never_add_up) {
  EXPECT_FALSE(start(with(one_for_one, 1), {child("a")}));
  for (int i = 0; i != 50; ++i) {
    crash("a");
    pass(5001ms);
  }
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_rules, SV_40_every_strategy_counts) {
  for (const auto strategy : {one_for_one, one_for_all, rest_for_one}) {
    ended = false;
    EXPECT_FALSE(start(with(strategy, 1), {child("a"), child("b")}));
    crash("a");
    EXPECT_FALSE(ended);
    crash("a");
    EXPECT_TRUE(ended);
    EXPECT_EQ(alive(), 0u);
  }
  ended = false;
  EXPECT_FALSE(start(with(dynamic, 1), {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  crash("a");
  EXPECT_FALSE(ended);
  crash("b");
  EXPECT_TRUE(ended);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_41_failed_restarts_count_and_escalate) {
  EXPECT_FALSE(start(with(one_for_one, 3), {child("a"), child("b")}));
  take_events();
  refuses["b"] = 2;
  crash("b");
  EXPECT_EQ(take_events(), (list{"refuse b", "refuse b", "start b"}));
  refuses["b"] = 100;
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop a"})) << "the fourth within the period";
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_41_a_restart_that_throws_counts_too) {
  EXPECT_FALSE(start(with(one_for_one, 1000), {child("a"), child("b")}));
  take_events();
  throws.insert("b");
  crash("b");
  EXPECT_TRUE(ended);
  EXPECT_EQ(take_events(), (list{"stop a"}));
  EXPECT_EQ(take_reports().size(), 1u + 1000u + 1u) << "its end, each try, and the end of it all";
}

struct retrying : supervisor_rules {
  /// A supervisor one of whose children waits to be restarted.
  void begin(restart_strategy strategy) {
    auto flags = with(strategy, 100);
    flags.backoff = {1s, 8s, 2, 0};
    EXPECT_FALSE(start(flags, {child("a"), child("b"), child("c")}));
    crash("b");
    take_events();
    ASSERT_EQ(status("b"), child_status::restarting);
  }
};

TEST_F(retrying, SV_42_calls_are_answered) {
  begin(one_for_one);
  EXPECT_EQ(refused(admin::start_child(child("b"))), already_present);
  EXPECT_EQ(refused(admin::restart_child("b")), restarting);
  EXPECT_EQ(refused(admin::delete_child("b")), restarting);
  EXPECT_TRUE(ask_now(admin::start_child(child("d"))));
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_EQ(counts(), (child_counts{4, 2, 0, 4}));
  pass(1s);
  EXPECT_EQ(status("b"), child_status::running);
}

TEST_F(retrying, SV_42_terminate_child_ends_the_loop) {
  begin(one_for_one);
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_EQ(status("b"), child_status::stopped);
  pass(1h);
  EXPECT_EQ(status("b"), child_status::stopped);
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_TRUE(ask_now(admin::restart_child("b")));
}

TEST_F(retrying, SV_42_a_stop_ends_at_once) {
  for (const auto strategy : {one_for_one, one_for_all, rest_for_one}) {
    ended = false;
    begin(strategy);
    stop();
    EXPECT_TRUE(ended);
    EXPECT_EQ(alive(), 0u);
  }
}

TEST_F(retrying, SV_42_terminate_child_lets_the_rest_of_its_group_start_without_it) {
  begin(rest_for_one);
  EXPECT_EQ(status("c"), child_status::restarting);
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_EQ(take_events(), (list{"start c"}));
  EXPECT_EQ(counts(), (child_counts{3, 2, 0, 3}));
  begin(one_for_all);
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_EQ(take_events(), (list{"start a", "start c"}));
}

TEST_F(retrying, SV_42_an_earlier_child_takes_over_the_restart_that_waits) {
  begin(rest_for_one);
  crash("a");
  EXPECT_THAT(take_events(), IsEmpty());
  pass(1s);
  EXPECT_EQ(take_events(), (list{"start a", "start b", "start c"}));
  pass(1h);
  EXPECT_THAT(take_events(), IsEmpty());
}

TEST_F(retrying, SV_42_a_later_child_that_fails_meanwhile_does_not_overtake_it) {
  begin(rest_for_one);
  EXPECT_TRUE(ask_now(admin::start_child(child("d"))));
  take_events();
  crash("d");
  pass(1s);
  EXPECT_EQ(take_events(), (list{"start b", "start c", "start d"}));
  EXPECT_EQ(counts().active, 4u);
}

TEST_F(retrying, SV_42_the_end_of_the_wait_means_nothing_to_a_stop) {
  begin(rest_for_one);
  stubborn = {"a"};
  stop();
  pass(1s);
  EXPECT_FALSE(ended) << "a has five seconds";
  pass(4s);
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_42_the_alarm_goes_with_what_it_is_for) {
  auto flags = with(one_for_one, 5);
  flags.backoff = {2s, 2s, 1, 0};
  EXPECT_FALSE(start(flags, {child("a"), child("b")}));
  EXPECT_EQ(clock.armed(), 0u);
  crash("a");
  EXPECT_EQ(clock.armed(), 1u);
  pass(1s);
  crash("b");
  EXPECT_EQ(clock.armed(), 1u) << "one for all";
  pass(1s);
  EXPECT_EQ(status("a"), child_status::running);
  EXPECT_EQ(clock.armed(), 1u);
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_EQ(clock.armed(), 0u) << "taken back";
}

TEST_F(supervisor_rules, SV_42_an_alarm_that_is_too_late_to_be_taken_back_does_nothing) {
  auto flags = with(one_for_one, 5);
  flags.backoff = {2s, 2s, 1, 0};
  EXPECT_FALSE(start(flags, {child("a")}));
  crash("a");
  mute = {"slow"};
  auto slow = child("slow");
  slow.start_within = 2s;
  system.spawn([&](caf::event_based_actor* self) { ask(*self, top, admin::terminate_child("a"), [](const auto&) {}); });
  system.spawn([&](caf::event_based_actor* self) { ask(*self, top, admin::start_child(slow), [](const auto&) {}); });
  take_events();
  while (scheduler().jobs.size() > 1)
    scheduler().run_once();
  clock.advance(2s);
  EXPECT_EQ(clock.armed(), 0u) << "it has gone off, after the calls";
  run();
  EXPECT_EQ(take_events(), (list{"ask slow"}));
  EXPECT_EQ(clock.armed(), 1u) << "that for the start which has begun meanwhile";
  pass(2s);
  EXPECT_EQ(take_events(), (list{"stop slow"}));
}

// It would live, and its mailbox with it, for as long as the longest wait that it has ever begun.
TEST_F(supervisor_rules, SV_42_its_alarm_does_not_keep_a_supervisor_that_has_ended) {
  auto flags = with(one_for_one, 5);
  flags.backoff = {1h, 1h, 1, 0};
  for (const auto why : {exit_reason::user_shutdown, exit_reason::kill}) {
    ended = false;
    EXPECT_FALSE(start(flags, {child("a")}));
    crash("a");
    EXPECT_EQ(clock.armed(), 1u);
    stop(why);
    EXPECT_TRUE(ended);
    EXPECT_EQ(clock.armed(), 0u);
    const auto weak = caf::actor_cast<caf::weak_actor_ptr>(top);
    supervisors.clear();
    top = nullptr;
    EXPECT_FALSE(weak.lock());
  }
}

TEST_F(supervisor_rules, SV_42_without_back_off_calls_come_between_the_tries) {
  EXPECT_FALSE(start(with(one_for_one, 1000), {child("a"), child("b")}));
  throws.insert("b");
  // The calls are in the mailbox before the restart begins, which goes on without end.
  caf::anon_send(running["b"], crash_atom::value);
  const auto stopped = ask_later(admin::terminate_child("b"));
  ASSERT_TRUE(*stopped);
  EXPECT_TRUE(**stopped);
  EXPECT_FALSE(ended);
  EXPECT_EQ(status("b"), child_status::stopped);
}

TEST_F(supervisor_rules, SV_42_dynamic_children_too) {
  auto flags = with(dynamic, 100);
  flags.backoff = {1s, 8s, 2, 0};
  EXPECT_FALSE(start(flags, {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  const auto a = running["a"];
  crash("a");
  EXPECT_EQ(counts(), (child_counts{1, 1, 0, 2}));
  EXPECT_TRUE(ask_now(admin::terminate_child(a))) << "known by its last instance";
  EXPECT_EQ(counts(), (child_counts{1, 1, 0, 1}));
  crash("b");
  stop();
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_42_back_off_grows_and_starts_anew_after_a_calm_time) {
  auto flags = with(one_for_one, 100);
  flags.backoff = {1s, 4s, 2, 0};
  EXPECT_FALSE(start(flags, {child("a")}));
  take_events();
  for (const auto wait : {1s, 2s, 4s, 4s}) {
    crash("a");
    pass(wait - 1ms);
    EXPECT_THAT(take_events(), IsEmpty()) << wait.count();
    pass(1ms);
    EXPECT_EQ(take_events(), (list{"start a"}));
  }
  pass(4001ms);
  crash("a");
  pass(1s);
  EXPECT_EQ(take_events(), (list{"start a"}));
}

TEST_F(supervisor_rules, SV_42_back_off_lets_the_first_restart_come_at_once) {
  auto flags = with(one_for_one, 100);
  flags.backoff = {1s, 4s, 2, 0, 1};
  EXPECT_FALSE(start(flags, {child("a")}));
  take_events();
  for (int i = 0; i != 2; ++i) {
    crash("a");
    EXPECT_EQ(take_events(), (list{"start a"}));
    for (const auto wait : {1s, 2s}) {
      crash("a");
      pass(wait - 1ms);
      EXPECT_THAT(take_events(), IsEmpty()) << wait.count();
      pass(1ms);
      EXPECT_EQ(take_events(), (list{"start a"}));
    }
    pass(4001ms);
  }
}

TEST_F(supervisor_rules, SV_42_back_off_has_jitter) {
  auto flags = with(one_for_one, 1000);
  flags.backoff = {1s, 1s, 2, 0.5};
  std::vector<child_spec> children;
  for (int i = 0; i != 50; ++i)
    children.push_back(child(std::to_string(i)));
  EXPECT_FALSE(start(flags, children));
  for (int i = 0; i != 50; ++i)
    crash(std::to_string(i));
  pass(499ms);
  EXPECT_EQ(counts().active, 0u);
  pass(251ms);
  const auto half = counts().active;
  EXPECT_GT(half, 0u);
  EXPECT_LT(half, 50u);
  pass(250ms);
  EXPECT_EQ(counts().active, 50u);
}

TEST_F(supervisor_rules, SV_42_back_off_of_a_failing_restart) {
  auto flags = with(one_for_all, 100);
  flags.backoff = {1s, 8s, 2, 0};
  EXPECT_FALSE(start(flags, {child("a"), child("b"), child("c")}));
  take_events();
  refuses["b"] = 1;
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop c", "stop a"}));
  pass(1s);
  EXPECT_EQ(take_events(), (list{"start a", "refuse b", "stop a"}));
  pass(1999ms);
  EXPECT_THAT(take_events(), IsEmpty());
  pass(1ms);
  EXPECT_EQ(take_events(), (list{"start a", "start b", "start c"}));
}

TEST_F(supervisor_rules, SV_43_a_child_supervisor_that_collapses_is_a_child_that_ended) {
  const auto inner = branch("inner", with(one_for_one, 0), {child("b"), child("c")});
  EXPECT_FALSE(start(with(rest_for_one, 1), {child("a"), inner, child("d")}));
  take_events();
  take_reports();
  crash("c");
  EXPECT_EQ(take_events(), (list{"stop b", "stop d", "start b", "start c", "start d"}));
  EXPECT_EQ(take_reports(), (list{"child_terminated c", "shutdown c", "child_terminated inner"}));
  EXPECT_FALSE(ended);
}

TEST_F(supervisor_rules, SV_43_a_restarted_supervisor_has_its_static_children_only) {
  EXPECT_FALSE(start({}, {branch("inner", with(one_for_one, 0), {child("b")})}));
  const auto outer = std::exchange(top, running["inner"]);
  EXPECT_TRUE(ask_now(admin::start_child(child("extra"))));
  EXPECT_EQ(counts(), (child_counts{2, 2, 0, 2}));
  crash("b");
  top = running["inner"];
  EXPECT_EQ(counts(), (child_counts{1, 1, 0, 1}));
  top = outer;
  EXPECT_EQ(counts(), (child_counts{1, 1, 1, 0}));
}

// Administration

TEST_F(supervisor_rules, SV_50_start_child) {
  EXPECT_FALSE(start({}, {child("a")}));
  const auto b = ask_now(admin::start_child(child("b")));
  ASSERT_TRUE(b);
  EXPECT_EQ(b->instance, running["b"]);
  const auto again = ask_now(admin::start_child(child("b")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().what, already_started);
  EXPECT_EQ(again.error().code, status_code::already_exists);
  EXPECT_EQ(again.error().instance, running["b"]);
  EXPECT_TRUE(ask_now(admin::terminate_child("b")));
  EXPECT_EQ(refused(admin::start_child(child("b"))), already_present);
  auto bad = child("c");
  bad.start = {};
  EXPECT_EQ(refused(admin::start_child(bad)), invalid);
}

TEST_F(supervisor_rules, SV_50_terminate_restart_and_delete_child) {
  EXPECT_FALSE(start({}, {child("a")}));
  const auto first = running["a"];
  EXPECT_EQ(refused(admin::terminate_child("x")), not_found);
  EXPECT_EQ(refused(admin::restart_child("x")), not_found);
  EXPECT_EQ(refused(admin::delete_child("x")), not_found);
  EXPECT_EQ(refused(admin::restart_child("a")), admin_errc::running);
  EXPECT_EQ(refused(admin::delete_child("a")), admin_errc::running);
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_TRUE(ask_now(admin::terminate_child("a"))) << "already";
  const auto again = ask_now(admin::restart_child("a"));
  ASSERT_TRUE(again);
  EXPECT_NE(again->instance, first);
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_TRUE(ask_now(admin::delete_child("a")));
  EXPECT_EQ(refused(admin::restart_child("a")), not_found);
  EXPECT_TRUE(ask_now(admin::start_child(child("a"))));
}

TEST_F(supervisor_rules, SV_51_terminate_child_restarts_nobody_and_keeps_the_spec) {
  for (const auto strategy : {one_for_one, one_for_all, rest_for_one}) {
    EXPECT_FALSE(start(with(strategy, 0), {child("a"), child("t", temporary), child("b")}));
    take_events();
    EXPECT_TRUE(ask_now(admin::terminate_child("a")));
    EXPECT_TRUE(ask_now(admin::terminate_child("t")));
    EXPECT_EQ(take_events(), (list{"stop a", "stop t"}));
    EXPECT_EQ(counts(), (child_counts{2, 1, 0, 2}));
    EXPECT_EQ(refused(admin::terminate_child("t")), not_found) << "temporary: forgotten";
    stop();
  }
}

TEST_F(supervisor_rules, SV_51_terminate_child_waits_for_the_end) {
  stubborn = {"a"};
  EXPECT_FALSE(start({}, {child("a", permanent, 2s), child("b")}));
  const auto answer = ask_later(admin::terminate_child("a"));
  EXPECT_FALSE(*answer);
  EXPECT_EQ(status("a"), child_status::stopping) << "questions are answered meanwhile";
  crash("b");
  pass(2s);
  ASSERT_TRUE(*answer);
  EXPECT_TRUE(**answer);
  EXPECT_EQ(status("a"), child_status::stopped);
  EXPECT_EQ(status("b"), child_status::running) << "restarted in its turn";
}

TEST_F(supervisor_rules, SV_52_which_and_count_are_exact) {
  auto flags = with(one_for_one, 10);
  flags.backoff = {1s, 1s, 2, 0};
  auto odd = child("s");
  odd.type = child_type::supervisor;
  EXPECT_FALSE(start(flags, {child("a"), odd, child("t", transient)}));
  EXPECT_EQ(counts(), (child_counts{3, 3, 1, 2}));
  crash("s");
  tell<finish_atom>("t");
  EXPECT_EQ(counts(), (child_counts{3, 1, 1, 2})) << "restarting: counted, not active";
  const auto children = ask_now(admin::which_children());
  ASSERT_EQ(children->size(), 3u);
  EXPECT_EQ((*children)[0].id, "a");
  EXPECT_EQ((*children)[0].instance, running["a"]);
  EXPECT_EQ((*children)[1].status, child_status::restarting);
  EXPECT_EQ((*children)[1].type, child_type::supervisor);
  EXPECT_FALSE((*children)[1].instance);
  EXPECT_EQ((*children)[2].status, child_status::stopped);
  pass(1s);
  EXPECT_EQ(counts(), (child_counts{3, 2, 1, 2}));
}

TEST_F(supervisor_rules, SV_53_a_start_child_that_fails_leaves_nothing) {
  EXPECT_FALSE(start({}, {child("a")}));
  refuses["b"] = 1;
  throws.insert("c");
  const auto b = ask_now(admin::start_child(child("b")));
  ASSERT_FALSE(b);
  EXPECT_EQ(b.error().what, start_failed);
  EXPECT_EQ(b.error().code, status_code::data_loss);
  EXPECT_EQ(b.error().cause, "b is broken");
  EXPECT_EQ(refused(admin::start_child(child("c"))), start_failed);
  EXPECT_EQ(counts(), (child_counts{1, 1, 0, 1}));
  EXPECT_EQ(alive(), 1u);
  EXPECT_FALSE(ended);
  EXPECT_EQ(take_reports(), (list{"start_error b", "start_error c"}));
}

TEST_F(supervisor_rules, SV_53_a_restart_child_that_fails_leaves_the_child_stopped) {
  EXPECT_FALSE(start({}, {child("a")}));
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  refuses["a"] = 1;
  EXPECT_EQ(refused(admin::restart_child("a")), start_failed);
  EXPECT_EQ(status("a"), child_status::stopped);
  EXPECT_TRUE(ask_now(admin::restart_child("a")));
}

TEST_F(supervisor_rules, SV_53_a_start_has_a_deadline) {
  EXPECT_FALSE(start({}, {}));
  mute = {"a"};
  auto slow = child("a");
  slow.start_within = 2s;
  cancel_token seen;
  slow.start = [&](const start_context& context) {
    seen = context.token;
    return spawn_child(context.system, "a");
  };
  const auto answer = ask_later(admin::start_child(slow));
  pass(1999ms);
  EXPECT_FALSE(*answer);
  EXPECT_FALSE(seen.cancelled());
  pass(1ms);
  ASSERT_TRUE(*answer);
  EXPECT_EQ((**answer).error().code, status_code::deadline_exceeded);
  EXPECT_TRUE(seen.cancelled()) << "what is under way learns of it";
  EXPECT_EQ(take_events(), (list{"ask a", "stop a"}));
  EXPECT_EQ(counts().specs, 0u);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_53_a_start_that_is_late_in_a_restart_is_a_failed_one) {
  auto slow = child("a");
  slow.start_within = 2s;
  EXPECT_FALSE(start(with(one_for_one, 2, 1h), {slow}));
  mute = {"a"};
  take_events();
  crash("a");
  pass(2s);
  EXPECT_EQ(take_events(), (list{"ask a", "stop a", "ask a"}));
  pass(2s);
  EXPECT_TRUE(ended);
  EXPECT_EQ(from_caf(reason).code, status_code::deadline_exceeded);
}

TEST_F(supervisor_rules, SV_53_a_start_is_given_up_by_its_token) {
  EXPECT_FALSE(start({}, {}));
  mute = {"a"};
  cancel_scope scope;
  const auto answer = ask_later(admin::start_child(child("a"), scope.token()));
  const auto queued = ask_later(admin::start_child(child("b"), scope.token()));
  EXPECT_FALSE(*answer);
  scope.cancel(make_error(status_code::cancelled, "changed my mind"));
  run();
  ASSERT_TRUE(*answer);
  EXPECT_EQ((**answer).error().what, cancelled);
  EXPECT_EQ((**answer).error().cause, "changed my mind");
  ASSERT_TRUE(*queued);
  EXPECT_EQ((**queued).error().what, cancelled);
  EXPECT_EQ(counts().specs, 0u);
  EXPECT_EQ(alive(), 0u);
  EXPECT_EQ(refused(admin::start_child(child("c"), scope.token())), cancelled) << "was cancelled before";
}

TEST_F(supervisor_rules, SV_53_a_start_is_given_up_when_the_time_of_its_token_is_over) {
  EXPECT_FALSE(start({}, {}));
  mute = {"a"};
  const cancel_scope scope{scope_options{.deadline = clock.now() + 2s, .clock = &clock}};
  const auto answer = ask_later(admin::start_child(child("a"), scope.token()));
  pass(1999ms);
  EXPECT_FALSE(*answer);
  pass(1ms);
  ASSERT_TRUE(*answer);
  EXPECT_EQ((**answer).error().what, cancelled);
  EXPECT_EQ((**answer).error().code, status_code::deadline_exceeded);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_53_a_token_that_is_cancelled_too_late_changes_nothing) {
  EXPECT_FALSE(start({}, {}));
  cancel_scope scope;
  EXPECT_TRUE(ask_now(admin::start_child(child("a"), scope.token())));
  scope.cancel(make_error(status_code::cancelled, "too late"));
  run();
  EXPECT_EQ(status("a"), child_status::running);
}

TEST_F(supervisor_rules, SV_53_a_start_is_given_up_by_terminate_child) {
  EXPECT_FALSE(start(with(one_for_one, 5), {child("a")}));
  mute = {"a", "b"};
  crash("a");
  EXPECT_EQ(status("a"), child_status::starting);
  EXPECT_TRUE(ask_now(admin::terminate_child("a")));
  EXPECT_EQ(status("a"), child_status::stopped);
  const auto answer = ask_later(admin::start_child(child("b")));
  EXPECT_EQ(refused(admin::terminate_child("b")), not_found) << "it was not kept";
  ASSERT_TRUE(*answer);
  EXPECT_EQ((**answer).error().what, cancelled);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_54_a_dead_supervisor_gives_an_error) {
  EXPECT_FALSE(start({}, {child("a")}));
  stop();
  EXPECT_EQ(refused(admin::which_children()), no_supervisor);
  EXPECT_EQ(refused(admin::start_child(child("b"))), no_supervisor);
  EXPECT_EQ(refused(admin::terminate_child("a")), no_supervisor);
  top = nullptr;
  EXPECT_EQ(refused(admin::count_children()), no_supervisor);
  top = running["a"] = spawn_child(system, "other");
  EXPECT_EQ(refused(admin::count_children()), no_supervisor) << "an actor that is none";
}

TEST_F(supervisor_rules, SV_54_what_waits_is_answered_when_the_supervisor_stops_or_is_killed) {
  for (const auto why : {exit_reason::user_shutdown, exit_reason::kill}) {
    ended = false;
    mute = {"b"};
    EXPECT_FALSE(start({}, {child("a")}));
    const auto starting = ask_later(admin::start_child(child("b")));
    const auto waiting = ask_later(admin::terminate_child("a"));
    EXPECT_FALSE(*starting);
    EXPECT_FALSE(*waiting);
    stop(why);
    EXPECT_TRUE(ended);
    ASSERT_TRUE(*starting);
    EXPECT_EQ((**starting).error().what, no_supervisor);
    ASSERT_TRUE(*waiting);
    EXPECT_EQ((**waiting).error().what, no_supervisor);
    EXPECT_EQ(alive(), 0u) << "a killed supervisor leaves nobody behind";
  }
}

TEST_F(supervisor_rules, SV_54_calls_while_it_stops_or_has_not_begun_are_refused) {
  top =
      spawn_supervisor(system, {.name = "early", .clock = &clock}, {child("a", permanent, shutdown_time::infinite())});
  EXPECT_EQ(refused(admin::count_children()), not_started);
  stubborn = {"a"};
  EXPECT_FALSE(start_top());
  stop();
  EXPECT_FALSE(ended);
  EXPECT_EQ(refused(admin::start_child(child("b"))), no_supervisor);
  EXPECT_EQ(status("a"), child_status::stopping);
  tell<finish_atom>("a");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_54_killed_while_it_starts) {
  mute = {"b"};
  top = spawn_supervisor(system, {.name = "test", .clock = &clock}, {child("a"), child("b")});
  caf::error failure;
  system.spawn([&](caf::event_based_actor* self) {
    self->request(top, caf::infinite, start_atom::value).then([] {}, [&](const caf::error& e) { failure = e; });
  });
  run();
  EXPECT_FALSE(failure);
  stop(exit_reason::kill);
  EXPECT_TRUE(failure);
  EXPECT_EQ(alive(), 0u);
}

// Dynamic

TEST_F(supervisor_rules, SV_60_dynamic_children_are_made_from_arguments) {
  EXPECT_FALSE(start(with(dynamic), {dynamic_template()}));
  EXPECT_EQ(counts(), (child_counts{1, 0, 0, 0}));
  const auto a = start_dynamic("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->instance, running["a"]);
  EXPECT_TRUE(start_dynamic("a")) << "they have no id of their own";
  EXPECT_EQ(counts(), (child_counts{1, 2, 0, 2}));
  EXPECT_EQ(refused(admin::start_dynamic_child(7)), start_failed);
  EXPECT_EQ(refused(admin::start_child(child("b"))), not_supported);
  EXPECT_EQ(refused(admin::restart_child("template")), not_supported);
  EXPECT_EQ(refused(admin::delete_child("template")), not_supported);
  EXPECT_EQ(refused(admin::terminate_child("template")), not_supported);
  EXPECT_EQ(ask_now(admin::get_childspec("template"))->id, "template");
}

TEST_F(supervisor_rules, SV_60_dynamic_children_are_ended_by_reference) {
  EXPECT_FALSE(start(with(dynamic), {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  const auto a = running["a"];
  EXPECT_TRUE(ask_now(admin::terminate_child(a)));
  EXPECT_FALSE(is_alive(a));
  EXPECT_TRUE(ask_now(admin::terminate_child(a))) << "ended";
  const auto stranger = spawn_child(system, "stranger");
  EXPECT_EQ(refused(admin::terminate_child(stranger)), not_found);
  EXPECT_TRUE(is_alive(stranger));
  EXPECT_EQ(counts(), (child_counts{1, 1, 0, 1}));
}

TEST_F(supervisor_rules, SV_60_static_supervisors_take_no_arguments_and_no_references) {
  EXPECT_FALSE(start({}, {child("a")}));
  EXPECT_EQ(refused(admin::start_dynamic_child(std::string{"b"})), not_supported);
  EXPECT_EQ(refused(admin::terminate_child(running["a"])), not_supported);
}

TEST_F(supervisor_rules, SV_61_a_dynamic_child_is_restarted_with_its_own_arguments) {
  EXPECT_FALSE(start(with(dynamic, 10), {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  take_events();
  crash("b");
  crash("a");
  crash("b");
  EXPECT_EQ(take_events(), (list{"start b", "start a", "start b"}));
  EXPECT_EQ(alive(), 2u);
}

TEST_F(supervisor_rules, SV_61_dynamic_transient_and_temporary_children_are_forgotten_when_they_end_well) {
  for (const auto type : {transient, temporary}) {
    EXPECT_FALSE(start(with(dynamic, 10), {dynamic_template(type)}));
    EXPECT_TRUE(start_dynamic("a"));
    EXPECT_TRUE(start_dynamic("b"));
    take_events();
    tell<finish_atom>("a");
    crash("b");
    EXPECT_EQ(counts().workers, type == transient ? 1u : 0u);
    stop();
  }
}

TEST_F(supervisor_rules, SV_62_dynamic_children_are_stopped_in_parallel_and_stragglers_killed) {
  stubborn = {"a", "c"};
  EXPECT_FALSE(start(with(dynamic), {dynamic_template(permanent, 2s)}));
  for (const auto* id : {"a", "b", "c"})
    EXPECT_TRUE(start_dynamic(id));
  take_events();
  stop();
  EXPECT_THAT(take_events(), UnorderedElementsAre("stop a", "stop b", "stop c")) << "all asked at once";
  pass(1999ms);
  EXPECT_FALSE(ended);
  EXPECT_EQ(alive(), 2u);
  pass(1ms);
  EXPECT_TRUE(ended) << "one time for all";
  EXPECT_EQ(alive(), 0u);
  EXPECT_THAT(take_reports(), UnorderedElementsAre("shutdown_error template", "shutdown_error template"));
}

TEST_F(supervisor_rules, SV_62_dynamic_children_that_are_brutal_or_patient) {
  EXPECT_FALSE(start(with(dynamic), {dynamic_template(permanent, shutdown_time::brutal())}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  stop();
  EXPECT_TRUE(ended);
  EXPECT_THAT(take_reports(), IsEmpty());
  ended = false;
  stubborn = {"a"};
  EXPECT_FALSE(start(with(dynamic), {dynamic_template(permanent, shutdown_time::infinite())}));
  EXPECT_TRUE(start_dynamic("a"));
  stop();
  pass(std::chrono::hours{1000});
  EXPECT_FALSE(ended);
  tell<finish_atom>("a");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_62_a_dynamic_supervisor_stops_while_children_start_and_restart) {
  auto flags = with(dynamic, 10);
  flags.backoff = {1s, 1s, 2, 0};
  EXPECT_FALSE(start(flags, {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  crash("a");
  mute = {"c"};
  const auto c = ask_later(admin::start_dynamic_child(std::string{"c"}));
  stop();
  EXPECT_TRUE(ended);
  EXPECT_TRUE(*c);
  EXPECT_EQ(alive(), 0u);
}

// Significant children

TEST_F(supervisor_rules, SV_70_any_significant_the_first_that_ends_by_itself_ends_all) {
  const auto t = significant("t", transient);
  const auto x = significant("x", temporary);
  struct {
    const char* who;
    bool by_crash;
  } cases[] = {{"t", false}, {"x", false}, {"x", true}};
  for (const auto& [who, by_crash] : cases) {
    ended = false;
    EXPECT_FALSE(start(with(auto_shutdown::any_significant), {child("a"), t, x}));
    by_crash ? crash(who) : tell<finish_atom>(who);
    EXPECT_TRUE(ended) << who << by_crash;
    EXPECT_EQ(reason, exit_reason::user_shutdown);
    EXPECT_EQ(alive(), 0u);
  }
}

TEST_F(supervisor_rules, SV_70_a_shutdown_with_info_counts_as_a_good_end) {
  EXPECT_FALSE(start(with(auto_shutdown::any_significant), {significant("t", transient)}));
  tell<shut_atom>("t");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_70_all_significant_only_the_last_one) {
  EXPECT_FALSE(start(with(auto_shutdown::all_significant), {child("a"), significant("t", transient),
                                                            significant("x", temporary), significant("u", transient)}));
  tell<finish_atom>("t");
  crash("x");
  EXPECT_FALSE(ended);
  tell<finish_atom>("u");
  EXPECT_TRUE(ended);
  EXPECT_EQ(reason, exit_reason::user_shutdown);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_71_what_is_no_trigger) {
  for (const auto strategy : {one_for_one, one_for_all, rest_for_one}) {
    EXPECT_FALSE(start(with(auto_shutdown::any_significant, strategy, 10),
                       {child("a"), significant("t", transient), significant("x", temporary), child("p", transient)}));
    tell<finish_atom>("p");
    crash("t");
    EXPECT_TRUE(ask_now(admin::terminate_child("t")));
    EXPECT_TRUE(ask_now(admin::restart_child("t")));
    crash("a");
    if (strategy != one_for_one) {
      EXPECT_EQ(refused(admin::terminate_child("x")), not_found) << "a temporary bystander";
    }
    EXPECT_FALSE(ended);
    stop();
    EXPECT_EQ(reason, exit_reason::user_shutdown);
    ended = false;
  }
}

TEST_F(supervisor_rules, SV_71_a_terminated_child_is_not_waited_for) {
  EXPECT_FALSE(start(with(auto_shutdown::all_significant), {significant("t", transient), significant("u", transient)}));
  EXPECT_TRUE(ask_now(admin::terminate_child("t")));
  EXPECT_FALSE(ended);
  tell<finish_atom>("u");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_72_in_dynamic_supervisors_all_are_significant) {
  auto spec = dynamic_template(temporary);
  spec.significant = true;
  EXPECT_FALSE(start(with(auto_shutdown::all_significant, dynamic), {spec}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  EXPECT_TRUE(start_dynamic("c"));
  EXPECT_TRUE(ask_now(admin::terminate_child(running["c"])));
  crash("a");
  EXPECT_FALSE(ended);
  tell<finish_atom>("b");
  EXPECT_TRUE(ended);
  ended = false;
  EXPECT_FALSE(start(with(auto_shutdown::any_significant, dynamic), {spec}));
  EXPECT_TRUE(start_dynamic("a"));
  EXPECT_TRUE(start_dynamic("b"));
  crash("a");
  EXPECT_TRUE(ended);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_73_auto_shutdown_escalates_to_a_supervisor_that_cares) {
  auto inner = branch("inner", with(auto_shutdown::any_significant), {significant("t", transient)});
  inner.restart = transient;
  inner.significant = true;
  EXPECT_FALSE(start(with(auto_shutdown::any_significant), {child("a"), inner}));
  tell<finish_atom>("t");
  EXPECT_TRUE(ended);
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_73_and_not_to_one_that_does_not) {
  auto inner = branch("inner", with(auto_shutdown::any_significant), {significant("t", transient)});
  inner.restart = transient;
  EXPECT_FALSE(start(with(auto_shutdown::any_significant), {child("a"), inner}));
  tell<finish_atom>("t");
  EXPECT_FALSE(ended);
  EXPECT_EQ(status("inner"), child_status::stopped);
}

TEST_F(supervisor_rules, SV_74_new_flags_count_for_later_ends_only) {
  EXPECT_FALSE(start(with(auto_shutdown::all_significant), {significant("t", transient), significant("u", transient)}));
  tell<finish_atom>("t");
  EXPECT_TRUE(ask_now(admin::configure(with(auto_shutdown::any_significant))));
  EXPECT_FALSE(ended) << "t's end is past";
  tell<finish_atom>("u");
  EXPECT_TRUE(ended);
}

TEST_F(supervisor_rules, SV_74_an_illegal_combination_is_refused_and_nothing_changes) {
  EXPECT_FALSE(start(with(auto_shutdown::any_significant), {child("a"), significant("t", transient)}));
  take_events();
  EXPECT_EQ(refused(admin::configure({})), invalid) << "t is significant";
  EXPECT_EQ(refused(admin::configure(with(one_for_one, -1))), invalid);
  EXPECT_EQ(refused(admin::configure(with(static_cast<restart_strategy>(9)))), invalid);
  EXPECT_EQ(refused(admin::configure(with(dynamic), {{child("a")}})), invalid);
  EXPECT_EQ(refused(admin::configure(with(auto_shutdown::any_significant), {{child("b"), child("b")}})), invalid);
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_EQ(counts(), (child_counts{2, 2, 0, 2}));
  tell<finish_atom>("t");
  EXPECT_TRUE(ended) << "the old flags are in force";
}

TEST_F(supervisor_rules, SV_74_specs_are_replaced_added_and_ordered_and_nothing_starts) {
  EXPECT_FALSE(start(with(one_for_one, 10), {child("kept"), child("a"), child("b")}));
  const auto before = running;
  take_events();
  EXPECT_TRUE(ask_now(admin::configure(with(rest_for_one, 10), {{child("b"), child("new"), child("a", transient)}})));
  EXPECT_THAT(take_events(), IsEmpty());
  std::vector<std::string> ids;
  const auto children = ask_now(admin::which_children());
  for (const auto& info : *children)
    ids.push_back(info.id);
  EXPECT_THAT(ids, ElementsAre("kept", "b", "new", "a"));
  EXPECT_EQ(status("new"), child_status::stopped);
  EXPECT_EQ(running, before);
  EXPECT_TRUE(ask_now(admin::restart_child("new")));
  take_events();
  crash("b");
  EXPECT_EQ(take_events(), (list{"stop a", "stop new", "start b", "start new", "start a"}));
  tell<finish_atom>("a");
  EXPECT_EQ(status("a"), child_status::stopped) << "transient now";
}

TEST_F(supervisor_rules, SV_74_a_template_is_replaced_for_later_starts) {
  EXPECT_FALSE(start(with(dynamic, 10), {dynamic_template()}));
  EXPECT_TRUE(start_dynamic("a"));
  auto other = dynamic_template();
  other.start = [this](caf::actor_system& sys) { return spawn_child(sys, "other"); };
  EXPECT_EQ(refused(admin::configure(with(one_for_one, 10), {{other}})), invalid);
  auto bad = other;
  bad.start = {};
  EXPECT_EQ(refused(admin::configure(with(dynamic, 10), {{bad}})), invalid);
  take_events();
  EXPECT_TRUE(ask_now(admin::configure(with(dynamic, 10), {{other}})));
  EXPECT_THAT(take_events(), IsEmpty());
  EXPECT_TRUE(start_dynamic("b"));
  crash("a");
  EXPECT_EQ(take_events(), (list{"start other", "start other"}));
}

TEST_F(retrying, SV_74_a_restart_that_waits_survives_a_change_of_the_strategy) {
  begin(one_for_all);
  EXPECT_TRUE(ask_now(admin::configure(with(one_for_one, 10))));
  EXPECT_THAT(take_events(), UnorderedElementsAre("start a", "start b", "start c"));
  EXPECT_EQ(counts(), (child_counts{3, 3, 0, 3}));
}

// Reports

TEST_F(supervisor_rules, SV_80_reports_say_who_and_why) {
  EXPECT_FALSE(start(with(one_for_one, 0), {child("a", permanent, 7s), child("b")}));
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0].context, report_context::progress);
  EXPECT_EQ(reports[0].child, "a");
  EXPECT_EQ(reports[0].instance, running["a"].id());
  const auto instance = running["a"].id();
  crash("a");
  const auto& r = reports[2];
  EXPECT_EQ(r.context, report_context::child_terminated);
  EXPECT_EQ(r.supervisor, "test");
  EXPECT_EQ(r.child, "a");
  EXPECT_EQ(r.instance, instance);
  EXPECT_EQ(r.reason.cause, "crashed");
  EXPECT_EQ(r.restart, permanent);
  EXPECT_EQ(r.shutdown, shutdown_time{7s});
  EXPECT_EQ(r.type, child_type::worker);
  EXPECT_EQ(reports[3].context, report_context::shutdown);
  EXPECT_EQ(reports[3].reason.code, status_code::resource_exhausted);
  EXPECT_EQ(take_reports(true), (list{"progress a", "progress b", "child_terminated a", "shutdown a", "ended b"}));
}

TEST_F(supervisor_rules, SV_80_every_instance_is_reported_gone_once) {
  EXPECT_FALSE(start(with(rest_for_one, 100), {child("a"), child("b"), child("c", temporary), child("d", transient)}));
  refuses["b"] = 2;
  ignores = {"i"};
  EXPECT_TRUE(ask_now(admin::start_child(child("i"))));
  crash("a");
  crash("d");
  tell<throw_atom>("b");
  tell<finish_atom>("d");
  stubborn = {"a"};
  stop();
  pass(1h);
  std::map<std::uint64_t, int> gone;
  for (const auto& r : reports)
    if (r.instance != 0 && r.context != report_context::progress)
      ++gone[r.instance];
  EXPECT_EQ(gone.size(), instances.size());
  for (const auto& [id, times] : gone)
    EXPECT_EQ(times, 1) << id;
  EXPECT_EQ(alive(), 0u);
}

TEST_F(supervisor_rules, SV_81_good_ends_of_transient_and_temporary_children_are_no_errors) {
  EXPECT_FALSE(start(with(one_for_one, 10), {child("t", transient), child("x", temporary), child("u", transient),
                                             child("y", temporary), child("p")}));
  take_reports();
  tell<finish_atom>("t");
  tell<shut_atom>("x");
  EXPECT_THAT(take_reports(), IsEmpty());
  crash("u");
  tell<throw_atom>("y");
  tell<finish_atom>("p");
  EXPECT_EQ(take_reports(), (list{"child_terminated u", "child_terminated y", "child_terminated p"}));
}

// A task group is a supervisor with one policy.
TEST_F(supervisor_rules, SV_30_SV_40_SV_70_make_a_task_group) {
  std::vector<std::string> failures;
  const auto on_failure = [&](const supervisor_report& r) { failures.push_back(r.child + ": " + r.reason.cause); };
  const auto begin = [&] {
    ended = false;
    auto flags = task_group_flags("group", on_failure);
    flags.clock = &clock;
    top = spawn_supervisor(system, std::move(flags),
                           {significant("a", transient), significant("b", transient), significant("c", transient)});
    EXPECT_FALSE(start_top());
    take_events();
  };
  begin();
  dies_of["c"] = to_caf(make_error(status_code::internal, "c while it was cancelled"));
  crash("b");
  EXPECT_TRUE(ended);
  EXPECT_EQ(take_events(), (list{"stop c", "stop a"})) << "the first failure cancels the siblings";
  EXPECT_THAT(failures, ElementsAre("b: crashed", "c: c while it was cancelled"));
  EXPECT_EQ(from_caf(reason).cause, "crashed");
  failures.clear();
  begin();
  for (const auto* id : {"a", "b", "c"})
    tell<finish_atom>(id);
  EXPECT_TRUE(ended) << "all are done";
  EXPECT_EQ(reason, exit_reason::user_shutdown);
  EXPECT_THAT(failures, IsEmpty());
}

}  // namespace
}  // namespace troupe
