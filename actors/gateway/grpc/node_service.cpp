#include "actors/gateway/grpc/node_service.hpp"

#include "actors/execution/device_actor.hpp"
#include "actors/gateway/grpc/device_messages.hpp"
#include "actors/gateway/grpc/metrics_messages.hpp"
#include "actors/gateway/grpc/skillsets_call.hpp"
#include "actors/serving/node_metrics.hpp"

namespace troupe {

node_service::node_service(std::shared_ptr<call_context> context) : context_(std::move(context)) {}

grpc::ServerUnaryReactor* node_service::Devices(context_t* context, const node::v1::DevicesRequest*,
                                                node::v1::DevicesResponse* response) {
  for (const auto& running : context_->devices->all())
    describe_device(running, *response->add_devices());
  auto* unary = context->DefaultReactor();
  unary->Finish(grpc::Status::OK);
  return unary;
}

grpc::ServerUnaryReactor* node_service::Metrics(context_t* context, const node::v1::MetricsRequest*,
                                                node::v1::MetricsResponse* response) {
  for (const auto& family : context_->metrics->collect())
    describe_metrics(family, *response->add_families());
  auto* unary = context->DefaultReactor();
  unary->Finish(grpc::Status::OK);
  return unary;
}

grpc::ServerUnaryReactor* node_service::Skillsets(context_t* context, const node::v1::SkillsetsRequest*,
                                                  node::v1::SkillsetsResponse* response) {
  return skillsets_call::begin(context_, *context, *response);
}

}  // namespace troupe
