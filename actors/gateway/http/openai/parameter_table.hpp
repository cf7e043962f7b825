#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/openai/json_document.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace troupe::openai {

/// What becomes of a parameter of the API.
enum class treatment : std::uint8_t {
  taken,      ///< it does what the API's reference says; values for which it can't are refused
  no_effect,  ///< it can't change the answer, and so may say what it likes
  refused,    ///< the answer would be another one than asked for
};

struct parameter_rule {
  std::string_view name;
  treatment how;
  std::string_view remedy = {};  ///< of what is refused: what to do instead
};

/// Every parameter of an endpoint. One that isn't there is refused, too. docs/openai-api.md has the same tables.
using parameter_table = std::span<const parameter_rule>;

extern const parameter_table chat_parameters;
extern const parameter_table completion_parameters;
extern const parameter_table embedding_parameters;
extern const parameter_table response_parameters;

/// UNIMPLEMENTED names the first parameter of a request that is refused or unknown. One that is null counts as absent.
expected<void> check_parameters(const json& request, parameter_table table);

}  // namespace troupe::openai
