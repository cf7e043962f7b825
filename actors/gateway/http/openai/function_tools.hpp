#pragma once

#include "actors/gateway/http/openai/text_request.hpp"

namespace troupe::openai {

inline constexpr std::size_t most_tools = 128;

/// Where the members of a function stand, and its name in a tool_choice: in a member `function` of their own, as chat
/// has it, or beside the type, as responses have it.
enum class tool_style : bool { nested, flat };

/// Reads `tools`, `tool_choice` and `parallel_tool_calls`, and gives them as the task "text generation" takes them.
void read_tools(const object_reader& body, tool_style style, text_request& to);

}  // namespace troupe::openai
