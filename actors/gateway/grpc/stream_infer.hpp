#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/grpc/infer_call.hpp"

#include "inference/grpc_service.pb.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

namespace troupe {

class stream_call;

/// One ModelStreamInfer call: any number of requests, each a `stream_call` under the stream's scope, and their
/// responses one after the other. What a client does not take costs others nothing, and the node no more than a fixed
/// amount: the stream reads on only while few enough requests are under way, and ends with RESOURCE_EXHAUSTED when more
/// responses wait than may. It keeps itself alive until gRPC is done with it; its calls may outlive that.
class stream_infer final
    : public grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse> {
 public:
  using request_message = inference::ModelInferRequest;
  using response_message = inference::ModelStreamInferResponse;

  static constexpr std::size_t most_requests = 128;       ///< under way, until their last response was sent
  static constexpr std::size_t most_responses = 1024;     ///< that wait to be sent
  static constexpr std::size_t most_bytes = 64ull << 20;  ///< of these, where it is more than one

  /// How long a model waits while as much as may wait does, and the client takes nothing. Where more threads want a
  /// processor than there are, one that the stream needs may well wait two seconds for it.
  static constexpr auto most_patience = std::chrono::seconds{5};

  /// Takes a stream on.
  static grpc::ServerBidiReactor<request_message, response_message>* begin(const std::shared_ptr<call_context>& context,
                                                                           grpc::CallbackServerContext& call);

  stream_infer(std::shared_ptr<call_context> context, grpc::CallbackServerContext& call);

  const call_context& context() const noexcept { return *context_; }
  cancel_token token() const noexcept { return scope_.token(); }

  /// The same for all streams and calls of one connection.
  std::uint64_t client() const noexcept { return client_; }

  /// Sends a response of `call` when its turn comes; null for a last word that needs none. False when the call had its
  /// last word before, or was cancelled and there is no room: then nothing happens. What a model responds waits for
  /// room first, on a thread that may; but not longer than the call's token allows, nor than the patience with a client
  /// that takes nothing.
  bool post(stream_call& call, std::unique_ptr<response_message> message, bool last);

 private:
  /// A response that waits.
  struct outgoing {
    std::unique_ptr<response_message> message;
    std::size_t bytes = 0;
    bool last = false;      ///< of its request
    bool admitted = false;  ///< its request was let through the gate
  };

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void watch();
  void stop(const error& why);
  void progress();
  bool may_read() const;
  bool over() const;
  void await_room(std::unique_lock<std::mutex>& lock, std::size_t bytes, const cancel_token& token);
  bool has_room(std::size_t bytes) const;
  void request_over(bool admitted);

  const std::shared_ptr<call_context> context_;
  grpc::CallbackServerContext& call_;
  const std::uint64_t client_;
  cancel_scope scope_;
  std::shared_ptr<stream_infer> self_;

  std::mutex mutex_;  // guards what follows
  std::shared_ptr<request_message> arriving_;
  std::deque<outgoing> waiting_;
  outgoing leaving_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t taken_ = 0;  // responses that have left the queue
  std::condition_variable_any room_;
  std::size_t under_way_ = 0;  // requests whose last response was not sent yet
  std::size_t inside_ = 0;     // how often the stream owes the gate a leave()
  int starting_ = 0;           // threads about to call gRPC, before which the stream must not end
  bool reading_ = false;
  bool writing_ = false;
  bool half_closed_ = false;
  bool closing_ = false;
  bool cut_ = false;
  bool finished_ = false;
  std::optional<error> stopped_;

  // Last, so that what they call is still there while they are being destroyed.
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
  std::optional<std::stop_callback<std::function<void()>>> on_closing_;
};

}  // namespace troupe
