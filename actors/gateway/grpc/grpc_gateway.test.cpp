#include "actors/gateway/grpc/grpc_gateway.hpp"

#include "actors/gateway/grpc/gateway_test.hpp"
#include "actors/gateway/grpc/testing.hpp"
#include "actors/serving/model_repository.hpp"
#include "actors/supervision/supervisor.hpp"

#include "inference/grpc_service.grpc.pb.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <array>
#include <random>
#include <semaphore>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using grpc::StatusCode;
using testing_support::await;
using testing_support::client_call;
using testing_support::echo;
using testing_support::gateway_test;
using testing_support::shared_object;

/// Asks gRPC's health service, whose messages have one field each: the name of a service (1), and a status (1).
grpc::ByteBuffer health_request(const std::string& service) {
  const std::string bytes = std::string{'\n', static_cast<char>(service.size())} + service;
  const grpc::Slice slice{bytes};
  return {&slice, 1};
}

/// 1 for SERVING, 2 for NOT_SERVING.
int health_status(const grpc::ByteBuffer& response) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(response.Dump(&slices).ok());
  std::string bytes;
  for (const auto& slice : slices)
    bytes.append(slice.begin(), slice.end());
  return bytes.size() == 2 ? bytes[1] : 0;
}

TEST_F(gateway_test, answers) {
  add_model(echo);
  ASSERT_FALSE(start());
  const auto one = call();
  const auto status = one->wait();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(one->response.model_name(), "m");
  EXPECT_EQ(one->response.model_version(), "1");
  EXPECT_EQ(one->response.id(), "7");
  EXPECT_EQ(one->response.outputs(0).name(), "output");
  EXPECT_EQ(one->response.raw_output_contents(0), "12345678");
}

TEST_F(gateway_test, answers_immediate_work) {
  add_model(echo, "m", 8, true);
  ASSERT_FALSE(start());
  for (int i = 0; i != 20; ++i)
    EXPECT_EQ(call()->code(), StatusCode::OK);
}

TEST_F(gateway_test, says_what_is_wrong_with_a_request) {
  add_model(echo);
  ASSERT_FALSE(start());
  const auto unknown = call("x")->wait();
  EXPECT_EQ(unknown.error_code(), StatusCode::NOT_FOUND);
  EXPECT_EQ(unknown.error_message(), "there is no model 'x'; RepositoryIndex lists the models");
  client_call malformed;
  malformed.request.mutable_inputs(0)->set_shape(0, 3);
  malformed.start(*stub);
  EXPECT_EQ(malformed.code(), StatusCode::INVALID_ARGUMENT);
}

// gRPC's peers refuse metadata of more than 8 KiB, and the code is lost with it.
TEST_F(gateway_test, says_what_is_wrong_with_a_request_that_is_full_of_rubbish) {
  add_model(echo);
  ASSERT_FALSE(start());
  const auto status = call(std::string(1 << 20, 'x'))->wait();
  EXPECT_EQ(status.error_code(), StatusCode::NOT_FOUND);
  EXPECT_LT(status.error_message().size(), 4096u);
  EXPECT_NE(call("\xff")->code(), StatusCode::OK) << "what is no protobuf is answered by gRPC";
}

TEST_F(gateway_test, a_full_queue_is_said_to_be_full) {
  const auto model = add_model(slow.as_told(), "m", 1);
  ASSERT_FALSE(start());
  const auto runs = call();
  await([&] { return slow.running == 1; });
  const auto queued = call();
  await([&] { return model->calls().stats().queued == 1; });
  EXPECT_EQ(call()->code(), StatusCode::RESOURCE_EXHAUSTED);
  slow.go.release(2);
  EXPECT_EQ(runs->code(), StatusCode::OK);
  EXPECT_EQ(queued->code(), StatusCode::OK);
}

TEST_F(gateway_test, a_call_cancelled_in_the_queue_leaves_it_at_once) {
  const auto model = add_model(slow.as_told());
  ASSERT_FALSE(start());
  const auto runs = call();
  await([&] { return slow.running == 1; });
  const auto queued = call();
  await([&] { return model->calls().stats().queued == 1; });
  queued->context.TryCancel();
  EXPECT_EQ(queued->code(), StatusCode::CANCELLED);
  await([&] { return model->calls().stats().queued == 0; });
  slow.go.release();
  EXPECT_EQ(runs->code(), StatusCode::OK);
  await([&] { return model->counts().read().executions == 1; });
  EXPECT_EQ(model->calls().stats().withdrawn, 1u);
}

