#include "actors/gateway/sequence_parameters.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace troupe {
namespace {

constexpr std::string_view prefix = "sequence_";

/// As Triton has it.
constexpr std::size_t longest_id = 128;

error wrong(std::string cause, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, std::move(cause), std::move(remedy));
}

std::optional<parameter> take(inference_request& request, std::string_view name) {
  const auto i = request.parameters.find(name);
  if (i == request.parameters.end())
    return std::nullopt;
  auto value = std::move(i->second);
  request.parameters.erase(i);
  return value;
}

expected<bool> take_flag(inference_request& request, std::string_view name) {
  const auto value = take(request, name);
  if (!value)
    return false;
  if (const auto* flag = std::get_if<bool>(&*value))
    return *flag;
  return wrong("parameter '" + std::string{name} + "' is not a bool");
}

/// 0 or "" where there is none.
expected<sequence_id> take_id(inference_request& request) {
  const auto value = take(request, "sequence_id");
  if (!value)
    return sequence_id{std::uint64_t{0}};
  if (const auto* number = std::get_if<std::uint64_t>(&*value))
    return sequence_id{*number};
  if (const auto* number = std::get_if<std::int64_t>(&*value); number && *number >= 0)
    return sequence_id{static_cast<std::uint64_t>(*number)};
  if (const auto* text = std::get_if<std::string>(&*value); text && text->size() <= longest_id)
    return sequence_id{*text};
  return wrong("parameter 'sequence_id' is neither a whole number nor a short text",
               "give a number from 1 on, or at most " + std::to_string(longest_id) + " bytes");
}

bool is_none(const sequence_id& id) {
  const auto* number = std::get_if<std::uint64_t>(&id);
  return number ? *number == 0 : std::get<std::string>(id).empty();
}

expected<sequence_part> take_part(inference_request& request) {
  auto id = take_id(request);
  if (!id)
    return id.error();
  const auto start = take_flag(request, "sequence_start");
  if (!start)
    return start.error();
  const auto end = take_flag(request, "sequence_end");
  if (!end)
    return end.error();
  // What is misspelt would change the answer.
  if (const auto rest = request.parameters.lower_bound(prefix);
      rest != request.parameters.end() && std::string_view{rest->first}.substr(0, prefix.size()) == prefix)
    return wrong("there is no parameter '" + rest->first + "'",
                 "there are sequence_id, sequence_start and sequence_end");
  return sequence_part{*std::move(id), *start, *end};
}

}  // namespace

expected<void> read_sequence(inference_request& request, const std::string& model, const signature& what) {
  if (request.parameters.empty() && !what.stateful)
    return {};
  auto part = take_part(request);
  if (!part)
    return part.error();
  if (!what.stateful) {
    if (!is_none(part->id) || part->start || part->end)
      return wrong("model '" + model + "' keeps no state between requests", "leave the sequence parameters out");
    return {};
  }
  if (is_none(part->id))
    return wrong("inference request to model '" + model + "' must specify a non-zero or non-empty correlation ID",
                 "give the request the parameter sequence_id");
  if (what.batches && !request.inputs.empty() && request.inputs.front().shape.front() != 1)
    return wrong("inference request to model '" + model + "' must specify batch-size 1",
                 "an item belongs to a sequence; send one request for each");
  request.sequence = *std::move(part);
  return {};
}

}  // namespace troupe
