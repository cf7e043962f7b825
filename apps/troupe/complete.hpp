#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"
#include "apps/troupe/generation.hpp"

#include <string>

namespace troupe::cli {

struct complete_options {
  std::string model;
  std::string text;  ///< `-` stands for all of standard input
  generation_options generation;
};

/// Has a model go on with a text as it is, without a chat's form, and prints what it adds while that is generated.
expected<void> complete(session& with, const complete_options& options);

}  // namespace troupe::cli
