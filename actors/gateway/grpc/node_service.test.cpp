#include "actors/gateway/grpc/node_service.hpp"

#include "actors/gateway/grpc/gateway_test.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <future>

namespace troupe {
namespace {

using testing_support::await;
using testing_support::echo;
using testing_support::gateway_test;

struct node_service_test : gateway_test {
  node::v1::DevicesResponse ask() const {
    grpc::ClientContext context;
    node::v1::DevicesResponse response;
    const auto status = node::v1::Node::NewStub(channel())->Devices(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
};

TEST_F(node_service_test, tells_what_the_devices_are) {
  devices->insert({"GPU", 1}, std::make_shared<executor_pool>("GPU", pool_capacity{1}));
  devices->insert({"CPU", 2, 4096, 3, "A Processor", {"avx", "fma"}, {{"Engine", "1.2", "CPU", "Its name", {"BF16"}}}},
                  pool);
  ASSERT_FALSE(start());
  const auto found = ask();
  ASSERT_EQ(found.devices_size(), 2);
  const auto& cpu = found.devices(0);
  EXPECT_EQ(cpu.name(), "CPU");
  EXPECT_EQ(cpu.full_name(), "A Processor");
  EXPECT_EQ(cpu.cores(), 3u);
  EXPECT_THAT(cpu.instruction_sets(), testing::ElementsAre("avx", "fma"));
  ASSERT_EQ(cpu.runtimes_size(), 1);
  EXPECT_EQ(cpu.runtimes(0).name(), "Engine");
  EXPECT_EQ(cpu.runtimes(0).version(), "1.2");
  EXPECT_EQ(cpu.runtimes(0).full_name(), "Its name");
  EXPECT_THAT(cpu.runtimes(0).capabilities(), testing::ElementsAre("BF16"));
  EXPECT_EQ(found.devices(1).name(), "GPU");
  EXPECT_EQ(found.devices(1).pool().threads(), 1u);
}

TEST_F(node_service_test, tells_what_a_device_does_at_this_moment) {
  pool = std::make_shared<executor_pool>("CPU", pool_capacity{.threads = 1, .bytes = 1000});
  devices->insert({"CPU", 1}, pool);
  add_model(slow.as_told());
  add_model(echo, "other");
  ASSERT_FALSE(start());
  const auto taken = pool->reserve(300);
  ASSERT_TRUE(taken);
  const auto share = pool->open_share({"mine", 2.5, 1});
  const auto runs = call();
  await([&] { return slow.running == 1; });
  const auto waits = call("other");
  await([&] { return pool->stats().queued == 1; });
  const auto busy = ask().devices(0).pool();
  EXPECT_EQ(busy.threads(), 1u);
  EXPECT_EQ(busy.busy(), 1u);
  EXPECT_EQ(busy.queued(), 1u);
  EXPECT_EQ(busy.bytes(), 1000u);
  EXPECT_EQ(busy.reserved_bytes(), 300u);
  const auto mine =
      std::find_if(busy.shares().begin(), busy.shares().end(), [](const auto& one) { return one.name() == "mine"; });
  ASSERT_NE(mine, busy.shares().end());
  EXPECT_EQ(mine->weight(), 2.5);
  EXPECT_EQ(mine->threads(), 1u);
  slow.go.release();
  EXPECT_TRUE(runs->wait().ok());
  EXPECT_TRUE(waits->wait().ok());
  await([&] { return pool->stats().busy == 0; });
  const auto idle = ask().devices(0).pool();
  EXPECT_EQ(idle.busy() + idle.queued(), 0u);
  EXPECT_GT(idle.finished(), busy.finished());
}

TEST_F(node_service_test, server_metadata_names_the_devices) {
  devices->insert({"CPU", 2}, pool);
  ASSERT_FALSE(start());
  grpc::ClientContext context;
  inference::ServerMetadataResponse response;
  ASSERT_TRUE(stub->ServerMetadata(&context, {}, &response).ok());
  EXPECT_THAT(response.extensions(), testing::Contains("troupe.device/CPU?slots=2"));
}

/// A call of Skillsets, and how it went.
struct skillsets_question {
  void start(node::v1::Node::Stub& stub) {
    stub.async()->Skillsets(&context, &request, &response, [this](grpc::Status s) { status.set_value(std::move(s)); });
  }
  grpc::Status wait() { return status.get_future().get(); }

  grpc::ClientContext context;
  node::v1::SkillsetsRequest request;
  node::v1::SkillsetsResponse response;
  std::promise<grpc::Status> status;
};

struct skillsets_test : gateway_test {
  skillsets_test() {
    skillsets = std::make_shared<skillset_catalog>(std::vector<std::filesystem::path>{"/nowhere"});
    skillsets->add(std::make_unique<testing_support::scripted_skillset>());
    pool = std::make_shared<executor_pool>("CPU", pool_capacity{1});
    devices->insert({"CPU", 1}, pool);
  }

  void start_all(std::size_t count) {
    ASSERT_FALSE(start());
    about_node = node::v1::Node::NewStub(channel());
    questions = std::vector<skillsets_question>(count);
    for (auto& question : questions)
      question.start(*about_node);
  }

  std::unique_ptr<node::v1::Node::Stub> about_node;
  std::vector<skillsets_question> questions;
};

TEST_F(skillsets_test, tells_which_there_are) {
  start_all(1);
  EXPECT_TRUE(questions[0].wait().ok());
  ASSERT_EQ(questions[0].response.skillsets_size(), 1);
  EXPECT_EQ(questions[0].response.skillsets(0).name(), "scripted");
  EXPECT_EQ(questions[0].response.skillsets(0).options_size(), 4);
}

TEST_F(skillsets_test, a_node_without_a_catalog_says_so) {
  skillsets = nullptr;
  start_all(1);
  EXPECT_EQ(questions[0].wait().error_code(), testing_support::StatusCode::UNIMPLEMENTED);
}

/// Takes the one thread that lists.
struct busy_skillsets_test : skillsets_test {
  busy_skillsets_test() {
    pool->submit(make_job([this] {
      ++slow.running;
      slow.go.acquire();
    }));
    await([&] { return slow.running == 1; });
  }
};

TEST_F(busy_skillsets_test, answers_at_once_who_would_have_to_wait_behind_too_many) {
  start_all(17);
  // Which of them came last is not known.
  std::size_t refused = 0;
  std::vector<std::future<grpc::Status>> answers;
  for (auto& question : questions)
    answers.push_back(question.status.get_future());
  await([&] {
    refused = 0;
    for (auto& answer : answers)
      refused += answer.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
    return refused > 0;
  });
  EXPECT_EQ(refused, 1u);
  slow.go.release();
  std::size_t exhausted = 0;
  for (auto& answer : answers)
    exhausted += answer.get().error_code() == testing_support::StatusCode::RESOURCE_EXHAUSTED;
  EXPECT_EQ(exhausted, 1u);
}

TEST_F(busy_skillsets_test, a_client_that_leaves_waits_for_nothing) {
  start_all(1);
  await([&] { return pool->stats().queued == 1; });
  questions[0].context.TryCancel();
  EXPECT_EQ(questions[0].wait().error_code(), testing_support::StatusCode::CANCELLED);
  slow.go.release();
}

TEST_F(busy_skillsets_test, a_gateway_that_stops_waits_for_nothing_either) {
  start_all(1);
  await([&] { return pool->stats().queued == 1; });
  begin_stop();
  pass(std::chrono::seconds{10});  // the drain
  EXPECT_EQ(questions[0].wait().error_code(), testing_support::StatusCode::UNAVAILABLE);
  slow.go.release();
  await_stop();
}

}  // namespace
}  // namespace troupe
