#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe {

/// How tokens are chosen. The defaults change nothing of what the model says.
struct sampling_settings {
  double temperature = 1;  ///< 0: always the most likely one
  double top_p = 1;
  std::int32_t top_k = 0;  ///< 0: all
  double min_p = 0;
  double frequency_penalty = 0;
  double presence_penalty = 0;
  double repetition_penalty = 1;
  std::optional<std::uint32_t> seed;  ///< nothing: another one each time
  std::vector<std::pair<std::int32_t, float>> logit_bias;
  bool ignore_eos = false;

  friend bool operator==(const sampling_settings&, const sampling_settings&) = default;
};

/// What `text_input` holds.
enum class prompt_format : std::uint8_t { text, chat, tokens };

/// Which tools the model may call, and has to.
struct tool_choice {
  enum class kind : std::uint8_t { automatic, none, required } how = kind::automatic;
  std::string function;  ///< the one that it has to call; empty: any
};

/// A request as its text and its parameters say it, checked but for what takes the model to check.
struct generation_request {
  prompt_format format = prompt_format::text;
  std::string input;
  bool stream = false;
  std::optional<std::int64_t> max_tokens;
  sampling_settings sampling;
  std::vector<std::string> stop;
  std::optional<std::int32_t> logprobs;
  std::string json_schema;  ///< a JSON object, or empty
  std::string grammar;      ///< GBNF, or empty
  std::string tools;        ///< a JSON array that is not empty, or empty
  tool_choice choice;
  bool parallel_tool_calls = true;
  std::string template_arguments;  ///< a JSON object, or empty
  bool echo = false;
  std::uint32_t priority = 0;  ///< what has less goes first
};

/// Reads a request whose input agrees with the signature; `defaults` are the model's own. INVALID_ARGUMENT names the
/// parameter. Bounds: 64 stop strings of 1 to 1,024 bytes, 1,024 biases, 64 KiB of grammar or schema, 1 MiB of tools.
expected<generation_request> read_generation_request(const inference_request& request,
                                                     const sampling_settings& defaults);

}  // namespace troupe
