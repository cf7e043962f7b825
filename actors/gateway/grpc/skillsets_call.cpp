#include "actors/gateway/grpc/skillsets_call.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/execution/executor_pool.hpp"
#include "actors/gateway/grpc/skillset_messages.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/serving/skillset_catalog.hpp"

#include <exception>
#include <utility>

namespace troupe {
namespace {

/// Calls at once: each is a job of a pool, whose queue has no other bound.
constexpr int most_calls = 16;

grpc::ServerUnaryReactor* refuse(grpc::CallbackServerContext& call, const error& why) {
  auto* refusal = call.DefaultReactor();
  refusal->Finish(to_grpc(why, call));
  return refusal;
}

}  // namespace

grpc::ServerUnaryReactor* skillsets_call::begin(const std::shared_ptr<call_context>& context,
                                                grpc::CallbackServerContext& call,
                                                node::v1::SkillsetsResponse& response) {
  const auto pool = context->devices->find("CPU");
  if (!context->skillsets || !pool)
    return refuse(call, make_error(status_code::unimplemented, "this node tells nothing of its skillsets"));
  if (!context->calls.enter())
    return refuse(call, shutting_down());
  auto self = std::make_shared<skillsets_call>(context, call, response);
  self->self_ = self;
  self->on_cut_off_.emplace(context->scope.token().stop(), [self = self.get()] { self->answer(shutting_down()); });
  if (++context->listings > most_calls)
    self->answer(make_error(status_code::resource_exhausted,
                            std::to_string(most_calls) + " calls that list the skillsets are under way already",
                            "wait for their answers"));
  else if (!pool->submit(make_job([self] { self->list(); })))
    self->answer(shutting_down());
  return self.get();
}

skillsets_call::skillsets_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call,
                               node::v1::SkillsetsResponse& response)
    : context_(std::move(context)), call_(call), response_(response) {}

/// When the job is gone as well, and not only the client.
skillsets_call::~skillsets_call() {
  --context_->listings;
}

void skillsets_call::list() {
  try {
    answer(context_->skillsets->list(scope_.token()));
  } catch (const std::exception& e) {
    answer(make_error(status_code::internal, std::string{"listing the skillsets failed: "} + e.what()));
  }
}

void skillsets_call::answer(const expected<std::vector<skillset_listing>>& found) {
  if (answered_.exchange(true))
    return;
  if (!found) {
    scope_.cancel(found.error());
    Finish(to_grpc(found.error(), call_));
    return;
  }
  for (const auto& listing : *found)
    describe_skillset(listing, *response_.add_skillsets());
  Finish(grpc::Status::OK);
}

void skillsets_call::OnCancel() {
  answer(make_error(status_code::cancelled, "the client cancelled the call or went away"));
}

void skillsets_call::OnDone() {
  on_cut_off_.reset();
  context_->calls.leave();
  const auto last = std::move(self_);
}

}  // namespace troupe
