#pragma once

#include "actors/concurrency/error.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace troupe {

/// Names stay in their order, which is that in which a model is to write them.
using json = nlohmann::ordered_json;

/// Parses JSON that a stranger wrote: UTF-8, nested 64 deep at most, with at most 1,024 names in an object and none of
/// them twice. INVALID_ARGUMENT says what is wrong and where.
expected<json> parse_json(std::string_view text);

/// A number in the fewest digits that tell it from others.
std::string shortest(double number);

}  // namespace troupe
