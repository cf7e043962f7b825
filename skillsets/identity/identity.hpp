#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <memory>

namespace troupe {

/// Answers every request with its own input: for probes, for measuring what the node itself costs, and, with the
/// request parameter `delay_ms`, as work that takes a known time and can be cancelled.
///
/// Signature: input `input` and output `output`, of any datatype and shape unless the option `datatype` pins the
/// first. Parameter: `delay_ms`, an integer of 0 to 600,000 milliseconds to wait before answering.
std::unique_ptr<skillset> make_identity_skillset();

}  // namespace troupe
