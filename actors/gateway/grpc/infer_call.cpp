#include "actors/gateway/grpc/infer_call.hpp"

#include "actors/gateway/grpc/codec.hpp"
#include "actors/gateway/grpc/deadline.hpp"
#include "actors/gateway/grpc/gateway_thread.hpp"
#include "actors/gateway/grpc/infer_messages.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/gateway/request_log.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"
#include "skillsets/sdk/validate.hpp"

#include <exception>
#include <functional>

namespace troupe {

grpc::ServerUnaryReactor* infer_call::begin(const std::shared_ptr<call_context>& context,
                                            grpc::CallbackServerContext& call,
                                            const inference::ModelInferRequest& request,
                                            inference::ModelInferResponse& response) {
  if (!context->calls.enter()) {
    auto* refusal = call.DefaultReactor();
    refusal->Finish(to_grpc(shutting_down()));
    return refusal;
  }
  auto self = std::make_shared<infer_call>(context, call, request, response);
  self->self_ = self;
  const auto& messages = static_cast<infer_holder*>(call.GetRpcAllocatorState())->messages();
  try {
    if (const auto submitted = self->submit(self, messages); !submitted)
      self->respond(submitted.error());
  } catch (const std::exception& e) {
    // Such as std::bad_alloc. Past this point gRPC would drop the reactor, and the call would stay in the gate.
    self->respond(make_error(status_code::internal, std::string{"reading the request failed: "} + e.what()));
  }
  return self.get();
}

infer_call::infer_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call,
                       const inference::ModelInferRequest& request, inference::ModelInferResponse& response)
    : inference_call(deadline_of(call), context->scope.token()),
      context_(std::move(context)),
      call_(call),
      request_(request),
      response_(response),
      began_(steady_clock::now()) {}

expected<void> infer_call::submit(std::shared_ptr<infer_call> self, const std::shared_ptr<const void>& owner) {
  auto entered = context_->routes->enter(request_.model_name(), request_.model_version());
  if (!entered)
    return entered.error();
  model_ = *std::move(entered);
  if (model_->describe()->decoupled)
    return make_error(
        status_code::unimplemented,
        "ModelInfer RPC doesn't support models with decoupled transaction policy, as '" + model_->name() + "' is",
        "use ModelStreamInfer");
  const auto deadline = scope().deadline();
  if (auto read = read_call(request_, owner, {context_->memory, context_->most_shared_bytes}, *model_, *this); !read)
    return read;
  if (scope().deadline() < deadline)
    timeout_.emplace(inference_call::token().stop(), [this] { give_up(); });
  auto shared = shared_outputs::of(request_, context_->memory);
  if (!shared)
    return shared.error();
  shared_outputs_ = *std::move(shared);
  client = std::hash<std::string>{}(call_.peer());
  const gateway_thread here;
  return model_->submit(std::move(self));
}

void infer_call::respond(expected<inference_response> answer) {
  if (answered_.exchange(true))
    return;
  if (answer)
    if (const auto written = shared_outputs_.write(*answer); !written)
      answer = written.error();
  if (answer) {
    const auto began = steady_clock::now();
    encode(*answer, request_, model_->version(), shared_outputs_, response_);
    commit();
    model_->counts().input_read(admitted_at() - began_);
    model_->counts().output_written(steady_clock::now() - began);
    log_request(request_.id(), request_.model_name(), began_, nullptr);
    Finish(grpc::Status::OK);
  } else {
    log_request(request_.id(), request_.model_name(), began_, &answer.error());
    Finish(to_grpc(answer.error(), call_));
  }
}

void infer_call::complete() {
  respond(make_error(status_code::internal, "the skillset ended the request without a response"));
}

void infer_call::OnCancel() {
  const auto token = this->token();
  if (!token.cancelled())
    scope().cancel(make_error(status_code::cancelled, "the client cancelled the call or went away"));
  else
    scope().cancel(token.reason());
  give_up();
}

/// Answers a cancelled call at once, wherever it is.
void infer_call::give_up() {
  if (model_)
    model_->withdraw(*this);
  respond(token().reason());
}

void infer_call::OnDone() {
  context_->calls.leave();
  // Whoever still runs the call holds it; otherwise it ends here.
  const auto last = std::move(self_);
}

}  // namespace troupe
