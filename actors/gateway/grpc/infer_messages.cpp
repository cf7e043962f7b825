#include "actors/gateway/grpc/infer_messages.hpp"

namespace troupe {
namespace {

google::protobuf::ArenaOptions starting_with(char* block, std::size_t size) {
  google::protobuf::ArenaOptions options;
  options.initial_block = block;
  options.initial_block_size = size;
  return options;
}

}  // namespace

infer_messages::infer_messages()
    : arena_(starting_with(block_, sizeof block_)),
      request_(google::protobuf::Arena::CreateMessage<inference::ModelInferRequest>(&arena_)),
      response_(google::protobuf::Arena::CreateMessage<inference::ModelInferResponse>(&arena_)) {}

infer_holder::infer_holder() : messages_(std::make_shared<infer_messages>()) {
  set_request(messages_->request());
  set_response(messages_->response());
}

}  // namespace troupe
