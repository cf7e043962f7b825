#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <exception>
#include <string>
#include <vector>

namespace troupe {

/// Runs one request on an instance, alone, and waits for its answers: one, or as many as a decoupled model gives. An
/// exception, and a request that got no last word, are INTERNAL.
expected<std::vector<inference_response>> run_one(instance& worker, const inference_request& request,
                                                  const cancel_token& token);

/// What `work` of a skillset comes to, with whatever it throws turned into INTERNAL.
template <class Work>
expected<void> contained(Work work) noexcept {
  try {
    return work();
  } catch (const std::exception& e) {
    return make_error(status_code::internal, std::string{"the skillset failed: "} + e.what());
  } catch (...) {
    return make_error(status_code::internal, "the skillset threw something that is no exception");
  }
}

/// Runs a batch like that.
inline expected<void> run_contained(instance& worker, std::span<work_item* const> batch,
                                    const cancel_token& token) noexcept {
  return contained([&] { return worker.run(batch, token); });
}

}  // namespace troupe
