#include "skillsets/sdk/host/host_server.hpp"

#include "skillsets/sdk/host/testing.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <stop_token>

namespace troupe {
namespace {

using host::wire::FromHost;
using host::wire::ToHost;
using testing_support::elements;
using testing_support::node_side;
using testing_support::socket_pair;

/// Blocks until the token is cancelled, and says why it was.
error wait_cancelled(const cancel_token& token) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock{mutex};
  changed.wait(lock, token.stop(), [] { return false; });
  return token.reason();
}

/// A skillset each of whose functions does what the test says.
class scripted final : public skillset {
 public:
  using batch = std::span<work_item* const>;

  std::string_view name() const override { return "scripted"; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return on_options(); }
  expected<std::vector<runtime_device>> devices() override { return on_devices(); }
  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token& token) override {
    if (auto loaded = on_load(settings, token); !loaded)
      return loaded.error();
    return std::unique_ptr<loaded_model>{std::make_unique<model>(*this)};
  }

  std::function<std::vector<option_spec>()> on_options = [] { return std::vector<option_spec>{}; };
  std::function<expected<std::vector<runtime_device>>()> on_devices = [] { return std::vector<runtime_device>{}; };
  std::function<expected<void>(const model_settings&, const cancel_token&)> on_load = [](auto&, auto&) {
    return expected<void>{};
  };
  std::function<expected<void>()> on_make_instance = [] { return expected<void>{}; };
  std::function<inference_request()> on_warm_up = [] { return inference_request{{}, {{"warm_up", true}}}; };
  std::function<batch_policy()> on_batching = [] { return batch_policy{}; };
  std::function<expected<void>(batch, const cancel_token&)> on_run = [](auto items, auto&) {
    for (auto* item : items)
      item->respond(inference_response{item->request().inputs, {}});
    return expected<void>{};
  };
  std::function<expected<void>(batch, const cancel_token&)> on_warm = [](auto items, auto&) {
    items.front()->respond(inference_response{});
    return expected<void>{};
  };
  signature what;

 private:
  struct worker final : instance {
    explicit worker(scripted& of) : owner(of) {}
    expected<void> run(batch items, const cancel_token& token) override {
      const bool warm_up = items.front()->request().parameters.contains("warm_up");
      return (warm_up ? owner.on_warm : owner.on_run)(items, token);
    }
    scripted& owner;
  };

  struct model final : loaded_model {
    explicit model(scripted& of) : owner(of) {}
    const signature& describe() const override { return owner.what; }
    expected<std::unique_ptr<instance>> make_instance() override {
      if (const auto made = owner.on_make_instance(); !made)
        return made.error();
      return std::unique_ptr<instance>{std::make_unique<worker>(owner)};
    }
    inference_request warm_up() const override { return owner.on_warm_up(); }
    batch_policy batching() const override { return owner.on_batching(); }
    scripted& owner;
  };
};

/// A server on a thread, and the node's side of it.
class host_server_test : public testing::Test {
 protected:
  ~host_server_test() override { stop(); }

  void serve() {
    served_ = std::async(std::launch::async, [this] {
      host_server server{sockets_[1], [this](host_exit how) {
                           ended_.push_back(how);
                           on_end();
                         }};
      return server.serve(skills);
    });
  }

  /// Serves, and gives the Hello.
  host::wire::Hello start() {
    serve();
    return node.next().hello();
  }

  void start_and_load() {
    start();
    ASSERT_TRUE(node.load().has_loaded());
  }

  host_exit stop() {
    sockets_.close_end(0);
    return exit();
  }

  /// How the host ends, without the node's doing.
  host_exit exit() {
    if (served_.valid())
      ended_with_ = served_.get();
    EXPECT_LE(ended_.size(), 1u);
    return ended_with_;
  }

  FromHost run_one(inference_request request = {}) {
    node.run({std::move(request)});
    return node.next();
  }

  socket_pair sockets_;

  scripted skills;
  node_side node{sockets_[0]};
  std::function<void()> on_end = [] {};  ///< in place of the end of the process

 private:
  std::vector<host_exit> ended_;
  host_exit ended_with_ = host_exit::internal;
  std::future<host_exit> served_;
};

