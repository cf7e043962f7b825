#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <random>
#include <string>

/// Requests that nobody wrote.
namespace troupe::conformance {

/// `like` with other values where a model can be expected to take any: other words in texts, other fractions; and with
/// up to four items where the model counts items. Whole numbers, also such as texts, stay: they may be lengths or
/// choices.
inference_request vary(inference_request like, const signature& what, std::mt19937_64& random);

/// Any values in any of the extents that the signature leaves open: no text, invalid UTF-8, NaN, the smallest number.
inference_request make_up(const signature& what, std::mt19937_64& random);

/// The request as a sequence of its own, where the model is stateful.
inference_request part_of_a_sequence(inference_request request, const signature& what, std::mt19937_64& random);

/// Parameters that nobody asked for, of every type.
parameter_map make_up_parameters(std::mt19937_64& random);

}  // namespace troupe::conformance
