#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <vector>

namespace troupe {

/// Holds a request's inputs against the signature of its model and puts them into the signature's order. What passes
/// is safe to hand to an instance: every input is there once, with its datatype, a shape that fits, and exactly the
/// bytes that the shape needs. INVALID_ARGUMENT names the input; RESOURCE_EXHAUSTED when a model that batches gets more
/// than `most_items` along the first axis.
expected<void> validate_inputs(std::vector<tensor>& inputs, const signature& expected_signature,
                               std::int64_t most_items);

/// Holds the outputs of a host process against the signature, or a gateway would write nonsense: every output in its
/// place, with its datatype and exactly the bytes that its shape needs. INTERNAL names the output.
expected<void> validate_outputs(const std::vector<tensor>& outputs, const signature& expected_signature);

/// Holds what a model says of its metrics against the contract. INTERNAL names the one that is not what it should be.
expected<void> validate_metrics(const std::vector<metric_spec>& metrics);

}  // namespace troupe
