#include "apps/troupe/skillsets.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "troupe/node/v1/node.pb.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = node::v1;
using json = nlohmann::ordered_json;
using table = std::vector<std::vector<std::string>>;

std::string kind_of(const wire::Skillset& skillset) {
  switch (skillset.kind()) {
    case wire::Skillset::BUILT_IN:
      return "built in";
    case wire::Skillset::SHARED_OBJECT:
      return "shared object";
    case wire::Skillset::PROGRAM:
      return "program";
    default:
      return "unknown";
  }
}

std::string state_of(const wire::Skillset& skillset) {
  return !skillset.shadowed_by().empty() ? "SHADOWED" : !skillset.refused().empty() ? "REFUSED" : "USABLE";
}

std::string type_of(const wire::Option& option) {
  switch (option.fallback_case()) {
    case wire::Option::kBoolValue:
      return "bool";
    case wire::Option::kInt64Value:
      return "integer";
    case wire::Option::kDoubleValue:
      return "number";
    case wire::Option::kStringValue:
      return "text";
    case wire::Option::FALLBACK_NOT_SET:
      break;
  }
  return "unknown";
}

json fallback_of(const wire::Option& option) {
  switch (option.fallback_case()) {
    case wire::Option::kBoolValue:
      return option.bool_value();
    case wire::Option::kInt64Value:
      return option.int64_value();
    case wire::Option::kDoubleValue:
      return option.double_value();
    case wire::Option::kStringValue:
      return option.string_value();
    case wire::Option::FALLBACK_NOT_SET:
      break;
  }
  return nullptr;
}

std::string to_line(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// `1 to 10`, or the words to choose from; nothing where everything goes.
std::string values_of(const wire::Option& option) {
  if (option.choices_size() > 0)
    return one_line(join({option.choices().begin(), option.choices().end()}, " "));
  std::string text;
  if (option.has_least() && option.has_most()) {
    append_short_number(text, option.least());
    text += " to ";
    append_short_number(text, option.most());
  }
  return text;
}

/// What there is to be said of it, a line each.
void add_details(const wire::Skillset& skillset, table& rows) {
  const auto add = [&](const std::string& what, const std::string& value) {
    if (!value.empty())
      rows.push_back({one_line(skillset.name()), what, one_line(value)});
  };
  add("file", skillset.file());
  for (const auto& device : skillset.devices())
    add("device " + one_line(device.name()),
        device.runtime().name() + " " + device.runtime().version() + " " + device.runtime().full_name());
  add("refused", skillset.refused());
  add("shadowed by", skillset.shadowed_by());
}

void add_options(const wire::Skillset& skillset, table& rows) {
  for (const auto& option : skillset.options())
    rows.push_back({one_line(skillset.name()), one_line(option.name()), type_of(option), to_line(fallback_of(option)),
                    values_of(option)});
}

std::string to_text(const wire::SkillsetsResponse& found) {
  table skillsets{{"SKILLSET", "KIND", "VERSION", "PLATFORM", "STATE"}};
  table options{{"SKILLSET", "OPTION", "TYPE", "DEFAULT", "VALUES"}};
  table details{{"SKILLSET", "PROPERTY", "VALUE"}};
  for (const auto& each : found.skillsets()) {
    skillsets.push_back(
        {one_line(each.name()), kind_of(each), one_line(each.version()), one_line(each.platform()), state_of(each)});
    add_options(each, options);
    add_details(each, details);
  }
  auto text = format_table(skillsets);
  for (const auto* more : {&options, &details})
    if (more->size() > 1)
      text += "\n" + format_table(*more);
  return text;
}

json to_json(const wire::Option& option) {
  json result{{"name", option.name()}, {"type", type_of(option)}, {"default", fallback_of(option)}};
  if (option.choices_size() > 0)
    result["choices"] = std::vector<std::string>{option.choices().begin(), option.choices().end()};
  if (option.has_least())
    result["least"] = option.least();
  if (option.has_most())
    result["most"] = option.most();
  return result;
}

json to_json(const wire::RuntimeDevice& device) {
  const auto& runtime = device.runtime();
  return {{"name", device.name()},
          {"runtime", runtime.name()},
          {"version", runtime.version()},
          {"full_name", runtime.full_name()},
          {"capabilities", std::vector<std::string>{runtime.capabilities().begin(), runtime.capabilities().end()}}};
}

json to_json(const wire::Skillset& skillset) {
  json result{{"name", skillset.name()},       {"kind", kind_of(skillset)},
              {"state", state_of(skillset)},   {"file", skillset.file()},
              {"version", skillset.version()}, {"platform", skillset.platform()},
              {"options", json::array()},      {"devices", json::array()},
              {"refused", skillset.refused()}, {"shadowed_by", skillset.shadowed_by()}};
  for (const auto& option : skillset.options())
    result["options"].push_back(to_json(option));
  for (const auto& device : skillset.devices())
    result["devices"].push_back(to_json(device));
  return result;
}

}  // namespace

expected<void> skillsets(session& with) {
  const auto found = with.node.skillsets();
  if (!found)
    return found.error();
  if (!with.json) {
    with.out.print(to_text(*found));
    return {};
  }
  json document{{"skillsets", json::array()}};
  for (const auto& each : found->skillsets())
    document["skillsets"].push_back(to_json(each));
  with.out.print(to_line(document) + "\n");
  return {};
}

}  // namespace troupe::cli
