#pragma once

#include "actors/gateway/http/openai/text_request.hpp"

namespace troupe::openai {

/// Reads the body of a `POST /v1/completions`; errors as for chats. An answer without `max_tokens` has 16 at most, as
/// the API's reference says.
expected<text_request> read_completion_request(const json& body);

}  // namespace troupe::openai
