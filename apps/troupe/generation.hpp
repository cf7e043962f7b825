#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::cli {

/// What the command line says of how text is generated; what it leaves out is the model's own choice.
struct generation_options {
  std::optional<double> temperature = {};
  std::optional<std::int64_t> max_tokens = {};
  std::optional<std::int64_t> seed = {};
  std::vector<std::string> stop = {};
  std::string json_schema = {};  ///< a JSON schema, or the file that holds one; empty: the text is free
  std::vector<std::pair<std::string, parameter>> parameters = {};  ///< further ones of the task
};

/// The form of a prompt: the text itself, or the messages of a conversation in OpenAI's JSON.
enum class prompt_format { text, chat };

/// What a generation came to, as far as it came.
struct generated {
  std::string text;
  std::string reasoning;
  std::string finish_reason;  ///< `stop`, `length` or `tool_calls`; empty where it did not come to its end
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;  ///< of the prompt that needed no computing
};

/// A piece of new text, or of what the model thinks before it; false ends the generation.
using text_sink = std::function<bool(std::string_view text, bool reasoning)>;

/// The request that the options mean. NOT_FOUND for a file that can't be read; INVALID_ARGUMENT for a prompt that is
/// not UTF-8, and for a schema that is not JSON.
expected<inference::ModelInferRequest> generation_request(const std::string& model, std::string_view prompt,
                                                          prompt_format format, const generation_options& options);

/// Adds what a response says to what came before it, and gives its text to `sink`; false where that says so. INTERNAL
/// for a response without text, or with wrong types.
expected<bool> add_response(const inference::ModelInferResponse& response, generated& sum, const text_sink& sink);

/// Has text generated, piece by piece. `sum` has what came before an error, or before `part` was cancelled, too.
expected<void> generate(client& node, const inference::ModelInferRequest& request, const cancel_token& part,
                        generated& sum, const text_sink& sink);

/// What a generation came to as one line of JSON.
std::string to_json(const generated& answer);

}  // namespace troupe::cli
