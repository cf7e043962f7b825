#pragma once

#include "actors/gateway/grpc/infer_call.hpp"

#include "troupe/node/v1/node.grpc.pb.h"

#include <memory>

namespace troupe {

/// What the node tells of itself that the Open Inference Protocol has no words for. Never blocks. Thread-safe.
class node_service final : public node::v1::Node::CallbackService {
 public:
  explicit node_service(std::shared_ptr<call_context> context);

  using context_t = grpc::CallbackServerContext;
  using reactor = grpc::ServerUnaryReactor;

  reactor* Devices(context_t*, const node::v1::DevicesRequest*, node::v1::DevicesResponse*) override;
  reactor* Metrics(context_t*, const node::v1::MetricsRequest*, node::v1::MetricsResponse*) override;
  reactor* Skillsets(context_t*, const node::v1::SkillsetsRequest*, node::v1::SkillsetsResponse*) override;

 private:
  const std::shared_ptr<call_context> context_;
};

}  // namespace troupe
