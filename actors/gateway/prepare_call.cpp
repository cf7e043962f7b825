#include "actors/gateway/prepare_call.hpp"

#include "actors/gateway/sequence_parameters.hpp"
#include "actors/serving/inference_call.hpp"
#include "actors/serving/served_model.hpp"
#include "skillsets/sdk/validate.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

namespace troupe {
namespace {

/// Takes a parameter that is the platform's, not the skillset's, out of a request: a whole number that is not negative.
/// Nothing when it isn't there.
expected<std::optional<std::uint64_t>> take_number(inference_request& request, const std::string& name) {
  const auto i = request.parameters.find(name);
  if (i == request.parameters.end())
    return std::optional<std::uint64_t>{};
  const auto value = std::move(i->second);
  request.parameters.erase(i);
  if (const auto* natural = std::get_if<std::uint64_t>(&value))
    return std::optional{*natural};
  if (const auto* number = std::get_if<std::int64_t>(&value); number && *number >= 0)
    return std::optional{static_cast<std::uint64_t>(*number)};
  return make_error(status_code::invalid_argument, "parameter '" + name + "' is no whole number from 0 on");
}

expected<void> read_priority(inference_call& call, const queue_settings& queue) {
  const auto wanted = take_number(call.input, "priority");
  if (!wanted)
    return wanted.error();
  const auto priority = wanted->value_or(0);
  if (priority > queue.priorities)
    return make_error(status_code::invalid_argument, "parameter 'priority' is " + std::to_string(priority),
                      "give 1, the most urgent, to " + std::to_string(queue.priorities) + ", or 0 for the default");
  call.priority = priority == 0 ? queue.default_priority : static_cast<std::uint32_t>(priority);
  call.input.priority = call.priority;
  return {};
}

expected<void> read_timeout(inference_call& call) {
  constexpr std::uint64_t longest = std::uint64_t{86'400} * 365 * 1'000'000;
  const auto wanted = take_number(call.input, "timeout");
  if (!wanted)
    return wanted.error();
  if (wanted->value_or(0) == 0)
    return {};
  const std::chrono::microseconds timeout{std::min(**wanted, longest)};
  call.scope().set_deadline(std::min(call.scope().deadline(), steady_clock::now() + timeout));
  return {};
}

}  // namespace

expected<void> prepare_call(const served_model& model, inference_call& call) {
  const auto& what = *model.describe();
  if (auto valid = validate_inputs(call.input.inputs, what, model.folder().limits.items); !valid)
    return valid;
  if (auto valid = read_sequence(call.input, model.name(), what); !valid)
    return valid;
  if (auto valid = read_priority(call, model.folder().queue); !valid)
    return valid;
  if (auto valid = read_timeout(call); !valid)
    return valid;
  if (const auto& cost = model.batching().cost)
    call.cost = cost(call.input);
  return {};
}

}  // namespace troupe
