#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>

namespace troupe {

/// The models that the examples and tests of Triton's clients expect of a server, so that those run against a node as
/// they are. The option `task` says which one a model is; the options of each stand with its function.
std::unique_ptr<skillset> make_triton_examples_skillset();

}  // namespace troupe
