#include "apps/troupe/client.hpp"

#include "apps/troupe/format.hpp"
#include "inference/grpc_service.grpc.pb.h"
#include "troupe/node/v1/node.grpc.pb.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <charconv>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <mutex>
#include <stop_token>
#include <utility>

namespace troupe::cli {
namespace {

namespace wire = inference;
using seconds = std::chrono::duration<double>;

constexpr int reconnect_ms = 100;
constexpr int reconnect_at_most_ms = 1000;

std::shared_ptr<grpc::Channel> connect(const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  // A proxy for the web, set for the whole shell, is not a way to a node.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, reconnect_ms);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, reconnect_at_most_ms);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, reconnect_at_most_ms);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

std::chrono::system_clock::time_point deadline_after(seconds timeout) {
  // Longer than any run of the program; without it a huge timeout would overflow into the past.
  constexpr seconds at_most{std::chrono::hours{24 * 365}};
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(std::min(timeout, at_most));
}

std::string in_seconds(seconds time) {
  std::string text;
  append_short_number(text, time.count());
  return text + " s";
}

/// The only kind of code that gRPC itself may make up outside its own list becomes UNKNOWN.
status_code to_code(grpc::StatusCode code) noexcept {
  const auto number = static_cast<int>(code);
  return number >= 0 && number <= static_cast<int>(status_code::unauthenticated) ? static_cast<status_code>(number)
                                                                                 : status_code::unknown;
}

/// The error that a stream's `error_message` tells: a Troupe node begins it with the code.
error read_error(std::string_view text) {
  for (int code = 1; code <= static_cast<int>(status_code::unauthenticated); ++code) {
    const auto name = to_string(static_cast<status_code>(code));
    if (text.starts_with(name) && text.substr(name.size()).starts_with(": "))
      return make_error(static_cast<status_code>(code), std::string{text.substr(name.size() + 2)});
  }
  return make_error(status_code::unknown, std::string{text});
}

/// One stream with one request on it. Each step waits until it is done or its time is over; after a step that failed,
/// only `finish` makes sense.
class exchange {
 public:
  exchange(wire::GRPCInferenceService::Stub& stub, seconds timeout)
      : timeout_(timeout), stream_(stub.PrepareAsyncModelStreamInfer(&context_, &queue_)) {}

  ~exchange() {
    queue_.Shutdown();
    void* tag = nullptr;
    for (bool ok = false; queue_.Next(&tag, &ok);) {
    }
  }

  void cancel() { context_.TryCancel(); }

  bool send(const wire::ModelInferRequest& request) {
    stream_->StartCall(this);
    if (!done())
      return false;
    stream_->WriteLast(request, {}, this);
    return done();
  }

  bool receive(wire::ModelStreamInferResponse& response) {
    stream_->Read(&response, this);
    return done();
  }

  grpc::Status finish() {
    grpc::Status status;
    stream_->Finish(&status, this);
    done();
    return timed_out_ ? grpc::Status{grpc::StatusCode::DEADLINE_EXCEEDED, {}} : status;
  }

 private:
  bool done() {
    void* tag = nullptr;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, deadline_after(timeout_)) != grpc::CompletionQueue::TIMEOUT)
      return ok;
    timed_out_ = true;
    cancel();
    queue_.Next(&tag, &ok);
    return false;
  }

  seconds timeout_;
  bool timed_out_ = false;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<wire::ModelInferRequest, wire::ModelStreamInferResponse>> stream_;
};

}  // namespace

struct client::state {
  std::string target;
  seconds timeout;
  cancel_token token;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<wire::GRPCInferenceService::Stub> stub;
  std::unique_ptr<node::v1::Node::Stub> about_node;

  error explain(const grpc::Status& status, const cancel_token& part = {}) const {
    for (const auto* scope : {&token, &part})
      if (scope->cancelled())
        return scope->reason();
    const auto code = to_code(status.error_code());
    const bool connected = channel->GetState(false) == GRPC_CHANNEL_READY;
    if (code == status_code::deadline_exceeded)
      return make_error(
          code, (connected ? "no answer from " : "no connection to ") + target + " within " + in_seconds(timeout),
          connected ? "give it more with --timeout" : "see that the node runs and --target is right");
    if (code == status_code::unavailable && !connected)
      return make_error(code, "nobody answers at " + target + ": " + status.error_message(),
                        "start one with 'troupe-node', or say where it is with --target");
    return make_error(code, status.error_message());
  }

  template <class Stub, class Request, class Response>
  expected<Response> call(Stub& of, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(deadline_after(timeout));
    const std::stop_callback cancel{token.stop(), [&] { context.TryCancel(); }};
    Response response;
    const auto status = (of.*method)(&context, request, &response);
    if (!status.ok())
      return explain(status);
    return response;
  }

  /// What only a Troupe node tells of itself.
  template <class Request, class Response>
  expected<Response> ask_node(grpc::Status (node::v1::Node::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                           Response*),
                              const Request& request, const std::string& what) {
    auto response = call(*about_node, method, request);
    if (!response && response.error().code == status_code::unimplemented)
      return make_error(status_code::unimplemented, target + " tells nothing of " + what, "ask a Troupe node");
    return response;
  }
};

