#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/argument.hpp"
#include "apps/troupe/fwd.hpp"

#include <string>
#include <utility>
#include <vector>

namespace troupe::cli {

struct infer_options {
  std::string model;
  std::string version;  ///< empty: the one there is
  std::string id;       ///< of the request, for the node's log
  std::vector<input_argument> inputs;
  std::vector<std::string> outputs;  ///< empty: all
  std::vector<std::pair<std::string, parameter>> parameters;
};

/// The request that the options mean. What the inputs don't say of their datatypes and shapes is asked of the model.
expected<inference::ModelInferRequest> make_request(client& node, const infer_options& options);

/// Sends one request to a model and prints its outputs.
expected<void> infer(session& with, const infer_options& options);

}  // namespace troupe::cli
