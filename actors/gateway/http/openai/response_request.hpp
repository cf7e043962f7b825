#pragma once

#include "actors/gateway/http/openai/text_request.hpp"

namespace troupe::openai {

/// A request to `/v1/responses`, and what of it every answer repeats.
struct response_request : text_request {
  json repeated;          ///< such as `instructions`, `tools` and `text`
  bool logprobs = false;  ///< are a part of the answer
};

/// Reads the body of a `POST /v1/responses`; errors as for chats. Nothing is stored: without `store` that is
/// understood, and with `store: true` the request is refused.
expected<response_request> read_response_request(const json& body);

}  // namespace troupe::openai
