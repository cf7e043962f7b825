#include "skillsets/text_generation/schema_check.hpp"

#include "skillsets/text_generation/pattern_check.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {
namespace {

constexpr std::size_t most_nodes = 2000;
constexpr std::int64_t most_repetitions = 1000;
constexpr std::int64_t largest_integer = std::int64_t{1} << 53;

constexpr std::array annotations{"title",    "description", "default", "examples",     "$schema",
                                 "$id",      "$comment",    "$defs",   "definitions",  "deprecated",
                                 "readOnly", "writeOnly",   "strict",  "discriminator"};
constexpr std::array types{"object", "array", "string", "integer", "number", "boolean", "null"};

template <std::size_t Size>
bool among(const std::array<const char*, Size>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The words that say something about values of a type, and that the engine keeps.
bool says(std::string_view type, std::string_view word) {
  constexpr std::array object{"properties", "required", "additionalProperties"};
  constexpr std::array array{"items", "prefixItems", "minItems", "maxItems"};
  constexpr std::array string{"minLength", "maxLength", "pattern", "format"};
  constexpr std::array integer{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"};
  return (type == "object" && among(object, word)) || (type == "array" && among(array, word)) ||
         (type == "string" && among(string, word)) || (type == "integer" && among(integer, word));
}

bool has_type(const json& value, std::string_view type) {
  return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) || (type == "integer" && value.is_number_integer()) ||
         (type == "number" && value.is_number()) || (type == "boolean" && value.is_boolean()) ||
         (type == "null" && value.is_null());
}

class checker {
 public:
  explicit checker(const json& root) : root_(root) {}

  expected<void> check(const json& schema, const std::string& at) {
    if (++nodes_ > most_nodes)
      return wrong(at, "is one schema more than the " + std::to_string(most_nodes) + " that there may be");
    if (!schema.is_object())
      return wrong(at, "is no JSON object");
    if (schema.contains("$ref"))
      return check_reference(schema, at);
    for (const auto* word : {"anyOf", "oneOf"})
      if (schema.contains(word))
        return check_alternatives(schema, word, at);
    auto named = type_names(schema, at);
    if (!named)
      return named.error();
    if (schema.contains("enum") || schema.contains("const"))
      return check_values(schema, *named, at);
    if (named->empty())
      *named = implied_type(schema);
    for (const auto& [word, value] : schema.items())
      if (word != "type" && !among(annotations, word) &&
          std::none_of(named->begin(), named->end(), [&](const auto& type) { return says(type, word); }))
        return wrong(at + "/" + word, "can't be held to here");
    for (const auto& type : *named)
      if (auto done = check_type(schema, type, at); !done)
        return done;
    return {};
  }

 private:
  static error wrong(const std::string& at, const std::string& what) {
    return make_error(status_code::invalid_argument, "parameter 'json_schema' at " + shortened(at, 200) + " " + what,
                      "see check_schema in the skillset's README for what texts can be held to");
  }

  static expected<std::vector<std::string>> type_names(const json& schema, const std::string& at) {
    std::vector<std::string> names;
    const auto type = schema.find("type");
    if (type == schema.end())
      return names;
    const auto list = type->is_array() ? *type : json::array({*type});
    for (const auto& name : list) {
      if (!name.is_string() || !among(types, name.get_ref<const std::string&>()))
        return wrong(at + "/type", "is no type, or list of types");
      names.push_back(name.get<std::string>());
    }
    if (names.empty())
      return wrong(at + "/type", "is empty");
    return names;
  }

  /// What the engine takes a schema without a type for.
  static std::vector<std::string> implied_type(const json& schema) {
    for (const auto* type : {"object", "array", "string"})
      for (const auto& [word, value] : schema.items())
        if (says(type, word))
          return {type};
    return {};
  }

  static expected<void> only(const json& schema, std::string_view word, const std::string& at) {
    for (const auto& [other, value] : schema.items())
      if (other != word && !among(annotations, other))
        return wrong(at + "/" + other, "can't be held to beside " + std::string{word});
    return {};
  }

  expected<void> check_reference(const json& schema, const std::string& at) {
    if (auto alone = only(schema, "$ref", at); !alone)
      return alone;
    const auto& name = schema["$ref"];
    if (!name.is_string() || !name.get_ref<const std::string&>().starts_with("#/"))
      return wrong(at + "/$ref", "is no reference into this schema");
    const auto path = name.get<std::string>();
    if (path.find_first_of("~%") != std::string::npos)
      return wrong(at + "/$ref", "has escaped characters");
    if (!seen_.insert(path).second)
      return {};
    const json::json_pointer place{path.substr(1)};
    if (!root_.contains(place))
      return wrong(at + "/$ref", "refers to '" + shortened(path, 64) + "', which isn't there");
    return check(root_.at(place), path);
  }

  expected<void> check_alternatives(const json& schema, const std::string& word, const std::string& at) {
    if (auto alone = only(schema, word, at); !alone)
      return alone;
    const auto& all = schema[word];
    if (!all.is_array() || all.empty())
      return wrong(at + "/" + word, "is no list of schemas");
    for (std::size_t i = 0; i != all.size(); ++i)
      if (auto done = check(all[i], at + "/" + word + "/" + std::to_string(i)); !done)
        return done;
    if (word == "oneOf")
      for (std::size_t i = 0; i != all.size(); ++i)
        for (std::size_t j = 0; j != i; ++j)
          if (!exclusive(all[i], all[j]))
            return wrong(
                at + "/oneOf",
                "has alternatives that may hold both: use anyOf, or a type or a required constant that differs");
    return {};
  }

  const json& resolved(const json& schema) const {
    const auto* at = &schema;
    for (int i = 0; i != 16 && at->contains("$ref"); ++i)
      at = &root_.at(json::json_pointer{at->at("$ref").get<std::string>().substr(1)});
    return *at;
  }

  /// Whether no value is valid under both: by their types, or by a member that both require to be different constants.
  bool exclusive(const json& one, const json& other) const {
    const auto& a = resolved(one);
    const auto& b = resolved(other);
    const auto types_a = type_names(a, {}), types_b = type_names(b, {});
    if (types_a && types_b && !types_a->empty() && !types_b->empty()) {
      const auto overlap = [&](const std::string& x) {
        return std::any_of(types_b->begin(), types_b->end(), [&](const std::string& y) {
          return x == y || (x == "integer" && y == "number") || (x == "number" && y == "integer");
        });
      };
      if (std::none_of(types_a->begin(), types_a->end(), overlap))
        return true;
    }
    if (!a.contains("properties") || !b.contains("properties"))
      return false;
    for (const auto& [name, property] : a["properties"].items())
      if (b["properties"].contains(name) && requires_member(a, name) && requires_member(b, name) &&
          property.contains("const") && b["properties"][name].contains("const") &&
          property["const"] != b["properties"][name]["const"])
        return true;
    return false;
  }

  static bool requires_member(const json& schema, const std::string& name) {
    const auto list = schema.find("required");
    return list != schema.end() && list->is_array() && std::find(list->begin(), list->end(), json(name)) != list->end();
  }

  static expected<void> check_values(const json& schema, const std::vector<std::string>& named, const std::string& at) {
    if (named.size() > 1)
      return wrong(at + "/type", "has several types beside its values");
    for (const auto& [word, value] : schema.items())
      if (word != "type" && word != "enum" && word != "const" && !among(annotations, word))
        return wrong(at + "/" + word, "can't be held to beside enum or const");
    if (schema.contains("enum") && schema.contains("const"))
      return wrong(at + "/enum", "can't be held to beside const");
    const auto values = schema.contains("const") ? json::array({schema["const"]}) : schema["enum"];
    if (!values.is_array() || values.empty())
      return wrong(at + "/enum", "is no list of values");
    for (const auto& value : values)
      if (!named.empty() && !has_type(value, named.front()))
        return wrong(at, "has a value that is no " + named.front());
    return {};
  }

  expected<void> check_type(const json& schema, const std::string& type, const std::string& at) {
    return type == "object"    ? check_object(schema, at)
           : type == "array"   ? check_array(schema, at)
           : type == "string"  ? check_string(schema, at)
           : type == "integer" ? check_integer(schema, at)
                               : expected<void>{};
  }

  expected<void> check_object(const json& schema, const std::string& at) {
    const auto properties = schema.value("properties", json::object());
    if (!properties.is_object())
      return wrong(at + "/properties", "is no JSON object");
    for (const auto& [name, property] : properties.items())
      if (auto done = check(property, at + "/properties/" + name); !done)
        return done;
    const auto required = schema.value("required", json::array());
    if (!required.is_array())
      return wrong(at + "/required", "is no list of names");
    for (const auto& name : required)
      if (!name.is_string() || !properties.contains(name.get_ref<const std::string&>()))
        return wrong(at + "/required", "names what is not in properties");
    const auto others = schema.find("additionalProperties");
    if (others == schema.end() || others->is_boolean())
      return {};
    return check(*others, at + "/additionalProperties");
  }

  expected<void> check_array(const json& schema, const std::string& at) {
    const auto bounds = check_bounds(schema, "minItems", "maxItems", most_repetitions, at);
    if (!bounds)
      return bounds.error();
    if (schema.contains("items") && schema.contains("prefixItems"))
      return wrong(at + "/items", "can't be held to beside prefixItems");
    const auto* word = schema.contains("prefixItems") ? "prefixItems" : "items";
    const auto items = schema.find(word);
    if (items == schema.end())
      return {};
    if (!items->is_array())
      return check(*items, at + "/" + word);
    const auto count = static_cast<std::int64_t>(items->size());
    if (count < bounds->first || count > bounds->second)
      return wrong(at + "/" + word, "is a list of another length than minItems and maxItems allow");
    for (std::size_t i = 0; i != items->size(); ++i)
      if (auto done = check((*items)[i], at + "/" + word + "/" + std::to_string(i)); !done)
        return done;
    return {};
  }

  static expected<void> check_string(const json& schema, const std::string& at) {
    const auto bounds = check_bounds(schema, "minLength", "maxLength", most_repetitions, at);
    if (!bounds)
      return bounds.error();
    const auto said = std::count_if(schema.items().begin(), schema.items().end(), [](const auto& member) {
      return member.key() == "pattern" || member.key() == "format" || member.key() == "minLength";
    });
    const bool limited = schema.contains("minLength") || schema.contains("maxLength");
    if (said > 1 || (limited && (schema.contains("pattern") || schema.contains("format"))))
      return wrong(at, "can be held to one of pattern, format, and bounds of its length");
    if (const auto format = schema.find("format"); format != schema.end()) {
      constexpr std::array known{"date", "time", "date-time", "uuid"};
      if (!format->is_string() || !among(known, format->get_ref<const std::string&>()))
        return wrong(at + "/format", "is none of date, time, date-time and uuid");
    }
    const auto pattern = schema.find("pattern");
    if (pattern == schema.end())
      return {};
    if (!pattern->is_string())
      return wrong(at + "/pattern", "is no string");
    const auto why = pattern_problem(pattern->get_ref<const std::string&>());
    return why.empty() ? expected<void>{} : wrong(at + "/pattern", why);
  }

  static expected<void> check_integer(const json& schema, const std::string& at) {
    for (const auto& [included, excluded] : {std::pair{"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}})
      if (schema.contains(included) && schema.contains(excluded))
        return wrong(at, "has a bound twice");
    const auto least = integer_bound(schema, "minimum", "exclusiveMinimum", 1, -largest_integer, at);
    if (!least)
      return least.error();
    const auto most = integer_bound(schema, "maximum", "exclusiveMaximum", -1, largest_integer, at);
    if (!most)
      return most.error();
    return *least <= *most ? expected<void>{} : wrong(at, "allows no number");
  }

  static expected<std::int64_t> integer_bound(const json& schema, const char* included, const char* excluded,
                                              int inwards, std::int64_t fallback, const std::string& at) {
    const auto* word = schema.contains(included) ? included : excluded;
    const auto bound = schema.find(word);
    if (bound == schema.end())
      return fallback;
    if (!bound->is_number_integer() || bound->get<double>() > 9e15 || bound->get<double>() < -9e15)
      return wrong(at + "/" + word, "is no integer, or too large");
    return bound->get<std::int64_t>() + (word == excluded ? inwards : 0);
  }

  static expected<std::pair<std::int64_t, std::int64_t>> check_bounds(const json& schema, const char* least_word,
                                                                      const char* most_word, std::int64_t largest,
                                                                      const std::string& at) {
    std::pair<std::int64_t, std::int64_t> bounds{0, std::numeric_limits<std::int64_t>::max()};
    for (auto [word, bound] : {std::pair{least_word, &bounds.first}, {most_word, &bounds.second}})
      if (const auto given = schema.find(word); given != schema.end()) {
        if (!given->is_number_unsigned() || given->get<std::uint64_t>() > static_cast<std::uint64_t>(largest))
          return wrong(at + "/" + word, "is no whole number from 0 to " + std::to_string(largest));
        *bound = given->get<std::int64_t>();
      }
    if (bounds.first > bounds.second)
      return wrong(at + "/" + most_word, "is less than " + std::string{least_word});
    return bounds;
  }

  const json& root_;
  std::set<std::string> seen_;
  std::size_t nodes_ = 0;
};

}  // namespace

expected<void> check_schema(const json& schema) {
  return checker{schema}.check(schema, "#");
}

}  // namespace troupe