expected<void> check_target(std::string_view target) {
  const auto wrong = [&](std::string what) {
    return make_error(status_code::invalid_argument, "target '" + std::string{target} + "' " + std::move(what),
                      "write HOST:PORT, such as 127.0.0.1:8001, [IPv6]:PORT, or unix:PATH");
  };
  if (target.starts_with("unix:"))
    return target.size() > 5 ? expected<void>{} : wrong("has no path");
  const auto colon = target.rfind(':');
  if (colon == std::string_view::npos)
    return wrong("has no port");
  const auto host = target.substr(0, colon);
  const auto port = target.substr(colon + 1);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (host.empty() || host == "[]")
    return wrong("has no host");
  if ((!bracketed && host.find(':') != std::string_view::npos) || host.find('/') != std::string_view::npos)
    return wrong("is not a host and a port");
  std::uint16_t number = 0;
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (failure != std::errc{} || end != port.data() + port.size() || number == 0)
    return wrong("has no port between 1 and 65535");
  return {};
}

client::client(std::string target, seconds timeout, cancel_token token) : state_(std::make_unique<state>()) {
  state_->channel = connect(target);
  state_->stub = wire::GRPCInferenceService::NewStub(state_->channel);
  state_->about_node = node::v1::Node::NewStub(state_->channel);
  state_->target = std::move(target);
  state_->timeout = timeout;
  state_->token = std::move(token);
}

client::~client() = default;

expected<bool> client::ready() {
  auto response =
      state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::ServerReady, wire::ServerReadyRequest{});
  if (!response)
    return response.error();
  return response->ready();
}

expected<wire::ServerMetadataResponse> client::server() {
  return state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::ServerMetadata, wire::ServerMetadataRequest{});
}

expected<wire::RepositoryIndexResponse> client::index() {
  return state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::RepositoryIndex,
                      wire::RepositoryIndexRequest{});
}

expected<wire::ModelMetadataResponse> client::metadata(const std::string& model, const std::string& version) {
  wire::ModelMetadataRequest request;
  request.set_name(model);
  request.set_version(version);
  return state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::ModelMetadata, request);
}

expected<wire::ModelConfigResponse> client::config(const std::string& model) {
  wire::ModelConfigRequest request;
  request.set_name(model);
  return state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::ModelConfig, request);
}

expected<void> client::load(const std::string& model, const std::string& settings) {
  wire::RepositoryModelLoadRequest request;
  request.set_model_name(model);
  if (!settings.empty())
    (*request.mutable_parameters())["settings"].set_string_param(settings);
  const auto answer = state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::RepositoryModelLoad, request);
  return answer ? expected<void>{} : answer.error();
}

expected<void> client::unload(const std::string& model) {
  wire::RepositoryModelUnloadRequest request;
  request.set_model_name(model);
  const auto answer = state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::RepositoryModelUnload, request);
  return answer ? expected<void>{} : answer.error();
}

expected<wire::ModelInferResponse> client::infer(const wire::ModelInferRequest& request) {
  if (request.ByteSizeLong() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    return make_error(status_code::resource_exhausted, "the request is larger than the 2 GiB that protobuf can carry");
  return state_->call(*state_->stub, &wire::GRPCInferenceService::Stub::ModelInfer, request);
}

expected<void> client::stream(const wire::ModelInferRequest& request, const cancel_token& part,
                              const std::function<bool(const wire::ModelInferResponse&)>& take) {
  exchange with{*state_->stub, state_->timeout};
  const std::stop_callback when_all_ends{state_->token.stop(), [&] { with.cancel(); }};
  const std::stop_callback when_it_ends{part.stop(), [&] { with.cancel(); }};
  wire::ModelStreamInferResponse response;
  for (bool alive = with.send(request); alive && with.receive(response);) {
    const bool failed = !response.error_message().empty();
    if (!failed && take(response.infer_response()))
      continue;
    with.cancel();
    with.finish();
    return failed ? expected<void>{read_error(response.error_message())} : expected<void>{};
  }
  const auto status = with.finish();
  return status.ok() ? expected<void>{} : state_->explain(status, part);
}

expected<node::v1::DevicesResponse> client::devices() {
  return state_->ask_node(&node::v1::Node::Stub::Devices, node::v1::DevicesRequest{}, "its devices");
}

expected<node::v1::MetricsResponse> client::metrics() {
  return state_->ask_node(&node::v1::Node::Stub::Metrics, node::v1::MetricsRequest{}, "what it counts");
}

expected<node::v1::SkillsetsResponse> client::skillsets() {
  return state_->ask_node(&node::v1::Node::Stub::Skillsets, node::v1::SkillsetsRequest{}, "its skillsets");
}

const std::string& client::target() const noexcept {
  return state_->target;
}

bool client::pause(seconds time) const {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock{mutex};
  changed.wait_for(lock, state_->token.stop(), time, [] { return false; });
  return !state_->token.cancelled();
}

}  // namespace troupe::cli
