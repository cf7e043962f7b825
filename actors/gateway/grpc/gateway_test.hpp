#pragma once

#include "actors/concurrency/virtual_clock.hpp"
#include "actors/execution/device_actor.hpp"
#include "actors/gateway/grpc/grpc_gateway.hpp"
#include "actors/gateway/grpc/testing.hpp"
#include "actors/serving/instance_runner.hpp"
#include "actors/serving/node_metrics.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/testing.hpp"
#include "actors/supervision/supervisor.hpp"

#include "inference/grpc_service.grpc.pb.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <future>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

/// What the tests of a running gateway share.
namespace troupe::testing_support {

using grpc::StatusCode;

/// One ModelInfer call of a client.
class client_call {
 public:
  explicit client_call(const std::string& model = "m") {
    request.set_model_name(model);
    request.set_id("7");
    auto& input = *request.add_inputs();
    input.set_name("input");
    input.set_datatype("FP32");
    input.add_shape(2);
    request.add_raw_input_contents("12345678");
  }

  void start(inference::GRPCInferenceService::Stub& stub) {
    stub.async()->ModelInfer(&context, &request, &response, [this](grpc::Status s) {
      ++answers;
      status.set_value(std::move(s));
    });
  }

  grpc::Status wait() { return status.get_future().get(); }
  StatusCode code() { return wait().error_code(); }

  /// Has the output written into the region `r`.
  void share_output(std::int64_t size) {
    auto& output = *request.add_outputs();
    output.set_name("output");
    (*output.mutable_parameters())["shared_memory_region"].set_string_param("r");
    (*output.mutable_parameters())["shared_memory_byte_size"].set_int64_param(size);
  }

  /// Has the input read from the region `r`.
  void share_input() {
    auto& parameters = *request.mutable_inputs(0)->mutable_parameters();
    parameters["shared_memory_region"].set_string_param("r");
    parameters["shared_memory_byte_size"].set_int64_param(8);
    request.clear_raw_input_contents();
  }

  grpc::ClientContext context;
  inference::ModelInferRequest request;
  inference::ModelInferResponse response;
  std::atomic<int> answers = 0;

 private:
  std::promise<grpc::Status> status;
};

inline expected<inference_response> echo(const inference_request& request, const cancel_token&) {
  inference_response response;
  response.outputs = request.inputs;
  response.outputs.front().name = "output";
  return response;
}

/// Work that says when it has begun, and ends when it is let.
struct gated_work {
  work as_told() {
    return [this](const inference_request& request, const cancel_token& token) {
      last = token;
      ++running;
      go.acquire();
      return echo(request, token);
    };
  }

  /// Ends when it is cancelled.
  work until_cancelled() {
    return [this](const inference_request&, const cancel_token& token) -> expected<inference_response> {
      ++running;
      await([&] { return token.cancelled(); });
      return token.reason();
    };
  }

  cancel_token last;
  std::atomic<int> running = 0;
  std::counting_semaphore<> go{0};
};

/// A gateway over models whose work is a function of the test, and a client.
struct gateway_test : testing::Test {
  std::shared_ptr<served_model> add_model(work what, const std::string& name = "m", std::size_t queue = 8,
                                          bool immediate = false) {
    return add_model(std::make_unique<scripted_instance>(std::move(what), immediate), name, queue, false);
  }

  std::shared_ptr<served_model> add_model(std::unique_ptr<instance> worker, const std::string& name, std::size_t queue,
                                          bool decoupled) {
    model_folder folder;
    folder.name = name;
    folder.queue.capacity = queue;
    auto model = std::make_shared<served_model>(std::move(folder), [this] { routes->notify(); });
    routes->insert(model);
    const tensor_spec input{"input", datatype::any, {}, true}, output{"output", datatype::any, {}, true};
    make_ready(*model, {{input}, {output}, false, decoupled});
    runners.push_back(instance_runner::make(std::move(worker), model, pool));
    runners.back()->start();
    return model;
  }

  caf::error start(grpc_settings settings = {}) {
    settings.listen = listen;
    settings.shared_memory = true;
    std::promise<std::string> listening;
    gateway = spawn_grpc_gateway(system, settings, {routes, loader, devices, metrics}, skip.token(),
                                 [&](std::string bound) { listening.set_value(std::move(bound)); });
    caf::error failure;
    self->request(gateway, caf::infinite, start_atom::value).receive([] {}, [&](const caf::error& e) { failure = e; });
    if (failure)
      return failure;
    address = listening.get_future().get();
    stub = inference::GRPCInferenceService::NewStub(channel());
    return {};
  }

  std::shared_ptr<grpc::Channel> channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
  }

  std::shared_ptr<client_call> call(const std::string& model = "m") const {
    auto result = std::make_shared<client_call>(model);
    result->start(*stub);
    return result;
  }

  grpc::Status share(const std::string& name, const shared_object& object, std::uint64_t offset,
                     std::uint64_t size) const {
    grpc::ClientContext context;
    inference::SystemSharedMemoryRegisterRequest request;
    request.set_name(name);
    request.set_key(object.key());
    request.set_offset(offset);
    request.set_byte_size(size);
    inference::SystemSharedMemoryRegisterResponse response;
    return stub->SystemSharedMemoryRegister(&context, request, &response);
  }

  /// Unregisters every region.
  grpc::Status unshare() const {
    grpc::ClientContext context;
    inference::SystemSharedMemoryUnregisterResponse response;
    return stub->SystemSharedMemoryUnregister(&context, {}, &response);
  }

  void begin_stop() {
    self->monitor(gateway);
    self->send_exit(gateway, caf::exit_reason::user_shutdown);
  }

  void await_stop() {
    self->receive([&](const caf::down_msg& down) { EXPECT_EQ(down.reason, caf::exit_reason::user_shutdown); });
    gateway = nullptr;
  }

  void stop() {
    begin_stop();
    await_stop();
  }

  /// Lets the drain, or the grace, of a gateway that waits for it be over after `time`.
  void pass(std::chrono::milliseconds time) {
    await([&] { return clock.armed() == 1; });
    clock.advance(time);
  }

  ~gateway_test() override {
    skip.cancel(make_error(status_code::unavailable, "the test has ended"));
    if (gateway) {
      self->send_exit(gateway, caf::exit_reason::user_shutdown);
      self->wait_for(gateway);
    }
    slow.go.release(8);
    for (const auto& runner : runners) {
      std::binary_semaphore stopped{0};
      runner->stop(make_error(status_code::unavailable, "stopping"), [&] { stopped.release(); });
      stopped.acquire();
    }
  }

  gated_work slow;  // before what runs it
  std::string listen = "127.0.0.1:0";
  std::shared_ptr<router> routes = std::make_shared<router>();
  std::shared_ptr<model_repository> loader;
  std::shared_ptr<executor_pool> pool = std::make_shared<executor_pool>("CPU", pool_capacity{2});
  std::shared_ptr<device_table> devices = std::make_shared<device_table>();
  std::shared_ptr<node_metrics> metrics = std::make_shared<node_metrics>(routes, devices);
  std::vector<std::shared_ptr<instance_runner>> runners;
  virtual_clock clock;
  cancel_scope skip{scope_options{.clock = &clock}};
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor gateway;
  std::string address;
  std::unique_ptr<inference::GRPCInferenceService::Stub> stub;
};

}  // namespace troupe::testing_support
