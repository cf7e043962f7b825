#pragma once

#include "actors/gateway/http/openai/object_reader.hpp"

namespace troupe::openai {

/// Reads `instructions` and `input` of a request to `/v1/responses`, which is a text or an array of items, and gives
/// them as the messages that the task "text generation" takes: `function_call` items as tool calls of the assistant,
/// `function_call_output` as messages of the tool. Reasoning that clients send back is left out.
json read_input(const object_reader& body);

}  // namespace troupe::openai
