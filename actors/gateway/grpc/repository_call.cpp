#include "actors/gateway/grpc/repository_call.hpp"

#include "actors/gateway/grpc/status.hpp"

namespace troupe {

grpc::ServerUnaryReactor* repository_call::begin(const std::shared_ptr<call_context>& context,
                                                 grpc::CallbackServerContext& call,
                                                 const std::function<void(model_repository::told)>& ask) {
  if (!context->calls.enter()) {
    auto* refusal = call.DefaultReactor();
    refusal->Finish(to_grpc(shutting_down()));
    return refusal;
  }
  auto self = std::make_shared<repository_call>(context, call);
  self->self_ = self;
  self->on_cut_off_.emplace(context->scope.token().stop(), [self = self.get()] { self->answer(shutting_down()); });
  ask([self](const expected<void>& how) { self->answer(how); });
  return self.get();
}

repository_call::repository_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call)
    : context_(std::move(context)), call_(call) {}

void repository_call::answer(const expected<void>& how) {
  if (!answered_.exchange(true))
    Finish(how ? grpc::Status::OK : to_grpc(how.error(), call_));
}

void repository_call::OnCancel() {
  answer(make_error(status_code::cancelled, "the client cancelled the call or went away"));
}

void repository_call::OnDone() {
  on_cut_off_.reset();
  context_->calls.leave();
  // What was asked may still be on its way, and holds the call.
  const auto last = std::move(self_);
}

}  // namespace troupe
