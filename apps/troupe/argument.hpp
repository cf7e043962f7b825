#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/datatype.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

/// An `--input` as it was written: `NAME[:DATATYPE][SHAPE]=VALUE`.
struct input_argument {
  std::string name;
  std::optional<datatype> type;
  std::optional<std::vector<std::int64_t>> shape;
  std::string value;  ///< JSON, a plain scalar, or `@FILE`
};

/// Takes an `--input` apart. A name may contain colons: only a datatype's name after the last one counts as such.
/// INVALID_ARGUMENT says what is wrong.
expected<input_argument> parse_input(std::string_view text);

/// Takes a `--param` apart: `KEY=VALUE`, whose type follows from the value (`true` and `false`, integers, decimals,
/// else a string), or `KEY:TYPE=VALUE` with one of bool, int64, uint64, double, string. INVALID_ARGUMENT says what is
/// wrong.
expected<std::pair<std::string, parameter>> parse_parameter(std::string_view text);

}  // namespace troupe::cli
