#pragma once

#include "actors/gateway/grpc/infer_call.hpp"
#include "actors/serving/model_repository.hpp"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

namespace troupe {

/// One call that waits for the model repository: for its answer, and no longer than the client waits or the gateway
/// runs. What was asked for takes place nevertheless. It keeps itself alive until gRPC is done with it.
class repository_call final : public grpc::ServerUnaryReactor {
 public:
  /// Asks, handing over what is to be told.
  static grpc::ServerUnaryReactor* begin(const std::shared_ptr<call_context>& context,
                                         grpc::CallbackServerContext& call,
                                         const std::function<void(model_repository::told)>& ask);

  repository_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call);

 private:
  void OnCancel() override;
  void OnDone() override;
  void answer(const expected<void>& how);

  const std::shared_ptr<call_context> context_;
  grpc::CallbackServerContext& call_;
  std::shared_ptr<repository_call> self_;
  std::atomic<bool> answered_ = false;
  std::optional<std::stop_callback<std::function<void()>>> on_cut_off_;
};

}  // namespace troupe
