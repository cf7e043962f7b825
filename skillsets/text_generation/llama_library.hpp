#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/runtime_device.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <llama.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// llama.cpp's C interface with owners and errors. What it can't do at all is an abort of the process, which is why
/// models of this skillset live in host processes.
namespace troupe::llama {

struct free_model {
  void operator()(llama_model* model) const noexcept { llama_model_free(model); }
};
struct free_context {
  void operator()(llama_context* context) const noexcept { llama_free(context); }
};
using model_ptr = std::unique_ptr<llama_model, free_model>;
using context_ptr = std::unique_ptr<llama_context, free_context>;
using tokens = std::vector<llama_token>;

/// Hears what the library complains of on this thread, for as long as it lives; otherwise that goes to standard error.
class listener {
 public:
  listener();
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// The last complaint, behind a colon; nothing where there was none.
  std::string last() const;

 private:
  std::string heard_;
};

/// The threads that a context computes with; outlives it.
class thread_team {
 public:
  explicit thread_team(std::size_t threads);
  ~thread_team();
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  void attach_to(llama_context& context);

 private:
  ggml_threadpool* team_ = nullptr;
};

/// The devices of llama.cpp's back ends on this machine. INTERNAL where it finds none, not even the processor.
expected<std::vector<runtime_device>> devices();

/// Reads the file in the role `weights`, onto the settings' device, without mapping it into memory: a file that is
/// changed later harms nobody. INVALID_ARGUMENT for one that is no whole model, UNAVAILABLE for a device that isn't
/// there, CANCELLED.
expected<model_ptr> load(const model_settings& settings, const cancel_token& token);

/// The tokens of a text; `with_begin` puts before them what the model wants at the beginning of every text. Control
/// words such as `<|im_start|>` are tokens of their own where `control`, and plain text otherwise. The text is UTF-8.
tokens tokenize(const llama_vocab& vocabulary, std::string_view text, bool with_begin, bool control);

/// The bytes of a token, which may be a part of a character. Those of a control word only where `control`.
std::string piece(const llama_vocab& vocabulary, llama_token token, bool control);

/// The words that are no text, such as `<|im_start|>`.
std::vector<std::string> control_words(const llama_vocab& vocabulary);

/// The tokens that end a text.
tokens end_tokens(const llama_vocab& vocabulary);

}  // namespace troupe::llama
