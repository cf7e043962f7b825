#include "actors/gateway/http/openai/text_or_tokens.hpp"

#include <algorithm>

namespace troupe::openai {
namespace {

constexpr auto what_to_give = "give a string, an array of strings, an array of token ids, or an array of these";

bool is_token(const json& value) {
  // As a number of its own type: the library compares large ones as if they were negative.
  if (value.is_number_unsigned())
    return value.get<std::uint64_t>() <= INT32_MAX;
  return value.is_number_integer() && value >= 0 && value <= INT32_MAX;
}

/// True when `ids`, which is at `path`, has token ids and nothing else.
bool check_tokens(const object_reader& body, const std::string& path, const json& ids) {
  if (ids.empty()) {
    body.reject(path, "is an empty array", what_to_give);
    return false;
  }
  const auto wrong = std::find_if_not(ids.begin(), ids.end(), is_token);
  if (wrong == ids.end())
    return true;
  body.reject(element_path(path, static_cast<std::size_t>(wrong - ids.begin())), "is " + describe(*wrong),
              "give token ids, which are whole numbers from 0 on");
  return false;
}

text_or_tokens read_array(const object_reader& body, std::string_view name, const json& all) {
  text_or_tokens result;
  result.tokens = all.front().is_array();
  for (std::size_t i = 0; i != all.size(); ++i) {
    const auto& each = all[i];
    const auto path = element_path(name, i);
    if (result.tokens && each.is_array() && check_tokens(body, path, each))
      result.texts.push_back(write_document(each));
    else if (!result.tokens && each.is_string())
      result.texts.push_back(each.get<std::string>());
    else {
      body.reject(path, "is " + describe(each), what_to_give);
      break;
    }
  }
  return result;
}

}  // namespace

text_or_tokens read_text_or_tokens(const object_reader& body, std::string_view name, std::size_t most) {
  const auto* value = body.find(name);
  if (!value) {
    body.reject(name, "is missing", what_to_give);
    return {};
  }
  if (value->is_string())
    return {{value->get<std::string>()}, false};
  if (!value->is_array() || value->empty()) {
    body.reject(name, "is " + (value->is_array() ? "an empty array" : describe(*value)), what_to_give);
    return {};
  }
  if (value->front().is_number()) {
    if (!check_tokens(body, std::string{name}, *value))
      return {};
    return {{write_document(*value)}, true};
  }
  if (value->size() > most) {
    body.reject(name, "has " + std::to_string(value->size()) + " texts", "give at most " + std::to_string(most));
    return {};
  }
  return read_array(body, name, *value);
}

}  // namespace troupe::openai
