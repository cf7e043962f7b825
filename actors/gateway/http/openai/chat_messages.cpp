#include "actors/gateway/http/openai/chat_messages.hpp"

#include <algorithm>
#include <array>

namespace troupe::openai {
namespace {

constexpr std::array<std::string_view, 5> roles{"system", "developer", "user", "assistant", "tool"};

/// Text, or an array of text parts.
json read_content(const object_reader& message) {
  const auto* content = message.find("content");
  if (!content || content->is_string())
    return content ? *content : json(nullptr);
  if (!content->is_array()) {
    message.reject("content", "is " + describe(*content), "give a string or an array of text parts");
    return nullptr;
  }
  if (content->empty())
    message.reject("content", "is an empty array", "give one part at least");
  auto parts = json::array();
  for (std::size_t i = 0; i != content->size(); ++i) {
    const auto part = message.element("content", *content, i);
    if (!part)
      return nullptr;
    const auto type = part->required_text("type");
    if (!type.empty() && type != "text") {
      part->refuse("type", "is '" + shortened(type, 40) + "'", "the models of this node take text");
      return nullptr;
    }
    part->only({"type", "text"});
    parts.push_back({{"type", "text"}, {"text", part->required_text("text")}});
  }
  return parts;
}

json read_tool_call(const object_reader& call) {
  const auto type = call.text("type").value_or("function");
  if (type != "function")
    call.refuse("type", "is '" + shortened(type, 40) + "'", "there are calls of functions only");
  call.only({"id", "type", "function", "index"});
  const auto id = call.required_text("id");
  if (!call.has("function"))
    call.reject("function", "is missing");
  const auto function = call.object("function");
  if (!function)
    return nullptr;
  function->only({"name", "arguments"});
  return {
      {"id", id},
      {"type", "function"},
      {"function", {{"name", function->required_text("name")}, {"arguments", function->required_text("arguments")}}}};
}

json read_tool_calls(const object_reader& message) {
  const auto* calls = message.array("tool_calls");
  auto result = json::array();
  for (std::size_t i = 0; calls && i != calls->size(); ++i)
    if (const auto call = message.element("tool_calls", *calls, i))
      result.push_back(read_tool_call(*call));
  return result;
}

json read_message(const object_reader& message) {
  const auto role = message.required_text("role");
  if (!role.empty() && std::find(roles.begin(), roles.end(), role) == roles.end()) {
    message.reject("role", "is '" + shortened(role, 40) + "'", "give system, developer, user, assistant or tool");
    return nullptr;
  }
  message.only({"role", "content", "name", "tool_calls", "tool_call_id", "annotations", "reasoning_content"});
  json result{{"role", role == "developer" ? "system" : role}};
  auto content = read_content(message);
  if (auto calls = read_tool_calls(message); !calls.empty()) {
    if (role != "assistant")
      message.reject("tool_calls", "is in a message of role '" + role + "'", "only the assistant calls tools");
    result["tool_calls"] = std::move(calls);
  } else if (content.is_null() && !message.failed()) {
    message.reject("content", "is missing");
  }
  result["content"] = std::move(content);
  if (auto name = message.text("name"))
    result["name"] = *std::move(name);
  if (role == "tool")
    result["tool_call_id"] = message.required_text("tool_call_id");
  else if (message.has("tool_call_id"))
    message.reject("tool_call_id", "is in a message of role '" + role + "'", "only tools answer calls");
  return result;
}

}  // namespace

json read_messages(const object_reader& body) {
  auto result = json::array();
  if (!body.has("messages"))
    body.reject("messages", "is missing");
  const auto* messages = body.array("messages");
  if (!messages)
    return result;
  if (messages->empty())
    body.reject("messages", "is empty", "give one message at least");
  for (std::size_t i = 0; i != messages->size() && !body.failed(); ++i)
    if (const auto message = body.element("messages", *messages, i))
      result.push_back(read_message(*message));
  return result;
}

}  // namespace troupe::openai
