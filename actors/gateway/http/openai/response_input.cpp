#include "actors/gateway/http/openai/response_input.hpp"

#include <algorithm>
#include <array>

namespace troupe::openai {
namespace {

constexpr std::array<std::string_view, 4> roles{"system", "developer", "user", "assistant"};

/// A text, or an array of text parts, at `name`, which must be there.
json read_parts(const object_reader& item, std::string_view name) {
  const auto* content = item.find(name);
  if (!content)
    item.reject(name, "is missing");
  if (!content || content->is_string())
    return content ? *content : json(nullptr);
  if (!content->is_array() || content->empty()) {
    item.reject(name, "is " + (content->is_array() ? "an empty array" : describe(*content)),
                "give a string or an array of text parts");
    return nullptr;
  }
  auto parts = json::array();
  for (std::size_t i = 0; i != content->size(); ++i) {
    const auto part = item.element(name, *content, i);
    if (!part)
      return nullptr;
    const auto type = part->required_text("type");
    if (type != "input_text" && type != "output_text") {
      part->refuse("type", "is '" + shortened(type, 40) + "'", "the models of this node take text");
      return nullptr;
    }
    part->only({"type", "text", "annotations", "logprobs"});
    parts.push_back({{"type", "text"}, {"text", part->required_text("text")}});
  }
  return parts;
}

json read_message(const object_reader& item) {
  const auto role = item.required_text("role");
  if (!role.empty() && std::find(roles.begin(), roles.end(), role) == roles.end())
    item.reject("role", "is '" + shortened(role, 40) + "'", "give system, developer, user or assistant");
  item.only({"type", "role", "content", "id", "status"});
  return {{"role", role == "developer" ? "system" : role}, {"content", read_parts(item, "content")}};
}

/// A call joins what the assistant said or called right before it: that was one message.
void add_call(const object_reader& item, json& messages) {
  item.only({"type", "id", "call_id", "name", "arguments", "status"});
  json call{{"id", item.required_text("call_id")},
            {"type", "function"},
            {"function", {{"name", item.required_text("name")}, {"arguments", item.required_text("arguments")}}}};
  if (messages.empty() || messages.back()["role"] != "assistant")
    messages.push_back({{"role", "assistant"}, {"content", nullptr}});
  messages.back()["tool_calls"].push_back(std::move(call));
}

void add_output(const object_reader& item, json& messages) {
  item.only({"type", "id", "call_id", "output", "status"});
  auto call = item.required_text("call_id");
  messages.push_back({{"role", "tool"}, {"content", read_parts(item, "output")}, {"tool_call_id", std::move(call)}});
}

void add_item(const object_reader& item, json& messages) {
  const auto type = item.text("type").value_or("message");
  if (type == "message")
    messages.push_back(read_message(item));
  else if (type == "function_call")
    add_call(item, messages);
  else if (type == "function_call_output")
    add_output(item, messages);
  else if (type != "reasoning")
    item.refuse("type", "is '" + shortened(type, 40) + "'",
                "give message, function_call or function_call_output items");
}

}  // namespace

json read_input(const object_reader& body) {
  auto messages = json::array();
  if (auto instructions = body.text("instructions"))
    messages.push_back({{"role", "system"}, {"content", *std::move(instructions)}});
  const auto* input = body.find("input");
  if (!input)
    body.reject("input", "is missing");
  else if (input->is_string())
    messages.push_back({{"role", "user"}, {"content", *input}});
  else if (!input->is_array() || input->empty())
    body.reject("input", "is " + (input->is_array() ? "an empty array" : describe(*input)),
                "give a string or an array of items");
  else
    for (std::size_t i = 0; i != input->size() && !body.failed(); ++i)
      if (const auto item = body.element("input", *input, i))
        add_item(*item, messages);
  if (messages.empty() && !body.failed())
    body.reject("input", "has no message");
  return messages;
}

}  // namespace troupe::openai
