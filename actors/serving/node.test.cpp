#include "actors/serving/node.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

namespace troupe {
namespace {

using testing_support::await;
using testing_support::recorded_call;
using testing_support::scripted_skillset;

/// A node with models but no gateway, on real threads.
struct node_test : testing::Test {
  model_folder folder(const std::string& name, failure_policy on_failure = failure_policy::unavailable) {
    model_folder result;
    result.name = name;
    result.skills = testing_support::borrowed(skills);
    result.on_failure = on_failure;
    return result;
  }

  void start(std::vector<model_folder> models) {
    node_parts parts;
    parts.devices = devices;
    parts.models = std::move(models);
    parts.context = {std::make_shared<device_table>(), routes, [this](const error& e) { fatal.set_value(e); }};
    root = spawn_node(system, std::move(parts));
    self->request(root, caf::infinite, start_atom::value)
        .receive([] {}, [](const caf::error& e) { FAIL() << from_caf(e).message(); });
  }

  void stop() {
    self->send_exit(root, caf::exit_reason::user_shutdown);
    self->wait_for(root);
    root = nullptr;
  }

  served_model& model(const std::string& name) { return **routes->find(name, ""); }

  void await_state(const std::string& name, model_state state) {
    await([&] { return model(name).current().state == state; });
  }

  ~node_test() override {
    if (root)
      stop();
  }

