#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/text_generation/generation_request.hpp"
#include "skillsets/text_generation/llama_library.hpp"
#include "skillsets/text_generation/reply_reader.hpp"
#include "skillsets/text_generation/token_sampler.hpp"

#include <memory>
#include <string>
#include <vector>

struct common_chat_templates;

namespace troupe {

/// A chat as the model wants to read it, and how its reply is to be read.
struct rendered_chat {
  std::string prompt;
  text_form form;
  std::vector<std::string> stops;
  std::unique_ptr<reply_reader> reader;
};

/// The model's own template, by which a chat becomes a prompt. Where the template knows no tools, they are told in the
/// system message, and calls are written as `<tool_call>` and JSON, as the Hermes models do. Immutable: for any thread.
class chat_template {
 public:
  /// INVALID_ARGUMENT for a template that can't be read. A model without one has no chats.
  static expected<std::unique_ptr<chat_template>> of(const llama_model& model);
  ~chat_template();

  /// INVALID_ARGUMENT names the message, tool or schema that is wrong.
  expected<rendered_chat> render(const generation_request& request) const;

 private:
  explicit chat_template(std::unique_ptr<common_chat_templates, void (*)(common_chat_templates*)> templates);

  std::unique_ptr<common_chat_templates, void (*)(common_chat_templates*)> templates_;
  bool knows_tools_ = false;
};

/// What a request without tools holds its text to: its grammar or JSON schema, or nothing. INVALID_ARGUMENT for a
/// schema that `check_schema` refuses, or that is too large for the engine.
expected<text_form> form_of(const generation_request& request);

}  // namespace troupe
