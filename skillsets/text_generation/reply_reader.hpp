#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// A piece of a call that the model makes.
struct tool_call_delta {
  std::size_t index = 0;
  std::string id;  ///< with the name, in the first piece of a call
  std::string name;
  std::string arguments;
};

/// What a piece of the model's text adds to its reply.
struct reply_delta {
  std::string content;
  std::string reasoning;
  std::vector<tool_call_delta> calls;

  bool empty() const noexcept { return content.empty() && reasoning.empty() && calls.empty(); }
};

/// Tells content, reasoning and calls apart in the text that a model writes.
class reply_reader {
 public:
  virtual ~reply_reader() = default;

  /// Takes the next piece of text, the last one when `whole`.
  virtual reply_delta read(std::string_view text, bool whole) = 0;

  /// Whether there was a call.
  virtual bool calls() const noexcept { return false; }
};

/// All of it is content.
class plain_reader final : public reply_reader {
 public:
  reply_delta read(std::string_view text, bool) override { return {std::string{text}, {}, {}}; }
};

/// Calls as `tool_grammar` writes them, between `<tool_call>` and `</tool_call>`; the rest is content.
class tagged_reader final : public reply_reader {
 public:
  reply_delta read(std::string_view text, bool whole) override;
  bool calls() const noexcept override { return count_ != 0; }

 private:
  enum class place : std::uint8_t { content, head, arguments };

  bool read_content(reply_delta& to, bool whole);
  bool read_head(reply_delta& to, bool whole);
  bool read_arguments(reply_delta& to, bool whole);

  std::string held_;
  place at_ = place::content;
  std::size_t count_ = 0;
};

/// An id for a call, such as `call_` and 24 letters and digits.
std::string new_call_id();

}  // namespace troupe