TEST_F(host_server_test, says_hello_at_once) {
  skills.on_options = [] { return std::vector<option_spec>{{"count", std::int64_t{3}, {}, 1, 10}}; };
  skills.on_devices = [] { return std::vector<runtime_device>{{"Engine", "1", "GPU", "A Card", {"FP16"}}}; };
  const auto hello = start();
  EXPECT_EQ(hello.contract(), 1u);
  EXPECT_EQ(hello.name(), "scripted");
  EXPECT_EQ(hello.platform(), "test");
  ASSERT_EQ(hello.options_size(), 1);
  EXPECT_EQ(hello.options(0).name(), "count");
  ASSERT_EQ(hello.devices_size(), 1);
  EXPECT_EQ(hello.devices(0).full_name(), "A Card");
  EXPECT_EQ(stop(), host_exit::ok);
}

TEST_F(host_server_test, a_skillset_that_cannot_tell_its_devices_has_none) {
  skills.on_devices = []() -> expected<std::vector<runtime_device>> { throw std::runtime_error{"no driver"}; };
  EXPECT_EQ(start().devices_size(), 0);
}

TEST_F(host_server_test, ends_when_the_skillset_cannot_be_described) {
  skills.on_options = []() -> std::vector<option_spec> { throw 1; };
  serve();
  EXPECT_EQ(exit(), host_exit::internal);
}

TEST_F(host_server_test, loads_a_model_and_warms_it_up) {
  model_settings seen;
  skills.on_load = [&](const auto& settings, const auto&) {
    seen = settings;
    return expected<void>{};
  };
  std::vector<std::size_t> warmed;
  skills.on_warm = [&](auto items, const auto&) {
    warmed.push_back(items.size());
    items.front()->respond(inference_response{});
    return expected<void>{};
  };
  skills.what = {{{"x", datatype::fp32, {-1}}}, {{"y", datatype::fp32, {-1}}}, true};
  skills.on_batching = [] { return batch_policy{{8, 100}, linear_cost{1, 4, 512}}; };
  start();
  auto settings = testing_support::named("m", {{"count", std::int64_t{5}}});
  settings.files["weights"] = "/w";
  const auto answer = node.load(settings);
  ASSERT_TRUE(answer.has_loaded());
  EXPECT_EQ(seen.name, "m");
  EXPECT_EQ(seen.files.at("weights"), "/w");
  EXPECT_EQ(seen.options.at("count"), parameter{std::int64_t{5}});
  EXPECT_EQ(warmed, std::vector<std::size_t>{1});
  EXPECT_EQ(answer.loaded().signature().inputs(0).name(), "x");
  EXPECT_TRUE(answer.loaded().signature().batches());
  EXPECT_TRUE(answer.loaded().warm_up().parameters().at("warm_up").bool_value());
  EXPECT_EQ(answer.loaded().limits().items(), 8);
  EXPECT_EQ(answer.loaded().cost().bytes_per_unit(), 4);
}

TEST_F(host_server_test, a_load_that_fails_is_answered_with_why) {
  skills.on_load = [](const auto&, const auto&) {
    return expected<void>{make_error(status_code::not_found, "no weights", "bring some")};
  };
  start();
  const auto answer = node.load();
  ASSERT_TRUE(answer.has_load_failed());
  EXPECT_EQ(host::from_wire(answer.load_failed()), make_error(status_code::not_found, "no weights", "bring some"));
}

TEST_F(host_server_test, no_exception_of_a_load_gets_out) {
  const std::vector<std::function<void(scripted&)>> throwing{
      [](scripted& s) { s.on_load = [](auto&, auto&) -> expected<void> { throw std::runtime_error{"x"}; }; },
      [](scripted& s) { s.on_load = [](auto&, auto&) -> expected<void> { throw 1; }; },
      [](scripted& s) { s.on_make_instance = []() -> expected<void> { throw std::runtime_error{"x"}; }; },
      [](scripted& s) { s.on_warm_up = []() -> inference_request { throw std::runtime_error{"x"}; }; },
      [](scripted& s) { s.on_warm = [](auto, auto&) -> expected<void> { throw std::runtime_error{"x"}; }; },
      [](scripted& s) { s.on_batching = []() -> batch_policy { throw std::runtime_error{"x"}; }; },
  };
  for (const auto& spoil : throwing) {
    socket_pair sockets;
    scripted spoiled;
    spoil(spoiled);
    auto served = std::async(std::launch::async, [&] {
      host_server server{sockets[1], [](host_exit) {}};
      return server.serve(spoiled);
    });
    node_side other{sockets[0]};
    other.next();
    EXPECT_EQ(other.load().load_failed().code(), static_cast<std::uint32_t>(status_code::internal));
    sockets.close_end(0);
    EXPECT_EQ(served.get(), host_exit::ok);
  }
}

