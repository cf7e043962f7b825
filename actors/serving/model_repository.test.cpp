#include "actors/serving/model_repository.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/serving/node.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/skillset_catalog.hpp"
#include "actors/serving/testing.hpp"

#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <semaphore>

namespace troupe {
namespace {

using testing_support::await;
using testing_support::recorded_call;
using testing_support::scripted_skillset;
using testing_support::temporary_folder;

/// A request that was let in, until it is answered.
struct visitor {
  served_model::visit visit;
  std::shared_ptr<recorded_call> call = std::make_shared<recorded_call>();
};

/// A running node with a repository whose models do what the test says.
struct model_repository_test : testing::Test {
  model_repository_test() {
    auto owned = std::make_unique<scripted_skillset>();
    skills = owned.get();
    skills->on_run = [this](const inference_request& request, const cancel_token& token) {
      return run(request, token);
    };
    catalog->add(std::move(owned));
  }

  /// Requests with the parameter `wait` take until they are let go.
  expected<inference_response> run(const inference_request& request, const cancel_token& token) {
    if (!request.parameters.count("wait"))
      return inference_response{};
    ++waiting;
    while (!go.try_acquire_for(std::chrono::milliseconds{1}))
      if (token.cancelled())
        return token.reason();
    return inference_response{};
  }

  void write(const std::string& name, const std::string& settings = "") const {
    repository.write(name + "/model.toml", "skillset = \"scripted\"\non_failure = \"unavailable\"\n" + settings);
  }

  void start(const std::vector<std::string>& names = {}) {
    node_parts parts;
    parts.devices = {{"CPU", 4}};
    for (const auto& name : names)
      parts.models.push_back(*read_model(repository.path(), name, *catalog, {}));
    parts.context = {std::make_shared<device_table>(), routes, [this](const error&) { fatal = true; }};
    parts.repository = {repository.path(), catalog, drain};
    parts.loader = loader;
    root = spawn_node(system, std::move(parts));
    self->request(root, caf::infinite, start_atom::value)
        .receive([] {}, [](const caf::error& e) { FAIL() << from_caf(e).message(); });
    await([this] { return routes->settled(); });
  }

  void stop() {
    self->send_exit(root, caf::exit_reason::user_shutdown);
    self->wait_for(root);
    root = nullptr;
  }

  std::future<expected<void>> begin_load(const std::string& name, const std::string& settings = "") {
    const auto how = std::make_shared<std::promise<expected<void>>>();
    loader->load(name, settings, [how](const expected<void>& told) { how->set_value(told); });
    return how->get_future();
  }

  std::future<expected<void>> begin_unload(const std::string& name) {
    const auto how = std::make_shared<std::promise<expected<void>>>();
    loader->unload(name, [how](const expected<void>& told) { how->set_value(told); });
    return how->get_future();
  }

  error load_error(const std::string& name, const std::string& settings = "") {
    const auto how = begin_load(name, settings).get();
    return how ? make_error(status_code::ok, "") : how.error();
  }

  std::shared_ptr<served_model> model(const std::string& name = "m") const { return *routes->find(name, ""); }

  visitor send(bool waits = false) {
    visitor result;
    auto entered = routes->enter("m", "");
    EXPECT_TRUE(entered) << entered.error().message();
    if (!entered)
      return result;
    result.visit = *std::move(entered);
    if (waits)
      result.call->input.parameters["wait"] = true;
    const auto submitted = result.visit->submit(result.call);
    EXPECT_TRUE(submitted) << submitted.error().message();
    return result;
  }

  /// Sends one that takes until it is let go, and waits until it runs.
  visitor occupy() {
    const auto before = waiting.load();
    auto result = send(true);
    await([&] { return waiting > before; });
    return result;
  }

  ~model_repository_test() override {
    go.release(1000);
    if (root)
      stop();
  }

