#pragma once

#include "actors/concurrency/error.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace troupe::openai {

/// Keeps the order of an object's members, in which a model writes what a schema asks for.
using json = nlohmann::ordered_json;

/// How deep a client's document may be nested.
inline constexpr std::size_t most_levels = 128;

/// Reads the body of a request, which has to be one JSON object. INVALID_ARGUMENT, with line and column where they are
/// known, when it isn't, when it is nested deeper than `most_levels`, when an object has a member twice, of which
/// readers would take one or the other, when a number is beyond a double, and for text that is not Unicode.
expected<json> read_document(std::string_view body);

/// A document as text. What a model wrote that is not UTF-8 is replaced by U+FFFD.
std::string write_document(const json& document);

}  // namespace troupe::openai
