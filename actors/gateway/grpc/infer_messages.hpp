#pragma once

#include "inference/grpc_service.pb.h"

#include <google/protobuf/arena.h>
#include <grpcpp/support/message_allocator.h>

#include <memory>

namespace troupe {

/// The two messages of one ModelInfer call, on an arena of their own. They live until gRPC and everybody who views
/// the request's bytes have let go, so that an instance may still read what a client that is gone once sent.
class infer_messages {
 public:
  infer_messages();

  infer_messages(const infer_messages&) = delete;
  infer_messages& operator=(const infer_messages&) = delete;

  inference::ModelInferRequest* request() noexcept { return request_; }
  inference::ModelInferResponse* response() noexcept { return response_; }

 private:
  // Enough for both messages of a small request, so that these need no block from the heap.
  static constexpr std::size_t first_block = 2048;

  alignas(std::max_align_t) char block_[first_block];
  google::protobuf::Arena arena_;
  inference::ModelInferRequest* request_;
  inference::ModelInferResponse* response_;
};

/// gRPC's handle on the messages of a call.
class infer_holder final : public grpc::MessageHolder<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  infer_holder();

  /// The messages, for whoever needs them longer than the call.
  const std::shared_ptr<infer_messages>& messages() const noexcept { return messages_; }

  void Release() override { delete this; }

 private:
  std::shared_ptr<infer_messages> messages_;
};

/// Makes gRPC put every ModelInfer call's messages into an `infer_holder`.
class infer_allocator final
    : public grpc::MessageAllocator<inference::ModelInferRequest, inference::ModelInferResponse> {
 public:
  grpc::MessageHolder<inference::ModelInferRequest, inference::ModelInferResponse>* AllocateMessages() override {
    return new infer_holder;
  }
};

}  // namespace troupe
