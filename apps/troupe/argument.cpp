#include "apps/troupe/argument.hpp"

#include "skillsets/sdk/tensor.hpp"

#include <charconv>

namespace troupe::cli {
namespace {

constexpr auto npos = std::string_view::npos;

/// The number that all of `text` spells.
template <class T>
std::optional<T> parse_number(std::string_view text) noexcept {
  T number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || failure != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

error wrong_input(std::string_view text, const std::string& what) {
  return make_error(status_code::invalid_argument, "--input '" + std::string{text.substr(0, 80)} + "' " + what,
                    "write NAME[:DATATYPE][SHAPE]=VALUE, such as 'x:FP32[2,2]=[1,2,3,4]'");
}

std::string_view trim(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(' ');
  return first == npos ? std::string_view{} : text.substr(first, text.find_last_not_of(' ') - first + 1);
}

/// The extents in `2, 3`; nothing where it is not a list of numbers that are at least 0.
std::optional<std::vector<std::int64_t>> parse_shape(std::string_view text) {
  std::vector<std::int64_t> shape;
  if (trim(text).empty())
    return shape;
  for (;;) {
    const auto comma = text.find(',');
    const auto extent = parse_number<std::int64_t>(trim(text.substr(0, comma)));
    if (!extent || *extent < 0)
      return std::nullopt;
    shape.push_back(*extent);
    if (comma == npos)
      return shape;
    text.remove_prefix(comma + 1);
  }
}

parameter infer_parameter(std::string_view value) {
  if (value == "true" || value == "false")
    return value == "true";
  if (const auto number = parse_number<std::int64_t>(value))
    return *number;
  if (const auto number = parse_number<std::uint64_t>(value))
    return *number;
  // from_chars also reads `inf` and `nan`, which are words first.
  const bool decimal = value.find_first_not_of("+-.0123456789eE") == npos;
  if (const auto number = parse_number<double>(value); number && decimal)
    return *number;
  return std::string{value};
}

template <class T>
std::optional<parameter> number_parameter(std::string_view value) {
  if (const auto number = parse_number<T>(value))
    return parameter{*number};
  return std::nullopt;
}

constexpr bool is_parameter_type(std::string_view type) noexcept {
  return type == "bool" || type == "int64" || type == "uint64" || type == "double" || type == "string";
}

/// The value as the type that was asked for; nothing when it isn't one.
std::optional<parameter> typed_parameter(std::string_view type, std::string_view value) {
  if (type == "string")
    return parameter{std::string{value}};
  if (type == "int64")
    return number_parameter<std::int64_t>(value);
  if (type == "uint64")
    return number_parameter<std::uint64_t>(value);
  if (type == "double")
    return number_parameter<double>(value);
  if (value == "true" || value == "false")
    return parameter{value == "true"};
  return std::nullopt;
}

}  // namespace

expected<input_argument> parse_input(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == npos)
    return wrong_input(text, "has no '='");
  input_argument input;
  input.value = text.substr(equals + 1);
  auto left = text.substr(0, equals);
  if (left.ends_with(']')) {
    const auto bracket = left.rfind('[');
    if (bracket == npos)
      return wrong_input(text, "has a shape without '['");
    const auto extents = left.substr(bracket + 1, left.size() - bracket - 2);
    input.shape = parse_shape(extents);
    if (!input.shape)
      return wrong_input(text, "has the shape [" + std::string{extents} + "], which is not a list of extents");
    if (auto count = element_count(*input.shape); !count)
      return wrong_input(text, "is too large: " + count.error().cause);
    left = left.substr(0, bracket);
  }
  if (const auto colon = left.rfind(':'); colon != npos) {
    input.type = parse_datatype(left.substr(colon + 1));
    if (input.type)
      left = left.substr(0, colon);
  }
  if (left.empty())
    return wrong_input(text, "has no name");
  input.name = left;
  return input;
}

expected<std::pair<std::string, parameter>> parse_parameter(std::string_view text) {
  const auto wrong = [&](const std::string& what) {
    return make_error(status_code::invalid_argument, "--param '" + std::string{text.substr(0, 80)} + "' " + what,
                      "write KEY=VALUE or KEY:TYPE=VALUE, with bool, int64, uint64, double or string as TYPE");
  };
  const auto equals = text.find('=');
  if (equals == npos || equals == 0)
    return wrong(equals == 0 ? "has no key" : "has no '='");
  const auto key = text.substr(0, equals);
  const auto value = text.substr(equals + 1);
  const auto colon = key.rfind(':');
  if (colon == npos || !is_parameter_type(key.substr(colon + 1)))
    return std::pair{std::string{key}, infer_parameter(value)};
  const auto type = key.substr(colon + 1);
  const auto typed = typed_parameter(type, value);
  if (!typed)
    return wrong("has a value that is no " + std::string{type});
  if (colon == 0)
    return wrong("has no key");
  return std::pair{std::string{key.substr(0, colon)}, *typed};
}

}  // namespace troupe::cli
