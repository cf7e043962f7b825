#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <string>
#include <string_view>

namespace troupe::cli {

/// What a model can be asked for. Nobody has to name the model where there is one of its kind, and what kind it is its
/// signature tells: the names and datatypes that the task's skillset gives its input and output.
struct task {
  std::string_view does;  ///< what a model of it does, for messages
  std::string_view input;
  std::string_view input_type;
  std::string_view output;
  std::string_view output_type;
  std::string_view choice;  ///< how to name one of several models
};

inline constexpr task text_embedding{"embeds texts", "text", "BYTES", "embedding", "FP32", "choose one with --model"};
inline constexpr task text_generation{"generates text", "text_input", "BYTES",
                                      "text_output",    "BYTES",      "choose one: name it after the command"};

/// The only ready model of a task. NOT_FOUND when there is none, UNAVAILABLE when one may still come, INVALID_ARGUMENT
/// when there are several.
expected<std::string> find_model(client& node, const task& wanted);

}  // namespace troupe::cli
