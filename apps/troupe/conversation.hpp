#pragma once

#include "actors/concurrency/error.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

namespace troupe::cli {

/// The messages of a conversation, in OpenAI's chat form. A message that was not answered is taken back, so that one
/// which the model can't answer, such as one that is too long, doesn't spoil what comes after it.
class conversation {
 public:
  /// `system` is said before all; empty: nothing is.
  explicit conversation(std::string system) : system_(std::move(system)) { clear(); }

  /// Forgets everything but what the system says.
  void clear();

  /// Says something to the model. INVALID_ARGUMENT for what is not UTF-8.
  expected<void> ask(std::string_view message);

  /// What the model said to that. Nothing said takes the message back.
  void answer(std::string_view text);

  /// A JSON array of the messages.
  std::string json() const;

 private:
  std::string system_;
  nlohmann::ordered_json messages_;
};

/// What a line that a person typed asks of the program itself.
enum class chat_command { none, help, clear, leave, unknown };

/// A line of a single word that begins with a slash, and has no further one, is a command; any other is a message.
chat_command parse_chat_command(std::string_view line) noexcept;

}  // namespace troupe::cli
