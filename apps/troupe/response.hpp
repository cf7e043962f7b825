#pragma once

#include "apps/troupe/fwd.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// The outputs of a response, from raw or typed contents, with sizes that agree with their datatypes and shapes.
/// They view the response, which must outlive them. INTERNAL names the output that does not add up.
expected<std::vector<tensor>> read_outputs(const inference::ModelInferResponse& response);

/// Tensors, id and parameters of a response for people: each tensor's head, then its elements in nested brackets.
std::string response_to_text(const inference::ModelInferResponse& response, const std::vector<tensor>& outputs);

/// A response as one JSON object, as the Open Inference Protocol's REST form has it, with flat row-major data.
std::string response_to_json(const inference::ModelInferResponse& response, const std::vector<tensor>& outputs);

}  // namespace troupe::cli
