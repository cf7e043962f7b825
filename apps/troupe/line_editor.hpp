#pragma once

#include "actors/concurrency/error.hpp"

#include <memory>
#include <optional>
#include <string>

namespace troupe::cli {

/// Reads lines that a person types at a terminal, who expects to move in the line and to get earlier ones back, which
/// the terminal itself doesn't offer; libedit does. Reads standard input; the prompt goes to standard error, so that
/// answers alone are in standard output. The terminal is as it was when the editor is gone. One at a time.
class line_editor {
 public:
  line_editor();
  ~line_editor();
  line_editor(const line_editor&) = delete;
  line_editor& operator=(const line_editor&) = delete;

  /// Waits for a line, without its newline; nothing at the end of input. CANCELLED when the descriptor `stop` became
  /// readable before, INTERNAL when reading fails.
  expected<std::optional<std::string>> next(const std::string& prompt, int stop);

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace troupe::cli