TEST_F(gateway_test, a_call_cancelled_while_it_runs_keeps_its_slot_until_it_ends) {
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  const auto one = call();
  await([&] { return slow.running == 1; });
  one->context.TryCancel();
  EXPECT_EQ(one->code(), StatusCode::CANCELLED);
  await([&] { return slow.last.cancelled(); });
  EXPECT_EQ(slow.last.reason().cause, "the client cancelled the call or went away");
  EXPECT_EQ(pool->stats().busy, 1u);
  slow.go.release(2);
  await([&] { return pool->stats().busy == 0; });
  EXPECT_EQ(call()->code(), StatusCode::OK);
}

TEST_F(gateway_test, a_client_that_goes_away_cancels_its_call) {
  add_model(slow.until_cancelled());
  ASSERT_FALSE(start());
  client_call abandoned;
  {
    const auto own = inference::GRPCInferenceService::NewStub(channel());
    abandoned.start(*own);
    await([&] { return slow.running == 1; });
    abandoned.context.TryCancel();
  }
  abandoned.wait();
  await([&] { return pool->stats().busy == 0; });
}

TEST_F(gateway_test, a_deadline_ends_a_call_in_the_queue_and_one_that_runs) {
  const auto model = add_model(slow.as_told());
  ASSERT_FALSE(start());
  client_call runs, queued;
  runs.context.set_deadline(std::chrono::system_clock::now() + 300ms);
  runs.start(*stub);
  await([&] { return slow.running == 1; });
  EXPECT_LE(slow.last.deadline(), steady_clock::now() + 301ms);
  EXPECT_GE(slow.last.deadline(), steady_clock::now() - 10s);
  queued.context.set_deadline(std::chrono::system_clock::now() + 100ms);
  queued.start(*stub);
  EXPECT_EQ(queued.code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(runs.code(), StatusCode::DEADLINE_EXCEEDED);
  await([&] { return slow.last.cancelled() && model->calls().stats().queued == 0; });
  // Either side may notice first; a client that does hangs up.
  EXPECT_THAT(slow.last.reason().code, testing::AnyOf(status_code::deadline_exceeded, status_code::cancelled));
  slow.go.release();
}

TEST_F(gateway_test, a_deadline_in_the_far_future_is_far_away) {
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  client_call one;
  auto deadline = gpr_now(GPR_CLOCK_REALTIME);
  deadline.tv_sec += 20'000'000'000;  // 634 years, of which gRPC's own clients send 3
  one.context.set_deadline(deadline);
  one.start(*stub);
  await([&] { return slow.running == 1; });
  EXPECT_FALSE(slow.last.cancelled());
  EXPECT_GT(slow.last.deadline(), steady_clock::now() + std::chrono::hours{20'000});
  slow.go.release();
  EXPECT_EQ(one.code(), StatusCode::OK);
}

TEST_F(gateway_test, the_drain_answers_all_that_was_admitted_and_refuses_the_rest) {
  const auto model = add_model(slow.as_told());
  ASSERT_FALSE(start({.drain = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  const auto queued = call();
  await([&] { return model->calls().stats().queued == 1; });
  begin_stop();
  const auto ready = [&] {
    grpc::ClientContext context;
    inference::ServerReadyResponse response;
    EXPECT_TRUE(stub->ServerReady(&context, {}, &response).ok());
    return response.ready();
  };
  await([&] { return !ready(); });
  const auto late = call()->wait();
  EXPECT_EQ(late.error_code(), StatusCode::UNAVAILABLE);
  EXPECT_EQ(late.error_message(), "the node is shutting down; try another node");
  slow.go.release(2);
  EXPECT_EQ(runs->code(), StatusCode::OK);
  EXPECT_EQ(queued->code(), StatusCode::OK);
  await_stop();
}

TEST_F(gateway_test, what_is_not_done_when_the_drain_ends_is_cancelled) {
  const auto model = add_model(slow.until_cancelled());
  ASSERT_FALSE(start({.drain = 2h, .grace = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  const auto queued = call();
  await([&] { return model->calls().stats().queued == 1; });
  begin_stop();
  pass(2h - 1ms);
  EXPECT_FALSE(slow.last.cancelled());
  pass(1ms);
  await_stop();
  for (const auto& one : {runs, queued}) {
    const auto status = one->wait();
    EXPECT_EQ(status.error_code(), StatusCode::UNAVAILABLE);
    EXPECT_EQ(status.error_message(), "the node is shutting down; try another node");
  }
  await([&] { return model->counts().read().executions == 1; });
}

TEST_F(gateway_test, the_drain_can_be_skipped) {
  add_model(slow.until_cancelled());
  ASSERT_FALSE(start({.drain = 1h, .grace = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  begin_stop();
  skip.cancel(make_error(status_code::unavailable, "asked twice"));
  EXPECT_EQ(runs->code(), StatusCode::UNAVAILABLE);
  await_stop();
}

TEST_F(gateway_test, may_be_told_to_skip_the_drain_before_it_is_stopped) {
  add_model(slow.until_cancelled());
  ASSERT_FALSE(start({.drain = 1h, .grace = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  skip.cancel(make_error(status_code::unavailable, "asked twice"));
  stop();
  EXPECT_EQ(runs->code(), StatusCode::UNAVAILABLE);
}

TEST_F(gateway_test, ends_without_work_that_ignores_its_cancellation) {
  add_model(slow.as_told());
  ASSERT_FALSE(start({.drain = 0ms, .grace = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  begin_stop();
  pass(1h);
  await_stop();
  EXPECT_NE(runs->code(), StatusCode::OK);
  EXPECT_EQ(pool->stats().busy, 1u);
  slow.go.release();
}

TEST_F(gateway_test, the_grace_is_not_skipped) {
  add_model(slow.as_told());
  ASSERT_FALSE(start({.drain = 1h, .grace = 1h}));
  const auto runs = call();
  await([&] { return slow.running == 1; });
  skip.cancel(make_error(status_code::unavailable, "asked twice"));
  begin_stop();
  pass(1h - 1ms);
  self->receive([](const caf::down_msg&) { ADD_FAILURE() << "ended before its time"; }, caf::after(20ms) >> [] {});
  pass(1ms);
  await_stop();
  EXPECT_NE(runs->code(), StatusCode::OK);
  slow.go.release();
}

TEST_F(gateway_test, may_be_stopped_before_it_started) {
  gateway = spawn_grpc_gateway(system, {}, {routes, nullptr, devices, metrics}, skip.token(),
                               [](const std::string&) { ADD_FAILURE(); });
  stop();
}

TEST_F(gateway_test, says_that_its_port_is_taken) {
  ASSERT_FALSE(start());
  auto first = std::exchange(gateway, nullptr);
  listen = address;
  const auto failure = from_caf(start());
  EXPECT_EQ(failure.code, status_code::unavailable);
  EXPECT_EQ(failure.cause, "cannot listen on '" + listen + "'");
  stop();
  gateway = std::exchange(first, nullptr);
}

TEST_F(gateway_test, says_that_its_address_is_none) {
  listen = "nonsense";
  EXPECT_EQ(from_caf(start()).code, status_code::unavailable);
  stop();
}

TEST_F(gateway_test, a_health_watch_follows_its_model) {
  const auto model = add_model(echo);
  ASSERT_FALSE(start({.drain = 1h}));
  grpc::GenericStub generic{channel()};
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto watch = generic.PrepareCall(&context, "/grpc.health.v1.Health/Watch", &queue);
  const auto step = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto next = [&] {
    grpc::ByteBuffer response;
    watch->Read(&response, nullptr);
    return step() ? health_status(response) : -1;
  };
  watch->StartCall(nullptr);
  ASSERT_TRUE(step());
  watch->WriteLast(health_request("m"), {}, nullptr);
  ASSERT_TRUE(step());
  EXPECT_EQ(next(), 1);
  model->set_unavailable(make_error(status_code::internal, "broken"));
  EXPECT_EQ(next(), 2);
  testing_support::make_ready(*model);
  EXPECT_EQ(next(), 1);
  begin_stop();
  EXPECT_EQ(next(), 2) << "a node that drains serves no more";
  EXPECT_EQ(next(), -1);
  grpc::Status status;
  watch->Finish(&status, nullptr);
  EXPECT_TRUE(step());
  await_stop();
  queue.Shutdown();
  EXPECT_FALSE(step());
}

TEST_F(gateway_test, tensors_may_travel_in_shared_memory) {
  const shared_object object{"abcdefgh--------"};
  add_model(echo);
  ASSERT_FALSE(start());
  ASSERT_EQ(share("in", object, 0, 8).error_code(), StatusCode::OK);
  ASSERT_EQ(share("r", object, 8, 8).error_code(), StatusCode::OK);
  EXPECT_EQ(share("r", object, 8, 8).error_code(), StatusCode::ALREADY_EXISTS);
  client_call one;
  one.share_input();
  (*one.request.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param("in");
  one.share_output(8);
  one.start(*stub);
  const auto status = one.wait();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(object.content(), "abcdefghabcdefgh");
  EXPECT_EQ(one.response.outputs(0).parameters().at("shared_memory_region").string_param(), "r");
  EXPECT_EQ(one.response.raw_output_contents(0), "");
}

TEST_F(gateway_test, a_region_that_is_removed_serves_the_calls_that_use_it) {
  const shared_object object{"--------"};
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  ASSERT_EQ(share("r", object, 0, 8).error_code(), StatusCode::OK);
  client_call one;
  one.share_output(8);
  one.start(*stub);
  await([&] { return slow.running == 1; });
  ASSERT_EQ(unshare().error_code(), StatusCode::OK);
  object.unlink();
  slow.go.release();
  EXPECT_EQ(one.code(), StatusCode::OK);
  EXPECT_EQ(object.content(), "12345678");
  client_call other;
  other.share_input();
  other.start(*stub);
  EXPECT_EQ(other.code(), StatusCode::NOT_FOUND);
}

TEST_F(gateway_test, an_input_in_shared_memory_is_copied_when_it_arrives) {
  const shared_object object{"abcdefgh"};
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  ASSERT_EQ(share("r", object, 0, 8).error_code(), StatusCode::OK);
  client_call one;
  one.share_input();
  one.start(*stub);
  await([&] { return slow.running == 1; });
  object.resize(0);
  slow.go.release();
  EXPECT_EQ(one.code(), StatusCode::OK);
  EXPECT_EQ(one.response.raw_output_contents(0), "abcdefgh");
}

TEST_F(gateway_test, says_that_shared_memory_shrank_while_the_model_worked) {
  const shared_object object{"--------"};
  add_model(slow.as_told());
  ASSERT_FALSE(start());
  ASSERT_EQ(share("r", object, 0, 8).error_code(), StatusCode::OK);
  client_call one;
  one.share_output(8);
  one.start(*stub);
  await([&] { return slow.running == 1; });
  object.resize(4);
  slow.go.release();
  const auto status = one.wait();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("has become smaller"));
  EXPECT_EQ(object.content(), "----");
}

TEST_F(gateway_test, an_output_that_does_not_fit_into_shared_memory_is_named) {
  const shared_object object{"--------"};
  add_model(echo);
  ASSERT_FALSE(start());
  ASSERT_EQ(share("r", object, 0, 8).error_code(), StatusCode::OK);
  client_call one;
  one.share_output(7);
  one.start(*stub);
  const auto status = one.wait();
  EXPECT_EQ(status.error_code(), StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("output 'output' needs 8 bytes, more than the 7"));
  EXPECT_EQ(object.content(), "--------");
}

TEST_F(gateway_test, a_small_message_may_not_ask_for_much_of_shared_memory) {
  const shared_object object{"--------"};
  object.resize(1 << 20);
  add_model(echo);
  ASSERT_FALSE(start({.max_message_bytes = 1000}));
  ASSERT_EQ(share("r", object, 0, 1 << 20).error_code(), StatusCode::OK);
  client_call one;
  one.share_input();
  (*one.request.mutable_inputs(0)->mutable_parameters())["shared_memory_byte_size"].set_int64_param(1001);
  one.start(*stub);
  EXPECT_EQ(one.code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(gateway_test, says_what_it_does_not_implement) {
  ASSERT_FALSE(start());
  grpc::ClientContext context;
  inference::CudaSharedMemoryRegisterResponse response;
  const auto status = stub->CudaSharedMemoryRegister(&context, {}, &response);
  EXPECT_EQ(status.error_code(), StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(), "CUDA shared memory is not implemented by this server; use system shared memory");
}

/// Begins to load a model, with an owner of the models who never comes to it.
struct model_control_test : gateway_test {
  void begin_load() {
    loader = std::make_shared<model_repository>();
    owner = system.spawn([this](caf::event_based_actor* actor) -> caf::behavior {
      actor->set_default_handler([this](caf::scheduled_actor*, caf::message_view& what) -> caf::result<caf::message> {
        kept = what.move_content_to_message();
        asked.release();
        return caf::message{};
      });
      return {[](start_atom) {}};
    });
    loader->attach(owner);
    ASSERT_FALSE(start({.drain = std::chrono::milliseconds{20}}));
    stub->async()->RepositoryModelLoad(&context, &request, &response, [this](grpc::Status s) { status.set_value(s); });
    asked.acquire();
  }

  ~model_control_test() override {
    if (loader)
      loader->attach(nullptr);
    self->send_exit(owner, caf::exit_reason::kill);
  }

  caf::actor owner;
  caf::message kept;
  std::binary_semaphore asked{0};
  grpc::ClientContext context;
  inference::RepositoryModelLoadRequest request;
  inference::RepositoryModelLoadResponse response;
  std::promise<grpc::Status> status;
};

TEST_F(model_control_test, a_client_that_goes_waits_no_longer) {
  begin_load();
  context.TryCancel();
  EXPECT_EQ(status.get_future().get().error_code(), StatusCode::CANCELLED);
  stop();
}

TEST_F(model_control_test, the_end_of_the_gateway_is_the_end_of_waiting) {
  begin_load();
  begin_stop();
  pass(std::chrono::milliseconds{20});
  EXPECT_EQ(status.get_future().get().error_code(), StatusCode::UNAVAILABLE);
  await_stop();
}

/// Calls that are answered, cancelled, out of time, refused, and failed, all at once.
struct gateway_stress : gateway_test, testing::WithParamInterface<bool> {
  void work_through(std::atomic<bool>& ended) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::vector<std::jthread> threads;
    for (unsigned t = 0; t != 3; ++t)
      threads.emplace_back([&, t] {
        std::mt19937 random{seed + t};
        std::vector<std::unique_ptr<client_call>> calls;
        for (int i = 0; i != 300; ++i) {
          auto& one = *calls.emplace_back(std::make_unique<client_call>(random() % 8 == 0 ? "other" : "m"));
          if (random() % 4 == 0)
            one.context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds{random() % 20});
          one.start(*stub);
          if (random() % 3 == 0)
            calls[random() % calls.size()]->context.TryCancel();
          if (random() % 16 == 0)
            std::this_thread::sleep_for(1ms);
        }
        for (const auto& one : calls) {
          ++seen.at(one->code());
          EXPECT_EQ(one->answers, 1);
        }
      });
    threads.clear();
    ended = true;
  }

  /// How many answers had one of these codes.
  int count(std::initializer_list<StatusCode> codes) const {
    int sum = 0;
    for (const auto code : codes)
      sum += seen.at(code);
    return sum;
  }

  static constexpr std::initializer_list<StatusCode> expected_codes{
      StatusCode::OK, StatusCode::CANCELLED, StatusCode::DEADLINE_EXCEEDED, StatusCode::RESOURCE_EXHAUSTED,
      StatusCode::UNAVAILABLE};

  std::array<std::atomic<int>, 17> seen{};
};

INSTANTIATE_TEST_SUITE_P(immediate_and_not, gateway_stress, testing::Bool());

TEST_P(gateway_stress, every_call_is_answered_once) {
  const auto model = add_model(echo, "m", 16, GetParam());
  const auto other = add_model(echo, "other", 16, !GetParam());
  ASSERT_FALSE(start({.drain = 1h}));
  std::atomic<bool> ended = false;
  std::jthread flapping{[&] {
    while (!ended) {
      other->set_unavailable(make_error(status_code::internal, "broken"));
      testing_support::make_ready(*other);
      std::this_thread::sleep_for(1ms);
    }
  }};
  work_through(ended);
  flapping.join();
  EXPECT_EQ(count(expected_codes), 900);
  EXPECT_GT(count({StatusCode::OK}), 0);
  EXPECT_GT(count({StatusCode::CANCELLED}), 0);
  stop();  // which waits for every call of the server's side
  EXPECT_EQ(model->calls().stats().queued, 0u);
  EXPECT_EQ(other->calls().stats().queued, 0u);
  await([&] {
    const auto queue = model->calls().stats();
    return queue.admitted == model->counts().read().executions + queue.withdrawn;
  });
}

TEST_P(gateway_stress, every_call_is_answered_when_the_gateway_ends_in_the_middle) {
  skip = cancel_scope{};  // by the real clock
  add_model(echo, "m", 16, GetParam());
  add_model(echo, "other", 16, !GetParam());
  ASSERT_FALSE(start({.drain = 5ms, .grace = 5ms}));
  std::atomic<bool> ended = false;
  std::jthread stopping{[&] {
    std::this_thread::sleep_for(20ms);
    caf::scoped_actor own{system};
    own->send_exit(gateway, caf::exit_reason::user_shutdown);
    own->wait_for(gateway);
  }};
  work_through(ended);
  stopping.join();
  gateway = nullptr;
  EXPECT_EQ(count(expected_codes), 900);
}

}  // namespace
}  // namespace troupe
