#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <string>

namespace troupe {

/// Moves Triton's `sequence_id`, `sequence_start` and `sequence_end` ("Sequence Extension") out of the parameters of a
/// validated request to `model`, and into its `sequence`. An id of 0 or "" is none. INVALID_ARGUMENT when one of them
/// is of the wrong type or out of its range, when a request to a stateful model has no id or more than one item, and
/// when one to another model belongs to a sequence.
expected<void> read_sequence(inference_request& request, const std::string& model, const signature& what);

}  // namespace troupe