TEST_F(host_server_test, a_load_without_memory_is_resource_exhausted) {
  skills.on_load = [](auto&, auto&) -> expected<void> { throw std::bad_alloc{}; };
  start();
  const auto failure = host::from_wire(node.load().load_failed());
  EXPECT_EQ(failure.code, status_code::resource_exhausted);
  EXPECT_FALSE(failure.remedy.empty());
}

TEST_F(host_server_test, a_warm_up_that_fails_is_a_load_that_fails) {
  skills.on_warm = [](auto, auto&) { return expected<void>{make_error(status_code::internal, "bad kernel")}; };
  start();
  EXPECT_EQ(node.load().load_failed().cause(), "the warm-up failed: bad kernel");
}

TEST_F(host_server_test, a_load_can_be_cancelled) {
  std::promise<void> begun;
  skills.on_load = [&](const auto&, const auto& token) {
    begun.set_value();
    return expected<void>{wait_cancelled(token)};
  };
  start();
  auto answer = std::async(std::launch::async, [this] { return node.load(); });
  begun.get_future().wait();
  node.cancel();
  EXPECT_EQ(answer.get().load_failed().code(), static_cast<std::uint32_t>(status_code::cancelled));
}

TEST_F(host_server_test, a_stateful_model_is_refused) {
  skills.what.stateful = true;
  bool made = false;
  skills.on_make_instance = [&] {
    made = true;
    return expected<void>{};
  };
  start();
  const auto failure = host::from_wire(node.load().load_failed());
  EXPECT_EQ(failure.code, status_code::unimplemented);
  EXPECT_NE(failure.remedy.find("isolation = \"thread\""), std::string::npos);
  EXPECT_FALSE(made);
}

TEST_F(host_server_test, runs_batch_after_batch) {
  start_and_load();
  for (int i = 0; i != 3; ++i) {
    node.run({{{elements<std::int32_t>("x", datatype::int32, {i})}, {}},
              {{elements<std::int32_t>("x", datatype::int32, {i + 10})}, {}}});
    for (std::uint32_t item = 0; item != 2; ++item) {
      const auto answer = node.next().answer();
      EXPECT_EQ(answer.item(), item);
      EXPECT_TRUE(answer.last());
      EXPECT_EQ(elements<std::int32_t>(answer.response().outputs(0)),
                std::vector<std::int32_t>{i + 10 * static_cast<int>(item)});
    }
    const auto done = node.next();
    ASSERT_TRUE(done.has_done());
    EXPECT_FALSE(done.done().has_failure());
  }
}

TEST_F(host_server_test, large_tensors_come_and_go_beside_the_messages) {
  EXPECT_TRUE(start().attachments());
  ToHost load;
  host::to_wire(testing_support::named("m"), *load.mutable_load());
  load.mutable_load()->set_attachments(true);
  ASSERT_TRUE(node.say(load));
  ASSERT_TRUE(node.next().has_loaded());
  const std::vector<std::int32_t> much(attachments::worthwhile / sizeof(std::int32_t), 7);
  for (int i = 0; i != 3; ++i) {
    ToHost run;
    attachments files;
    host::to_wire(inference_request{{elements<std::int32_t>("x", datatype::int32, much)}, {}},
                  *run.mutable_run()->add_items(), &files);
    ASSERT_FALSE(files.empty());
    ASSERT_TRUE(node.say(run, std::move(files)));
    const auto answer = std::make_shared<const FromHost>(node.next());
    EXPECT_TRUE(answer->answer().response().outputs(0).has_attachment());
    const auto response = host::from_wire(answer->answer().response(), answer, node.take_files());
    ASSERT_TRUE(response) << response.error().message();
    EXPECT_EQ(response->outputs.front().data.size(), attachments::worthwhile);
    EXPECT_EQ(response->outputs.front().data.bytes()[4], std::byte{7});
    EXPECT_TRUE(node.next().has_done());
  }
}

/// The node's side of a conversation in which large tensors are in segments.
struct sharing_node {
  explicit sharing_node(node_side& with) : node(with) {
    ToHost load;
    host::to_wire(testing_support::named("m"), *load.mutable_load());
    load.mutable_load()->set_attachments(true);
    load.mutable_load()->set_segments(true);
    EXPECT_TRUE(node.say(load));
    EXPECT_TRUE(node.next().has_loaded());
  }

