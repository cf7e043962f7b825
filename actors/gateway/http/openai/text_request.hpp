#pragma once

#include "actors/gateway/http/openai/api_error.hpp"
#include "actors/gateway/http/openai/object_reader.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::openai {

/// A request for text is at most so many inference requests.
inline constexpr std::int64_t most_choices = 128;

/// Of their parameters, which each of them has for itself.
inline constexpr std::size_t most_parameter_bytes = 64 << 20;

inline constexpr std::size_t most_stops = 16;
inline constexpr std::size_t longest_stop = 1024;  ///< bytes
inline constexpr std::size_t most_biases = 1024;
inline constexpr std::int64_t most_top_logprobs = 20;

/// What a request for text comes to, whichever endpoint it is for: the same inference request for each choice, but for
/// the prompt and the seed.
struct text_request {
  std::string model;
  std::vector<buffer> prompts;  ///< one at least: the data of the input `text_input`, which the choices share
  std::int64_t choices = 1;     ///< of each prompt; in all not more than `most_choices`
  parameter_map parameters;     ///< of the task "text generation"
  std::optional<std::int64_t> seed;
  bool stream = false;
  bool include_usage = false;  ///< at the end of a stream
  field_names names;           ///< what the parameters are called in the API

  void add_prompt(std::string_view prompt);

  std::size_t size() const noexcept { return prompts.size() * static_cast<std::size_t>(choices); }

  /// The inference request of choice `index`, which counts through the choices of the first prompt, then those of the
  /// next. Each of a prompt's choices has a seed of its own: one more than the one before.
  inference_request inference(std::size_t index) const;
};

/// Reads what the endpoints for text have in common: `model`, `stream`, `temperature`, `top_p`, `seed` and the
/// extensions `top_k`, `min_p`, `repetition_penalty`, `ignore_eos` and `priority`. `temperature` is passed on as it is,
/// and nothing in its place.
void read_sampling(const object_reader& body, text_request& to);

/// `frequency_penalty`, `presence_penalty`, `logit_bias`, `stop`, `n`, `grammar` and `stream_options`, which chat and
/// completions have.
void read_choices(const object_reader& body, text_request& to);

/// To be called last: no choice has parameters that are so long that all of them together would be too much for the
/// node.
void check_size(const object_reader& body, const text_request& request);

/// `service_tier`: `auto` or `default`, which mean the same here.
void read_service_tier(const object_reader& body);

/// `chat_template_kwargs`: an object for the model's chat template.
void read_template_arguments(const object_reader& body, text_request& to);

/// A format of the output: `text`, `json_object`, or `json_schema`, which is enforced whether or not it is `strict`.
/// The members of the latter stand in the member `wrapper`, or beside the type where that is empty.
void read_format(const object_reader& format, std::string_view wrapper, text_request& to);

}  // namespace troupe::openai
