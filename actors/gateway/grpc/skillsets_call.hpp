#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/grpc/infer_call.hpp"

#include "troupe/node/v1/node.pb.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <vector>

namespace troupe {

struct skillset_listing;

/// One call that lists the skillsets: on a thread of the processor's pool, because it may have to wait for processes,
/// and no longer than the client waits or the gateway runs. It keeps itself alive until gRPC is done with it.
class skillsets_call final : public grpc::ServerUnaryReactor {
 public:
  static grpc::ServerUnaryReactor* begin(const std::shared_ptr<call_context>& context,
                                         grpc::CallbackServerContext& call, node::v1::SkillsetsResponse& response);

  skillsets_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call,
                 node::v1::SkillsetsResponse& response);
  ~skillsets_call() override;

 private:
  void OnCancel() override;
  void OnDone() override;
  void list();
  void answer(const expected<std::vector<skillset_listing>>& found);

  const std::shared_ptr<call_context> context_;
  grpc::CallbackServerContext& call_;
  node::v1::SkillsetsResponse& response_;
  cancel_scope scope_;
  std::shared_ptr<skillsets_call> self_;
  std::atomic<bool> answered_ = false;
  std::optional<std::stop_callback<std::function<void()>>> on_cut_off_;
};

}  // namespace troupe
