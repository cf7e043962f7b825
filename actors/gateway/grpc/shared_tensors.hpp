#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/grpc/shared_memory.hpp"
#include "skillsets/sdk/skillset.hpp"

#include "inference/grpc_service.pb.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

using wire_parameters = google::protobuf::Map<std::string, inference::InferParameter>;

/// True when parameters say anything of shared memory, be it nonsense.
bool in_shared_memory(const wire_parameters& parameters);

/// The inputs of one request that travel in shared memory. The parameters `shared_memory_region`,
/// `shared_memory_byte_size` and, where it isn't 0, `shared_memory_offset` of an input say where, as in Triton's
/// shared-memory extension.
class shared_inputs {
 public:
  /// Takes up to `most_bytes` in all, so that a small message can't fill the memory of the node.
  shared_inputs(const shared_memory& memory, std::uint64_t most_bytes) : memory_(memory), bytes_left_(most_bytes) {}

  /// A copy of an input's bytes, as they are now: what the client does to them afterwards doesn't matter.
  /// INVALID_ARGUMENT for parameters that are wrong or incomplete, and for contents beside them; NOT_FOUND for an
  /// unknown region; RESOURCE_EXHAUSTED above `most_bytes`; otherwise as `shared_slice::read`.
  expected<buffer> read(const inference::ModelInferRequest::InferInputTensor& input);

 private:
  const shared_memory& memory_;
  std::uint64_t bytes_left_;
};

/// The outputs of one request that its client wants in shared memory; keeps the regions for as long as the request.
class shared_outputs {
 public:
  /// Looks for the parameters of every requested output, which are those of an input. INVALID_ARGUMENT and NOT_FOUND as
  /// there, before the model has worked in vain.
  static expected<shared_outputs> of(const inference::ModelInferRequest& request, const shared_memory& memory);

  /// Puts the outputs into their places. INVALID_ARGUMENT when one of them needs more than it was given, and what
  /// `shared_slice::check` says, before any of them is written; otherwise as `shared_slice::write`.
  expected<void> write(const inference_response& answer) const;

  /// Where an output goes; null when it belongs into the response.
  const shared_slice* find(std::string_view output) const;

 private:
  std::vector<std::pair<std::string, shared_slice>> places_;
};

}  // namespace troupe
