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

/// Sends one request to a model and prints its outputs. What the inputs don't say of their datatypes and shapes is
/// asked of the model first.
expected<void> infer(session& with, const infer_options& options);

}  // namespace troupe::cli
