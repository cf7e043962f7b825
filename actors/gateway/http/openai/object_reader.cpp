#include "actors/gateway/http/openai/object_reader.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::openai {
namespace {

constexpr std::size_t longest_name = 100;

/// `0.5` rather than `0.500000`.
std::string to_text(double number) {
  return json(number == std::floor(number) && std::abs(number) < 1e15 ? json(static_cast<std::int64_t>(number))
                                                                      : json(number))
      .dump();
}

/// A whole number, also where a client writes it as 5.0 or 5e3.
std::optional<std::int64_t> whole(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    return number <= INT64_MAX ? std::optional{static_cast<std::int64_t>(number)} : std::nullopt;
  }
  if (value.is_number_integer())
    return value.get<std::int64_t>();
  constexpr double exact = 9007199254740992.0;  // beyond 2^53 not every whole number has a double
  if (value.is_number_float())
    if (const auto number = value.get<double>(); number == std::floor(number) && std::abs(number) <= exact)
      return static_cast<std::int64_t>(number);
  return std::nullopt;
}

}  // namespace

std::string describe(const json& value) {
  if (value.is_number())
    return "the number " + value.dump();
  if (value.is_boolean())
    return value.get<bool>() ? "true" : "false";
  return value.is_string() ? "a string" : value.is_array() ? "an array" : value.is_object() ? "an object" : "null";
}

std::string element_path(std::string_view array, std::size_t index) {
  return std::string{array} + "[" + std::to_string(index) + "]";
}

const json* object_reader::find(std::string_view name) const {
  const auto i = object_.find(name);
  return i == object_.end() || i->is_null() ? nullptr : &*i;
}

std::optional<std::string> object_reader::text(std::string_view name) const {
  const auto* value = find(name);
  if (!value)
    return std::nullopt;
  if (value->is_string())
    return value->get<std::string>();
  reject(name, "is " + describe(*value), "give a string");
  return std::nullopt;
}

std::optional<bool> object_reader::flag(std::string_view name) const {
  const auto* value = find(name);
  if (!value)
    return std::nullopt;
  if (value->is_boolean())
    return value->get<bool>();
  reject(name, "is " + describe(*value), "give true or false");
  return std::nullopt;
}

std::optional<std::int64_t> object_reader::integer(std::string_view name, std::int64_t least, std::int64_t most) const {
  const auto* value = find(name);
  if (!value)
    return std::nullopt;
  const auto number = whole(*value);
  if (number && *number >= least && *number <= most)
    return number;
  reject(name, "is " + describe(*value),
         "give a whole number from " + std::to_string(least) +
             (most == INT64_MAX ? " on" : " to " + std::to_string(most)));
  return std::nullopt;
}

std::optional<double> object_reader::number(std::string_view name, const number_range& range) const {
  const auto* value = find(name);
  if (!value)
    return std::nullopt;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if ((range.above_least ? number > range.least : number >= range.least) && number <= range.most)
      return number;
  }
  reject(name, "is " + describe(*value),
         "give a number from " + to_text(range.least) + (range.above_least ? ", not included," : "") + " to " +
             to_text(range.most));
  return std::nullopt;
}

std::optional<object_reader> object_reader::object(std::string_view name) const {
  const auto* value = find(name);
  if (!value)
    return std::nullopt;
  if (value->is_object())
    return object_reader{*value, path_of(name), failure_};
  reject(name, "is " + describe(*value), "give an object");
  return std::nullopt;
}

const json* object_reader::array(std::string_view name) const {
  const auto* value = find(name);
  if (!value || value->is_array())
    return value;
  reject(name, "is " + describe(*value), "give an array");
  return nullptr;
}

std::string object_reader::required_text(std::string_view name) const {
  if (!has(name))
    reject(name, "is missing");
  return text(name).value_or("");
}

std::optional<object_reader> object_reader::element(std::string_view name, const json& array, std::size_t index) const {
  const auto& value = array[index];
  const auto place = element_path(name, index);
  if (value.is_object())
    return object_reader{value, path_of(place), failure_};
  reject(place, "is " + describe(value), "give an object");
  return std::nullopt;
}

bool object_reader::only(std::initializer_list<std::string_view> known) const {
  for (const auto& [name, value] : object_.items()) {
    if (value.is_null() || std::find(known.begin(), known.end(), name) != known.end())
      continue;
    refuse(shortened(name, longest_name), "is unknown");
    return false;
  }
  return true;
}

void object_reader::reject(std::string_view name, const std::string& what, const std::string& remedy) const {
  fail(status_code::invalid_argument, name, what, remedy);
}

void object_reader::refuse(std::string_view name, const std::string& what, const std::string& remedy) const {
  fail(status_code::unimplemented, name, what, remedy);
}

void object_reader::fail(status_code code, std::string_view name, const std::string& what,
                         const std::string& remedy) const {
  if (!failure_)
    failure_ = make_error(code, "parameter '" + path_of(name) + "' " + what, remedy);
}

std::string object_reader::path_of(std::string_view name) const {
  return path_.empty() ? std::string{name} : path_ + "." + std::string{name};
}

}  // namespace troupe::openai
