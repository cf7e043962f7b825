#include "actors/gateway/http/openai/function_tools.hpp"

#include <algorithm>
#include <set>

namespace troupe::openai {
namespace {

constexpr std::size_t longest_name = 64;

bool is_name(std::string_view text) {
  constexpr auto fits = [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !text.empty() && text.size() <= longest_name && std::all_of(text.begin(), text.end(), fits);
}

/// The function of a tool, or of a choice, that says `type: function`.
std::optional<object_reader> function_of(const object_reader& tool, tool_style style) {
  const auto type = tool.required_text("type");
  if (type != "function") {
    tool.refuse("type", "is '" + shortened(type, 40) + "'", "there are functions only");
    return std::nullopt;
  }
  if (style == tool_style::flat)
    return tool;
  tool.only({"type", "function"});
  if (!tool.has("function"))
    tool.reject("function", "is missing");
  return tool.object("function");
}

/// In chat's form.
json read_tool(const object_reader& tool, tool_style style, std::set<std::string>& names) {
  const auto function = function_of(tool, style);
  if (!function)
    return nullptr;
  if (style == tool_style::flat)
    function->only({"type", "name", "description", "parameters", "strict"});
  else
    function->only({"name", "description", "parameters", "strict"});
  const auto name = function->required_text("name");
  if (!is_name(name))
    function->reject("name", "is '" + shortened(name, longest_name) + "'",
                     "give 1 to 64 letters, digits, underscores and dashes");
  else if (!names.insert(name).second)
    function->reject("name", "is '" + name + "', as that of another tool");
  json result{{"name", name}};
  if (auto description = function->text("description"))
    result["description"] = *std::move(description);
  if (function->object("parameters"))
    result["parameters"] = *function->find("parameters");
  if (const auto strict = function->flag("strict"))
    result["strict"] = *strict;
  return {{"type", "function"}, {"function", std::move(result)}};
}

/// `auto`, `none` or `required`, or one of the tools.
void read_choice(const object_reader& body, tool_style style, const std::set<std::string>& names, text_request& to) {
  const auto* choice = body.find("tool_choice");
  if (!choice)
    return;
  if (choice->is_object()) {
    const auto function = function_of(*body.object("tool_choice"), style);
    if (!function)
      return;
    if (style == tool_style::flat)
      function->only({"type", "name"});
    else
      function->only({"name"});
    const auto name = function->required_text("name");
    if (!names.contains(name))
      return function->reject("name", "is '" + shortened(name, longest_name) + "', which is none of the tools");
    to.parameters.insert_or_assign("tool_choice",
                                   write_document({{"type", "function"}, {"function", {{"name", name}}}}));
    return;
  }
  const auto mode = body.text("tool_choice");
  if (!mode)
    return;
  if (*mode != "auto" && *mode != "none" && *mode != "required")
    return body.reject("tool_choice", "is '" + shortened(*mode, 40) + "'", "give auto, none, required or a function");
  if (names.empty() && *mode == "required")
    return body.reject("tool_choice", "is 'required', and there are no tools");
  if (!names.empty())
    to.parameters.insert_or_assign("tool_choice", *mode);
}

}  // namespace

void read_tools(const object_reader& body, tool_style style, text_request& to) {
  const auto* tools = body.array("tools");
  std::set<std::string> names;
  if (tools && tools->size() > most_tools)
    return body.reject("tools", "has " + std::to_string(tools->size()) + " tools",
                       "give at most " + std::to_string(most_tools));
  auto read = json::array();
  for (std::size_t i = 0; tools && i != tools->size(); ++i)
    if (const auto tool = body.element("tools", *tools, i))
      read.push_back(read_tool(*tool, style, names));
  if (!read.empty())
    to.parameters.insert_or_assign("tools", write_document(read));
  read_choice(body, style, names, to);
  if (const auto parallel = body.flag("parallel_tool_calls"); parallel && !names.empty())
    to.parameters.insert_or_assign("parallel_tool_calls", *parallel);
}

}  // namespace troupe::openai