  scripted_skillset skills;
  std::vector<device> devices{{"CPU", 2}};
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  std::shared_ptr<router> routes = std::make_shared<router>();
  std::promise<error> fatal;
  caf::actor root;
};

TEST_F(node_test, a_model_is_ready_only_after_its_warm_up) {
  std::promise<void> warm_up;
  std::atomic<int> ran = 0;
  skills.on_run = [&, done = warm_up.get_future().share()](const inference_request& request,
                                                           const auto&) -> expected<inference_response> {
    EXPECT_TRUE(request.parameters.count("warm_up"));
    ++ran;
    done.wait();
    return inference_response{};
  };
  start({folder("m")});
  await([&] { return ran == 1; });
  EXPECT_EQ(model("m").current().state, model_state::loading);
  EXPECT_FALSE(routes->settled());
  EXPECT_EQ(model("m").submit(std::make_shared<recorded_call>()).error().code, status_code::unavailable);
  warm_up.set_value();
  await_state("m", model_state::ready);
  EXPECT_TRUE(routes->settled());
}

TEST_F(node_test, serves_and_stops_without_leaving_anything) {
  start({folder("a"), folder("b")});
  await([&] { return routes->settled(); });
  const auto call = std::make_shared<recorded_call>();
  ASSERT_TRUE(model("b").submit(call));
  EXPECT_TRUE(call->wait());
  stop();
  EXPECT_EQ(model("a").current().state, model_state::unavailable);
  EXPECT_EQ(model("a").submit(std::make_shared<recorded_call>()).error().code, status_code::unavailable);
}

TEST_F(node_test, a_model_that_fails_to_load_is_unavailable_with_the_reason_and_the_others_serve) {
  scripted_skillset broken;
  broken.on_load = [](const auto&) { return make_error(status_code::invalid_argument, "no such layer"); };
  auto bad = folder("bad");
  bad.skills = testing_support::borrowed(broken);
  start({bad, folder("good")});
  await_state("bad", model_state::unavailable);
  await_state("good", model_state::ready);
  EXPECT_EQ(model("bad").current().reason, "no such layer");
  EXPECT_TRUE(routes->settled()) << "there is nothing to wait for";
  stop();
}

TEST_F(node_test, a_fatal_model_tells_the_node) {
  skills.on_load = [](const auto&) -> std::optional<error> { throw std::runtime_error{"boom"}; };
  start({folder("m", failure_policy::fatal)});
  EXPECT_EQ(fatal.get_future().get().cause, "model 'm': loading failed: boom");
  EXPECT_FALSE(routes->settled());
}

TEST_F(node_test, a_failed_warm_up_makes_the_model_unavailable) {
  skills.on_run = [](const auto&, const auto&) { return make_error(status_code::internal, "numbers are wrong"); };
  start({folder("m")});
  await_state("m", model_state::unavailable);
  EXPECT_EQ(model("m").current().reason, "the warm-up failed: numbers are wrong");
}

TEST_F(node_test, a_device_that_is_not_there_makes_the_model_unavailable) {
  auto on_gpu = folder("m");
  on_gpu.device = "GPU";
  start({on_gpu});
  await_state("m", model_state::unavailable);
  EXPECT_EQ(model("m").current().reason, "there is no device 'GPU'; this machine has: CPU");
}

TEST_F(node_test, a_model_runs_on_a_device_that_its_skillset_finds) {
  devices.push_back({"GPU", 1});
  skills.on_devices = [] { return std::vector<runtime_device>{{"Engine", "1", "GPU"}}; };
  auto on_gpu = folder("m");
  on_gpu.device = "GPU";
  start({on_gpu});
  await_state("m", model_state::ready);
  EXPECT_EQ(skills.last.device, "GPU");
}

TEST_F(node_test, a_device_that_only_others_find_makes_the_model_unavailable) {
  devices.push_back({"GPU", 1});
  auto on_gpu = folder("m");
  on_gpu.device = "GPU";
  start({on_gpu});
  await_state("m", model_state::unavailable);
  EXPECT_EQ(model("m").current().reason,
            "skillset 'scripted' finds no device 'GPU'; 'troupe devices' tells which runtime finds what");
}

TEST_F(node_test, can_be_stopped_while_a_model_loads_or_warms_up) {
  std::atomic<bool> loading = false;
  const auto until_cancelled = [&](const cancel_token& token) {
    loading = true;
    await([&] { return token.cancelled(); });
    return token.reason();
  };
  skills.on_load = until_cancelled;
  scripted_skillset warming;
  std::atomic<bool> warm = false;
  warming.on_run = [&](const auto&, const cancel_token& token) -> expected<inference_response> {
    warm = true;
    await([&] { return token.cancelled(); });
    return token.reason();
  };
  auto slow = folder("slow");
  slow.skills = testing_support::borrowed(warming);
  start({folder("m"), slow});
  await([&] { return loading && warm; });
  stop();
}

TEST_F(node_test, stopping_cancels_what_runs_and_answers_what_is_queued) {
  std::atomic<bool> running = false;
  skills.on_run = [&](const inference_request& request, const cancel_token& token) -> expected<inference_response> {
    if (request.parameters.count("warm_up"))
      return inference_response{};
    running = true;
    await([&] { return token.cancelled(); });
    return token.reason();
  };
  start({folder("m")});
  await_state("m", model_state::ready);
  const auto current = std::make_shared<recorded_call>(), queued = std::make_shared<recorded_call>();
  ASSERT_TRUE(model("m").submit(current));
  await([&] { return running.load(); });
  ASSERT_TRUE(model("m").submit(queued));
  stop();
  EXPECT_EQ(current->wait().error().code, status_code::unavailable);
  EXPECT_EQ(queued->wait().error().code, status_code::unavailable);
}

TEST(router, says_which_of_name_and_version_is_unknown) {
  router routes;
  int changes = 0;
  const auto watch = routes.subscribe([&] { ++changes; });
  model_folder folder;
  folder.name = "m";
  folder.version = "2";
  routes.insert(std::make_shared<served_model>(folder, [] {}));
  EXPECT_EQ(changes, 1);
  EXPECT_TRUE(routes.find("m", ""));
  EXPECT_TRUE(routes.find("m", "2"));
  EXPECT_EQ(routes.find("x", "").error().cause, "there is no model 'x'");
  EXPECT_EQ(routes.find("m", "1").error().message(), "model 'm' has no version '1'; it has version '2'");
  routes.unsubscribe(watch);
  routes.notify();
  EXPECT_EQ(changes, 1);
}

}  // namespace
}  // namespace troupe
