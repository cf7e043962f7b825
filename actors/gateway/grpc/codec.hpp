#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/grpc/shared_tensors.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <memory>
#include <string>
#include <vector>

namespace troupe {

class inference_call;
class served_model;

/// The inputs and parameters of a request. Raw contents are viewed where they lie, and `owner` must keep the message
/// alive for as long as any of them is used; typed contents are copied into the raw layout, and `shared` copies what is
/// in shared memory, of which it says what is wrong. INVALID_ARGUMENT when contents are given twice or not at all, when
/// there are fewer or more raw contents than inputs without shared memory, for an unknown datatype, and for typed
/// contents in a field, or of a value, that doesn't belong to the datatype. Shapes and sizes are the business of
/// `validate_inputs`.
expected<inference_request> decode(const inference::ModelInferRequest& message,
                                   const std::shared_ptr<const void>& owner, shared_inputs shared);

/// Reads a request to `model`, which must have been described, into `call`, and prepares that. Errors: those of
/// `decode`, `check_requested_outputs` and `prepare_call`.
expected<void> read_call(const inference::ModelInferRequest& message, const std::shared_ptr<const void>& owner,
                         shared_inputs shared, const served_model& model, inference_call& call);

/// Checks that every requested output is one of the model's, and asked for once. INVALID_ARGUMENT otherwise;
/// UNIMPLEMENTED for what Triton can do to outputs and Troupe can't: classification.
expected<void> check_requested_outputs(const inference::ModelInferRequest& message, const signature& model);

/// Writes an answer: the outputs that the request asked for, in its order, or all of them. With raw contents, which are
/// empty for an output in shared memory: its parameters say where it is and how many bytes it has.
void encode(const inference_response& answer, const inference::ModelInferRequest& request,
            const std::string& model_version, const shared_outputs& shared, inference::ModelInferResponse& response);

}  // namespace troupe
