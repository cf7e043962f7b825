#include "actors/gateway/grpc/infer_call.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/grpc/codec.hpp"
#include "actors/gateway/grpc/infer_messages.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"
#include "actors/serving/validate.hpp"

namespace troupe {
namespace {

/// gRPC's deadline, which is wall-clock time, on the clock of deadlines.
steady_clock::time_point deadline_of(const grpc::CallbackServerContext& call, steady_clock::time_point now) {
  const auto deadline = call.deadline();
  if (deadline == std::chrono::system_clock::time_point::max())
    return no_deadline;
  return now + (deadline - std::chrono::system_clock::now());
}

}  // namespace

grpc::ServerUnaryReactor* infer_call::begin(const std::shared_ptr<call_context>& context,
                                            grpc::CallbackServerContext& call,
                                            const inference::ModelInferRequest& request,
                                            inference::ModelInferResponse& response) {
  if (!context->calls.enter()) {
    auto* refusal = call.DefaultReactor();
    refusal->Finish(to_grpc(make_error(status_code::unavailable, "the node is shutting down", "try another node")));
    return refusal;
  }
  auto self = std::make_shared<infer_call>(context, call, request, response);
  self->self_ = self;
  const auto& messages = static_cast<infer_holder*>(call.GetRpcAllocatorState())->messages();
  if (const auto submitted = self->submit(self, messages); !submitted)
    self->respond(submitted.error());
  return self.get();
}

infer_call::infer_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call,
                       const inference::ModelInferRequest& request, inference::ModelInferResponse& response)
    : inference_call(deadline_of(call, steady_clock::now()), context->scope.token()),
      context_(std::move(context)),
      request_(request),
      response_(response),
      began_(steady_clock::now()) {}

expected<void> infer_call::submit(std::shared_ptr<infer_call> self, const std::shared_ptr<const void>& owner) {
  auto found = context_->routes->find(request_.model_name(), request_.model_version());
  if (!found)
    return found.error();
  model_ = *std::move(found);
  if (const auto* what = model_->describe()) {
    auto decoded = decode(request_, owner);
    if (!decoded)
      return decoded.error();
    input = *std::move(decoded);
    if (const auto valid = validate_inputs(input.inputs, *what, model_->folder().limits.items); !valid)
      return valid.error();
    if (const auto valid = check_requested_outputs(request_, *what); !valid)
      return valid.error();
  }
  return model_->submit(std::move(self));
}

void infer_call::respond(expected<inference_response> answer) {
  if (answered_.exchange(true))
    return;
  if (answer) {
    encode(*answer, request_, model_->version(), response_);
    log(nullptr);
    Finish(grpc::Status::OK);
  } else {
    log(&answer.error());
    Finish(to_grpc(answer.error()));
  }
}

void infer_call::OnCancel() {
  const auto token = this->token();
  if (!token.cancelled())
    scope().cancel(make_error(status_code::cancelled, "the client cancelled the call or went away"));
  else
    scope().cancel(token.reason());
  if (model_)
    model_->withdraw(*this);
  respond(token.reason());
}

void infer_call::OnDone() {
  context_->calls.leave();
  // Whoever still runs the call holds it; otherwise it ends here.
  const auto last = std::move(self_);
}

void infer_call::log(const error* failure) const {
  const auto level = failure ? spdlog::level::info : spdlog::level::debug;
  if (!logs(level))
    return;
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - began_;
  const auto code = failure ? to_string(failure->code) : std::string_view{"OK"};
  if (failure)
    log_event(level, "request",
              {{"id", request_.id()},
               {"model", request_.model_name()},
               {"code", code},
               {"ms", took.count()},
               {"reason", failure->message()}});
  else
    log_event(level, "request",
              {{"id", request_.id()}, {"model", request_.model_name()}, {"code", code}, {"ms", took.count()}});
}

}  // namespace troupe