  /// What is answered to a tensor of so many equal numbers; `files` came with the two messages.
  inference_response ask(std::int32_t value, datatype type = datatype::int32) {
    std::vector<std::int32_t> much(attachments::worthwhile / sizeof(std::int32_t), value);
    if (type == datatype::bytes)
      much.front() = static_cast<std::int32_t>(attachments::worthwhile - sizeof(std::int32_t));
    ToHost run;
    attachments out{&segments.own};
    host::to_wire(inference_request{{elements<std::int32_t>("x", type, much)}, {}}, *run.mutable_run()->add_items(),
                  &out);
    host::tell(segments, run);
    files = out.descriptors().size();
    EXPECT_TRUE(node.say(run, std::move(out)));
    const auto answer = std::make_shared<const FromHost>(next());
    shared = answer->answer().response().outputs(0).has_segment();
    const auto with = node.take_files();
    files += with.descriptors().size();
    auto response = host::from_wire(answer->answer().response(), answer, with, &segments.others);
    EXPECT_TRUE(response) << response.error().message();
    EXPECT_TRUE(next().has_done());
    return *response;
  }

  FromHost next() {
    auto said = node.next();
    EXPECT_TRUE(segments.heed(host::from_wire(said.segments())));
    return said;
  }

  node_side& node;
  shared_segments segments;
  std::size_t files = 0;
  bool shared = false;
};

TEST_F(host_server_test, large_tensors_are_in_segments_that_are_used_again) {
  EXPECT_TRUE(start().segments());
  sharing_node sharing{node};
  for (int i = 0; i != 5; ++i) {
    const auto response = sharing.ask(i);
    EXPECT_TRUE(sharing.shared);
    EXPECT_EQ(sharing.files, i == 0 ? 2u : 0u);
    EXPECT_EQ(response.outputs.front().data.bytes()[4], static_cast<std::byte>(i));
  }
  EXPECT_EQ(sharing.segments.own.size(), 1u) << "what it asked with is released with the Done at the latest";
  EXPECT_EQ(sharing.segments.others.size(), 1u);
}

TEST_F(host_server_test, bytes_are_never_in_segments) {
  start();
  sharing_node sharing{node};
  for (int i = 0; i != 2; ++i) {
    static_cast<void>(sharing.ask(1, datatype::bytes));
    EXPECT_FALSE(sharing.shared);
    EXPECT_EQ(sharing.files, 2u);
  }
  EXPECT_TRUE(sharing.segments.empty());
}

TEST_F(host_server_test, segments_that_are_given_up_are_not_used_again) {
  start();
  sharing_node sharing{node};
  static_cast<void>(sharing.ask(1));
  ASSERT_TRUE(sharing.segments.give_up_one());
  EXPECT_TRUE(sharing.segments.empty());
  ToHost notes;
  host::tell(sharing.segments, notes);
  EXPECT_TRUE(node.say(notes));
  EXPECT_EQ(sharing.ask(2).outputs.front().data.bytes()[0], std::byte{2});
  EXPECT_EQ(sharing.files, 2u);
}

TEST_F(host_server_test, what_a_skillset_keeps_of_a_request_stays_as_it_is) {
  std::vector<buffer> kept;
  skills.on_run = [&](auto items, auto&) {
    kept.push_back(items.front()->request().inputs.front().data);
    items.front()->respond(inference_response{items.front()->request().inputs, {}});
    return expected<void>{};
  };
  start();
  sharing_node sharing{node};
  for (int i = 0; i != 3; ++i)
    static_cast<void>(sharing.ask(i));
  EXPECT_EQ(sharing.segments.own.size(), 3u);
  for (int i = 0; i != 3; ++i)
    EXPECT_EQ(kept[static_cast<std::size_t>(i)].bytes()[0], static_cast<std::byte>(i));
}

TEST_F(host_server_test, a_segment_that_it_hasnt_got_breaks_the_contract) {
  start_and_load();
  ToHost notes;
  notes.mutable_segments()->add_dropped(1);
  ASSERT_TRUE(node.say(notes));
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_server_test, a_node_that_cannot_take_files_gets_none) {
  start_and_load();
  const std::vector<std::int32_t> much(attachments::worthwhile / sizeof(std::int32_t), 7);
  node.run({{{elements<std::int32_t>("x", datatype::int32, much)}, {}}});
  const auto answer = node.next();
  EXPECT_FALSE(answer.answer().response().outputs(0).has_attachment());
  EXPECT_EQ(elements<std::int32_t>(answer.answer().response().outputs(0)), much);
}