  temporary_folder repository;
  std::chrono::milliseconds drain = std::chrono::minutes{1};
  std::atomic<int> waiting = 0;
  std::counting_semaphore<> go{0};
  std::atomic<bool> fatal = false;
  scripted_skillset* skills;
  std::shared_ptr<skillset_catalog> catalog =
      std::make_shared<skillset_catalog>(std::vector<std::filesystem::path>{"none"});
  std::shared_ptr<model_repository> loader = std::make_shared<model_repository>();
  std::shared_ptr<router> routes = std::make_shared<router>();
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor root;
};

TEST_F(model_repository_test, loads_what_the_node_did_not_start_with) {
  start();
  EXPECT_EQ(load_error("m").code, status_code::not_found);
  write("m");
  EXPECT_EQ(load_error("m").code, status_code::ok);
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, knows_no_models_outside_of_it) {
  write("m/inner");
  start();
  for (const auto* name : {"", ".", "..", "m", "m/inner", "../m", "/", "m\n", "M"})
    EXPECT_EQ(load_error(name).code, status_code::not_found) << name;
  EXPECT_EQ(begin_unload("m").get().error().code, status_code::not_found);
}

TEST_F(model_repository_test, settings_go_before_those_of_the_file) {
  write("m", "[queue]\ncapacity = 5\nmax_wait = \"2s\"\n");
  start({"m"});
  ASSERT_EQ(load_error("m", "[queue]\ncapacity = 7").code, status_code::ok);
  EXPECT_EQ(model()->folder().queue.capacity, 7u);
  EXPECT_EQ(model()->folder().queue.max_wait, std::chrono::seconds{2});
  ASSERT_EQ(load_error("m").code, status_code::ok);
  EXPECT_EQ(model()->folder().queue.capacity, 5u) << "the next load knows nothing of the last one's settings";
}

TEST_F(model_repository_test, bad_settings_are_refused_with_their_place_and_change_nothing) {
  write("m");
  start({"m"});
  const auto before = model();
  EXPECT_EQ(load_error("m", "\n[queue]\ncapacity = 0").message(),
            "settings:3: 'queue.capacity' must be an integer from 1 to 1048576; the model that was there serves on");
  EXPECT_EQ(load_error("m", "colour = 1").code, status_code::invalid_argument);
  EXPECT_EQ(load_error("m", "no toml").code, status_code::invalid_argument);
  for (const auto* fixed : {"skillset = \"scripted\"", "version = \"2\"", "[files]"})
    EXPECT_NE(load_error("m", fixed).message().find("can't be replaced"), std::string::npos) << fixed;
  EXPECT_EQ(model(), before);
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, a_model_serves_on_when_loading_it_again_fails) {
  repository.write("m/model.toml", "skillset = \"scripted\"\n");  // fatal for a node that starts
  start({"m"});
  skills->on_load = [](const auto&) { return make_error(status_code::data_loss, "bits fell over"); };
  const auto why = load_error("m");
  EXPECT_EQ(why.code, status_code::data_loss);
  EXPECT_EQ(why.message(), "bits fell over; the model that was there serves on");
  EXPECT_TRUE(send().call->wait());
  EXPECT_FALSE(fatal);
}

TEST_F(model_repository_test, a_model_that_could_not_be_loaded_tells_the_newest_reason) {
  write("m");
  skills->on_load = [](const auto&) { return make_error(status_code::internal, "first"); };
  start({"m"});
  skills->on_load = [](const auto&) { return make_error(status_code::internal, "second"); };
  EXPECT_EQ(load_error("m").message(), "second");
  EXPECT_EQ(model()->current().reason, "second");
  skills->on_load = [](const auto&) { return std::nullopt; };
  EXPECT_EQ(load_error("m").code, status_code::ok);
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, loading_again_refuses_nobody_and_ends_the_old_one_when_it_is_empty) {
  write("m");
  start({"m"});
  auto running = occupy(), queued = send();
  const auto late = *routes->enter("m", "");  // was let in, and has not said yet what it wants
  const std::weak_ptr<served_model> old = model();
  ASSERT_EQ(load_error("m").code, status_code::ok);
  EXPECT_NE(model(), old.lock());
  EXPECT_TRUE(send().call->wait()) << "the new one doesn't wait for the old one";
  const auto last = std::make_shared<recorded_call>();
  EXPECT_TRUE(late->submit(last));
  EXPECT_FALSE(running.call->answered() || queued.call->answered() || last->answered());
  go.release();
  EXPECT_TRUE(running.call->wait());
  EXPECT_TRUE(queued.call->wait());
  EXPECT_TRUE(last->wait());
  await([&] { return old.lock()->current().state == model_state::unloading; });
  running = {};
  queued = {};
  const_cast<served_model::visit&>(late) = {};
  await([&] { return old.expired(); });
}

TEST_F(model_repository_test, unloading_waits_for_those_who_are_in) {
  write("m", "[queue]\ncapacity = 200\n");
  start({"m"});
  std::vector<visitor> inside;
  inside.push_back(occupy());
  for (int i = 0; i != 100; ++i)
    inside.push_back(send());
  auto unloaded = begin_unload("m");
  await([&] { return model()->current().state == model_state::unloading; });
  const auto refused = routes->enter("m", "");
  EXPECT_EQ(refused.error().cause, "model 'm' is UNLOADING: it is being unloaded");
  EXPECT_TRUE(routes->settled());
  go.release();
  for (auto& each : inside)
    EXPECT_TRUE(each.call->wait());
  inside.clear();
  EXPECT_TRUE(unloaded.get());
  EXPECT_EQ(model()->current().state, model_state::unloaded);
  EXPECT_TRUE(routes->settled()) << "somebody wanted it so";
  EXPECT_TRUE(begin_unload("m").get()) << "it is unloaded already";
  EXPECT_EQ(load_error("m").code, status_code::ok);
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, unloading_waits_no_longer_than_the_drain) {
  drain = std::chrono::milliseconds{20};
  write("m");
  start({"m"});
  auto running = occupy(), queued = send();
  EXPECT_TRUE(begin_unload("m").get());
  EXPECT_EQ(running.call->wait().error().code, status_code::unavailable);
  EXPECT_EQ(queued.call->wait().error().code, status_code::unavailable);
  EXPECT_EQ(running.visit->submit(std::make_shared<recorded_call>()).error().code, status_code::unavailable);
}

TEST_F(model_repository_test, unloading_gives_up_a_load) {
  write("m");
  start();
  std::atomic<bool> loading = false;
  skills->on_load = [&](const cancel_token& token) {
    loading = true;
    await([&] { return token.cancelled(); });
    return token.reason();
  };
  auto loaded = begin_load("m");
  await([&] { return loading.load(); });
  EXPECT_TRUE(begin_unload("m").get());
  EXPECT_EQ(loaded.get().error().code, status_code::cancelled);
  EXPECT_EQ(model()->current().state, model_state::unloaded);
}

/// A model of a skillset that a host is asked for, and never gets to say what it is.
struct silent_host_test : model_repository_test {
  silent_host_test() {
    repository.write("host",
                     "#!/bin/sh\n: > '" + started.string() + "'\nexec '" TROUPE_HOST_FIXTURE "' 'never says hello'\n");
    std::filesystem::permissions(repository.path() / "host", std::filesystem::perms::owner_all);
    repository.write("skillsets/silent.toml", "command = ['/bin/sh']\n");
    repository.write("m/model.toml", "skillset = \"silent\"\non_failure = \"unavailable\"\n");
    catalog =
        std::make_shared<skillset_catalog>(std::vector{repository.path() / "skillsets"}, repository.path() / "host");
    start();
    loaded = begin_load("m");
    await([&] { return std::filesystem::exists(started); });
  }

