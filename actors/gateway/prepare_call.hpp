#pragma once

#include "actors/concurrency/error.hpp"

namespace troupe {

class inference_call;
class served_model;

/// Makes a call, whose input was read, ready for `model`, which must have been described: validates the inputs, takes
/// out of the parameters what is the platform's and not the skillset's, and finds out what the call costs. The
/// platform's are `priority`, the sequence it belongs to, and Triton's `timeout` in microseconds, which brings its
/// deadline forward. Errors: those of `validate_inputs` and `read_sequence`, and INVALID_ARGUMENT for a priority or
/// timeout out of its range.
expected<void> prepare_call(const served_model& model, inference_call& call);

}  // namespace troupe
