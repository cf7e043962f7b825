#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <vector>

namespace troupe {

/// Runs one request on an instance, alone, and waits for its answers: one, or as many as a decoupled model gives. An
/// exception, and a request that got no last word, are INTERNAL.
expected<std::vector<inference_response>> run_one(instance& worker, const inference_request& request,
                                                  const cancel_token& token);

/// Runs a batch and turns whatever the instance throws into INTERNAL.
expected<void> run_contained(instance& worker, std::span<work_item* const> batch, const cancel_token& token) noexcept;

}  // namespace troupe