TEST_F(host_server_test, a_file_that_is_not_there_breaks_the_contract) {
  start_and_load();
  ToHost run;
  auto& input = *run.mutable_run()->add_items()->add_inputs();
  input.set_datatype("INT32");
  input.set_attachment(0);
  ASSERT_TRUE(node.say(run));
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_server_test, a_request_that_fails_alone_is_answered_alone) {
  skills.on_run = [](auto items, auto&) {
    items[0]->respond(make_error(status_code::invalid_argument, "too long", "cut it"));
    items[1]->respond(inference_response{});
    return expected<void>{};
  };
  start_and_load();
  node.run({{}, {}});
  const auto first = node.next().answer(), second = node.next().answer();
  EXPECT_TRUE(first.last());
  EXPECT_EQ(host::from_wire(first.failure()), make_error(status_code::invalid_argument, "too long", "cut it"));
  EXPECT_TRUE(second.has_response());
  EXPECT_TRUE(node.next().has_done());
}

TEST_F(host_server_test, a_decoupled_request_has_as_many_answers_as_it_likes) {
  skills.on_run = [](auto items, auto&) {
    items[0]->send({{elements<std::int32_t>("x", datatype::int32, {1})}, {}});
    items[0]->send({{elements<std::int32_t>("x", datatype::int32, {2})}, {}});
    items[0]->complete();
    items[0]->send({});  // after the last word: dropped
    items[0]->respond(make_error(status_code::internal, "again"));
    items[0]->complete();
    return expected<void>{};
  };
  start_and_load();
  node.run({{}});
  for (std::int32_t i = 1; i != 3; ++i) {
    const auto answer = node.next().answer();
    EXPECT_FALSE(answer.last());
    EXPECT_EQ(elements<std::int32_t>(answer.response().outputs(0)), std::vector<std::int32_t>{i});
  }
  const auto last = node.next().answer();
  EXPECT_TRUE(last.last());
  EXPECT_EQ(last.outcome_case(), host::wire::Answer::OUTCOME_NOT_SET);
  EXPECT_TRUE(node.next().has_done());
}

TEST_F(host_server_test, a_batch_that_fails_says_so_and_the_next_one_runs) {
  int runs = 0;
  skills.on_run = [&](auto items, auto&) -> expected<void> {
    switch (runs++) {
      case 0:
        items[0]->respond(inference_response{});
        return make_error(status_code::resource_exhausted, "out of memory", "send less");
      case 1:
        throw std::runtime_error{"kernel"};
      case 2:
        throw 1;
      default:
        items[0]->respond(inference_response{});
        return {};
    }
  };
  start_and_load();
  node.run({{}, {}});
  EXPECT_EQ(node.next().answer().item(), 0u);
  EXPECT_EQ(host::from_wire(node.next().done().failure()),
            make_error(status_code::resource_exhausted, "out of memory", "send less"));
  EXPECT_EQ(run_one().done().failure().code(), static_cast<std::uint32_t>(status_code::internal));
  EXPECT_EQ(run_one().done().failure().code(), static_cast<std::uint32_t>(status_code::internal));
  EXPECT_TRUE(run_one().has_answer());
  EXPECT_FALSE(node.next().done().has_failure());
}

TEST_F(host_server_test, a_request_without_a_last_word_gets_none) {
  skills.on_run = [](auto, auto&) { return expected<void>{}; };
  start_and_load();
  const auto done = run_one();
  ASSERT_TRUE(done.has_done());
  EXPECT_FALSE(done.done().has_failure());
}

TEST_F(host_server_test, one_request_of_a_batch_can_be_cancelled) {
  std::promise<void> begun;
  bool all_cancelled = true;
  skills.on_run = [&](auto items, const auto& token) {
    begun.set_value();
    const auto why = wait_cancelled(items[1]->token());
    all_cancelled = token.cancelled() || items[0]->token().cancelled();
    items[1]->respond(why);  // of a cancelled request: dropped
    items[0]->respond(inference_response{});
    return expected<void>{};
  };
  start_and_load();
  node.run({{}, {}});
  begun.get_future().wait();
  node.cancel(1);
  const auto answer = node.next();
  ASSERT_TRUE(answer.has_answer());
  EXPECT_EQ(answer.answer().item(), 0u);
  EXPECT_TRUE(node.next().has_done());
  EXPECT_FALSE(all_cancelled);
}

TEST_F(host_server_test, a_batch_none_of_which_is_wanted_is_cancelled) {
  std::promise<void> begun;
  skills.on_run = [&](auto, const auto& token) {
    begun.set_value();
    return expected<void>{wait_cancelled(token)};
  };
  start_and_load();
  node.run({{}, {}});
  begun.get_future().wait();
  node.cancel(1);
  node.cancel(1);
  node.cancel(0);
  EXPECT_EQ(node.next().done().failure().code(), static_cast<std::uint32_t>(status_code::cancelled));
}

