#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/text_generation/generation_request.hpp"
#include "skillsets/text_generation/json_text.hpp"
#include "skillsets/text_generation/token_sampler.hpp"

#include <string>

namespace troupe {

/// A chat in words that every template knows: what says something of tools becomes text of the system, the assistant
/// and the user. `tools` is empty where there are none, or none may be called.
json tell_tools(const json& messages, const json& tools, const tool_choice& choice);

/// The form of calls to these tools: `<tool_call>`, a line break, `{"name": "…", "arguments": {…}}`, a line break,
/// `</tool_call>`. From the beginning where a call is required, else from the first `<tool_call>` on.
expected<text_form> tool_grammar(const json& tools, const generation_request& request);

}  // namespace troupe
