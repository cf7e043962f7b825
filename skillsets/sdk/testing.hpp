#pragma once

#include "skillsets/sdk/run_one.hpp"

#include <utility>

/// For the tests of skillsets.
namespace troupe::testing_support {

/// The one response of a request that runs alone.
inline expected<inference_response> respond(instance& worker, const inference_request& request,
                                            const cancel_token& token = {}) {
  auto responses = run_one(worker, request, token);
  if (!responses)
    return std::move(responses).error();
  if (responses->size() != 1)
    return make_error(status_code::internal, std::to_string(responses->size()) + " responses where one was due");
  return std::move(responses->front());
}

}  // namespace troupe::testing_support