TEST_F(host_server_test, a_batch_can_be_cancelled_and_the_next_one_is_not) {
  std::promise<void> begun;
  skills.on_run = [&](auto items, const auto& token) -> expected<void> {
    if (items[0]->request().parameters.contains("quick")) {
      if (token.cancelled())
        return token.reason();
      items[0]->respond(inference_response{});
      return {};
    }
    begun.set_value();
    wait_cancelled(items[0]->token());
    wait_cancelled(items[1]->token());
    return wait_cancelled(token);
  };
  start_and_load();
  node.run({{}, {}});
  begun.get_future().wait();
  node.cancel();
  EXPECT_EQ(node.next().done().failure().code(), static_cast<std::uint32_t>(status_code::cancelled));
  node.cancel();  // too late: what it meant is done
  node.cancel(7);
  EXPECT_TRUE(run_one({{}, {{"quick", true}}}).answer().has_response());
  EXPECT_TRUE(node.next().has_done());
}

TEST_F(host_server_test, a_node_that_breaks_the_contract_ends_it) {
  const auto load = [] {
    ToHost message;
    message.mutable_load();
    return message;
  }();
  const auto run = [] {
    ToHost message;
    message.mutable_run()->add_items();
    return message;
  }();
  auto empty_run = ToHost{};
  empty_run.mutable_run();
  auto wrong_run = run;
  wrong_run.mutable_run()->mutable_items(0)->add_inputs()->set_datatype("FP31");
  for (const auto& say : std::vector<std::vector<ToHost>>{
           {run}, {load, load}, {load, run}, {ToHost{}}, {empty_run}, {wrong_run}, {load, empty_run}}) {
    socket_pair sockets;
    scripted patient;
    std::promise<void> over;
    patient.on_warm = [ended = over.get_future().share()](auto, auto&) {
      ended.wait();
      return expected<void>{};
    };
    std::vector<host_exit> ended;
    auto served = std::async(std::launch::async, [&] {
      host_server server{sockets[1], [&](host_exit how) {
                           ended.push_back(how);
                           over.set_value();
                         }};
      return server.serve(patient);
    });
    node_side other{sockets[0]};
    for (const auto& message : say)
      static_cast<void>(other.say(message));
    EXPECT_EQ(served.get(), host_exit::contract);
    EXPECT_EQ(ended, std::vector<host_exit>{host_exit::contract});
  }
}

TEST_F(host_server_test, two_runs_at_once_break_the_contract) {
  std::promise<void> begun, go_on;
  skills.on_run = [&](auto, const auto&) {
    begun.set_value();
    go_on.get_future().wait();
    return expected<void>{};
  };
  on_end = [&] { go_on.set_value(); };
  start_and_load();
  node.run({{}});
  begun.get_future().wait();
  node.run({{}});
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_server_test, a_cancel_of_no_request_breaks_the_contract) {
  std::promise<void> begun, go_on;
  skills.on_run = [&](auto, const auto&) {
    begun.set_value();
    go_on.get_future().wait();
    return expected<void>{};
  };
  on_end = [&] { go_on.set_value(); };
  start_and_load();
  node.run({{}});
  begun.get_future().wait();
  node.cancel(1);
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_server_test, garbage_breaks_the_contract) {
  start();
  const std::string_view garbage{"\xff\xff\xff\xff"};
  ASSERT_EQ(send(sockets_[0], garbage.data(), garbage.size(), 0), static_cast<ssize_t>(garbage.size()));
  EXPECT_EQ(exit(), host_exit::contract);
}

TEST_F(host_server_test, a_callback_that_never_returns_does_not_keep_it_from_ending) {
  std::promise<void> begun, in_callback, ended;
  skills.on_run = [&](auto, const auto& token) {
    const std::stop_callback stuck{token.stop(), [&] {
                                     in_callback.set_value();
                                     ended.get_future().wait();
                                   }};
    begun.set_value();
    wait_cancelled(token);
    return expected<void>{};
  };
  on_end = [&] { ended.set_value(); };
  start_and_load();
  node.run({{}});
  begun.get_future().wait();
  node.cancel();
  in_callback.get_future().wait();
  EXPECT_EQ(stop(), host_exit::ok);
}

}  // namespace
}  // namespace troupe
