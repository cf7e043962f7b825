#pragma once

#include "actors/gateway/http/openai/text_request.hpp"

namespace troupe::openai {

/// Reads the body of a `POST /v1/chat/completions`. Errors name the field, as `parameter 'messages[2].content'`:
/// INVALID_ARGUMENT for what is wrong, UNIMPLEMENTED for what is unknown or not supported.
expected<text_request> read_chat_request(const json& body);

}  // namespace troupe::openai