  /// Long before the host's time to say hello is over.
  error load_ended() {
    EXPECT_EQ(loaded.wait_for(std::chrono::seconds{20}), std::future_status::ready);
    return loaded.get().error();
  }

  const std::filesystem::path started = repository.path() / "started";
  std::future<expected<void>> loaded;
};

TEST_F(silent_host_test, unloading_gives_up_what_a_load_asks_a_host) {
  auto unloaded = begin_unload("m");
  EXPECT_EQ(load_ended().code, status_code::cancelled);
  EXPECT_EQ(unloaded.get().error().code, status_code::not_found) << "there is no model yet";
}

TEST_F(silent_host_test, a_node_that_stops_gives_up_what_a_load_asks_a_host) {
  auto stopped = std::async(std::launch::async, [this] { stop(); });
  EXPECT_EQ(load_ended().code, status_code::unavailable);
  EXPECT_EQ(stopped.wait_for(std::chrono::seconds{20}), std::future_status::ready);
}

TEST_F(model_repository_test, a_load_waits_for_the_unload_before_it) {
  write("m");
  start({"m"});
  auto running = occupy();
  auto unloaded = begin_unload("m");
  auto loaded = begin_load("m");
  go.release();
  EXPECT_TRUE(running.call->wait());
  running = {};
  EXPECT_TRUE(unloaded.get());
  EXPECT_TRUE(loaded.get());
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, a_thousand_loads_at_once_are_few_and_each_is_told) {
  write("m");
  start();
  std::atomic<int> loads = 0;
  skills->on_load = [&](const auto&) {
    ++loads;
    return std::nullopt;
  };
  std::vector<std::future<expected<void>>> told;
  for (int i = 0; i != 1000; ++i)
    told.push_back(begin_load("m"));
  for (auto& each : told)
    EXPECT_TRUE(each.get());
  EXPECT_GE(loads, 1);
  EXPECT_LT(loads, 500);
  EXPECT_TRUE(send().call->wait());
}

TEST_F(model_repository_test, a_quarrel_over_a_model_is_bounded) {
  write("m");
  start({"m"});
  auto running = occupy();
  std::vector<std::future<expected<void>>> told;
  for (int i = 0; i != 50; ++i)
    told.push_back(i % 2 ? begin_load("m") : begin_unload("m"));
  EXPECT_EQ(told.back().get().error().code, status_code::resource_exhausted);
  told.pop_back();
  running = {};
  go.release();
  for (auto& each : told) {
    const auto how = each.get();
    const auto code = how ? status_code::ok : how.error().code;
    EXPECT_TRUE(code == status_code::ok || code == status_code::resource_exhausted || code == status_code::cancelled);
  }
}

TEST_F(model_repository_test, who_waits_is_told_when_the_node_stops) {
  write("m");
  start();
  std::atomic<bool> loading = false;
  skills->on_load = [&](const cancel_token& token) {
    loading = true;
    await([&] { return token.cancelled(); });
    return token.reason();
  };
  auto loaded = begin_load("m"), queued = begin_load("m", "instances = 2");
  await([&] { return loading.load(); });
  stop();
  EXPECT_FALSE(loaded.get());
  EXPECT_EQ(queued.get().error().code, status_code::unavailable);
  EXPECT_EQ(load_error("m").code, status_code::unavailable);
}

TEST_F(model_repository_test, stress_no_request_is_refused_while_a_model_is_loaded_again_and_again) {
  write("m", "[queue]\ncapacity = 1000\n");
  start({"m"});
  std::atomic<bool> done = false;
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> clients;
    for (int t = 0; t != 4; ++t)
      clients.emplace_back([&] {
        while (!done) {
          const auto one = send();
          EXPECT_TRUE(one.call->wait());
          EXPECT_EQ(one.call->answers, 1);
          ++answered;
        }
      });
    for (int i = 0; i != 50; ++i)
      EXPECT_EQ(load_error("m").code, status_code::ok);
    const int before = answered;
    await([&] { return answered > before + 100; });
    done = true;
  }
  stop();
}

}  // namespace
}  // namespace troupe
