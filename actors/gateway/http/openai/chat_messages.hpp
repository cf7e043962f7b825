#pragma once

#include "actors/gateway/http/openai/object_reader.hpp"

namespace troupe::openai {

/// Reads `messages` of a chat, and gives them as the task "text generation" takes them: role, content, name, tool_calls
/// and tool_call_id of each, and nothing else. `developer` is OpenAI's newer word for `system`, which chat templates
/// know. What was refused, annotated or reasoned in earlier answers, and clients send back, is left out.
json read_messages(const object_reader& body);

}  // namespace troupe::openai
