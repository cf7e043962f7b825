#include "skillsets/text_generation/tool_prompt.hpp"

#include "skillsets/text_generation/schema_check.hpp"

#include <json-schema-to-grammar.h>

#include <vector>

namespace troupe {
namespace {

std::string instructions(const json& tools, const tool_choice& choice) {
  std::string text = "You may call functions. These are described in JSON:\n<tools>\n";
  for (const auto& tool : tools)
    text += tool.at("function").dump() + "\n";
  text +=
      "</tools>\nTo call one, write its name and its arguments like this:\n"
      "<tool_call>\n{\"name\": \"the name\", \"arguments\": {\"argument\": \"value\"}}\n</tool_call>";
  if (!choice.function.empty())
    text += "\nCall " + choice.function + " now.";
  else if (choice.how == tool_choice::kind::required)
    text += "\nCall one now.";
  return text;
}

std::string text_of(const json& message) {
  const auto content = message.find("content");
  if (content == message.end() || content->is_null())
    return {};
  if (content->is_string())
    return content->get<std::string>();
  std::string text;
  for (const auto& part : *content)
    if (part.is_object())
      text += part.value("text", "");
  return text;
}

/// The call as the model would have written it. Arguments that are no JSON stay the text that they are.
std::string written(const json& call) {
  const auto& function = call.at("function");
  const auto& arguments = function.at("arguments");
  return "<tool_call>\n{\"name\": " + function.at("name").dump() +
         ", \"arguments\": " + (arguments.is_string() ? arguments.get<std::string>() : arguments.dump()) +
         "}\n</tool_call>";
}

json in_plain_words(const json& message) {
  const auto role = message.value("role", "");
  if (role == "tool")
    return {{"role", "user"}, {"content", "<tool_response>\n" + text_of(message) + "\n</tool_response>"}};
  if (role != "assistant" || !message.contains("tool_calls") || message["tool_calls"].empty())
    return message;
  auto text = text_of(message);
  for (const auto& call : message["tool_calls"])
    text += (text.empty() ? "" : "\n") + written(call);
  return {{"role", role}, {"content", text}};
}

/// The schema's own grammar rule; the parameters of a tool are kept as far as a grammar can, unless the tool is strict.
std::string add_arguments(const common_grammar_builder& builder, const common_chat_schema_document& schema,
                          std::size_t index) {
  return builder.add_schema("arguments-" + std::to_string(index), *schema.root);
}

expected<common_chat_schema_document> schema_of(const json& function) {
  const auto parameters = function.value("parameters", json::object());
  if (function.value("strict", false))
    if (auto kept = check_schema(parameters); !kept)
      return kept.error();
  try {
    if (!parameters.empty())
      return common_chat_schema_from_json(common_json::parse(parameters.dump()));
  } catch (const std::exception&) {
    // No grammar says this schema, and nobody asked to be held to it: any object will do.
  }
  return common_chat_schema_from_json(common_json::parse(R"({"type":"object"})"));
}

}  // namespace

json tell_tools(const json& messages, const json& tools, const tool_choice& choice) {
  auto result = json::array();
  for (const auto& message : messages)
    result.push_back(in_plain_words(message));
  if (tools.empty() || choice.how == tool_choice::kind::none)
    return result;
  const auto text = instructions(tools, choice);
  if (result.front().value("role", "") == "system")
    result.front() = {{"role", "system"}, {"content", text_of(result.front()) + "\n\n" + text}};
  else
    result.insert(result.begin(), json{{"role", "system"}, {"content", text}});
  return result;
}

expected<text_form> tool_grammar(const json& tools, const generation_request& request) {
  std::vector<common_chat_schema_document> schemas;
  for (const auto& tool : tools) {
    auto schema = schema_of(tool.at("function"));
    if (!schema)
      return schema.error();
    schemas.push_back(*std::move(schema));
  }
  const bool required = request.choice.how == tool_choice::kind::required;
  text_form form;
  form.lazy = !required;
  form.trigger_words = {"<tool_call>"};
  form.grammar = build_grammar([&](const common_grammar_builder& builder) {
    std::string calls;
    for (std::size_t i = 0; i != schemas.size(); ++i) {
      const auto name = tools[i].at("function").at("name").get<std::string>();
      if (!request.choice.function.empty() && name != request.choice.function)
        continue;
      const auto arguments = add_arguments(builder, schemas[i], i);
      calls += (calls.empty() ? "" : " | ") +
               builder.add_rule("call-" + std::to_string(i),
                                gbnf_format_literal("<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": ") + " " +
                                    arguments + " " + gbnf_format_literal("}\n</tool_call>"));
    }
    builder.add_rule("call", calls);
    builder.add_rule("root", request.parallel_tool_calls ? "call (\"\\n\" call)*" : "call");
  });
  return form;
}

}  // namespace troupe
