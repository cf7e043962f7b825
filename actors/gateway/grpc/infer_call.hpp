#pragma once

#include "actors/concurrency/gate.hpp"
#include "actors/gateway/grpc/shared_tensors.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

namespace troupe {

class device_table;
class model_repository;
class node_metrics;
class router;
class skillset_catalog;

/// What the calls of one gateway share.
struct call_context {
  std::shared_ptr<router> routes;
  std::shared_ptr<model_repository> loader;
  std::shared_ptr<device_table> devices;
  std::shared_ptr<const node_metrics> metrics;
  std::shared_ptr<skillset_catalog> skillsets;
  gate calls;                     ///< every call that may wait, stream, and request on one, that is not done
  std::atomic<int> listings = 0;  ///< of skillsets, under way
  cancel_scope scope;             ///< around all of them
  cancel_scope closing;  ///< cancelled once the gate is closed, so that streams end that have nothing under way
  shared_memory memory;
  bool controls_models = false;         ///< clients may load and unload them; then there is a loader
  bool shares_memory = false;           ///< clients may register theirs
  std::uint64_t most_shared_bytes = 0;  ///< that the inputs of a call may have in shared memory
};

/// One ModelInfer call: from gRPC's thread into the model's queue, and from whichever thread answers back to gRPC.
/// It keeps itself alive until gRPC is done with it.
class infer_call final : public inference_call, public grpc::ServerUnaryReactor {
 public:
  /// Takes a call on: routes, decodes, validates and submits it, or answers it at once with what is wrong.
  static grpc::ServerUnaryReactor* begin(const std::shared_ptr<call_context>& context,
                                         grpc::CallbackServerContext& call, const inference::ModelInferRequest& request,
                                         inference::ModelInferResponse& response);

  infer_call(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call,
             const inference::ModelInferRequest& request, inference::ModelInferResponse& response);

  void send(inference_response response) override { respond(std::move(response)); }
  void respond(expected<inference_response> answer) override;
  void complete() override;

  /// Lets gRPC call OnCancel and OnDone on the thread at hand, which may be inside our own Finish(), instead of handing
  /// each to its executor thread: neither blocks nor is called with a lock held. gRPC's own DefaultReactor does so.
  bool InternalInlineable() override { return true; }

 private:
  void OnCancel() override;
  void OnDone() override;

  expected<void> submit(std::shared_ptr<infer_call> self, const std::shared_ptr<const void>& owner);
  void give_up();

  const std::shared_ptr<call_context> context_;
  grpc::CallbackServerContext& call_;
  const inference::ModelInferRequest& request_;
  inference::ModelInferResponse& response_;
  const steady_clock::time_point began_;
  served_model::visit model_;
  shared_outputs shared_outputs_;
  std::shared_ptr<infer_call> self_;
  std::atomic<bool> answered_ = false;
  std::optional<std::stop_callback<std::function<void()>>> timeout_;  // the request's own, earlier than gRPC's deadline
};

}  // namespace troupe
