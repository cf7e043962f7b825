#pragma once

#include "actors/gateway/grpc/shared_tensors.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"

#include "inference/grpc_service.pb.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

namespace troupe {

class stream_infer;

/// One request on a stream: into the model's queue, and its responses, in their order, back to the stream. What is
/// wrong with it is a response, too, and the stream goes on. Every response says whether it is the last of its request,
/// in the parameter `triton_final_response`; a decoupled request that ends without one has an empty response for that
/// if its parameter `triton_enable_empty_final_response` says so.
class stream_call final : public inference_call, public std::enable_shared_from_this<stream_call> {
 public:
  using message = inference::ModelInferRequest;

  /// Takes a request on: routes, decodes, validates and submits it, or answers it at once with what is wrong; when it
  /// was not `admitted`, that the node is stopping.
  static void begin(std::shared_ptr<stream_infer> stream, std::shared_ptr<const message> request, bool admitted);

  stream_call(std::shared_ptr<stream_infer> stream, std::shared_ptr<const message> request, bool admitted);

  void send(inference_response response) override;
  void respond(expected<inference_response> answer) override;
  void complete() override;

  /// True when it was let through the gate.
  bool admitted() const noexcept { return admitted_; }

 private:
  friend class stream_infer;

  expected<void> submit();
  expected<void> read();
  expected<void> read_final_response_wish();
  void answer(const inference_response& response, bool last);
  void fail(const error& why);
  void give_up();
  void last_word(std::unique_ptr<inference::ModelStreamInferResponse> response, const error* failure);

  const std::shared_ptr<stream_infer> stream_;
  const std::shared_ptr<const message> request_;
  const bool admitted_;
  const steady_clock::time_point began_;
  served_model::visit model_;
  shared_outputs shared_outputs_;
  bool decoupled_ = false;
  bool wants_empty_final_ = false;
  steady_clock::duration writing_{};   // its responses, so far
  std::shared_ptr<stream_call> self_;  // until the last word
  std::atomic<bool> ended_ = false;    // set by the stream, under its lock

  // Last, so that what it calls is still there while it is being destroyed.
  std::optional<std::stop_callback<std::function<void()>>> on_cancel_;
};

}  // namespace troupe
