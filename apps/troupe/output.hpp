#pragma once

#include "actors/concurrency/error.hpp"
#include "apps/troupe/exit_code.hpp"

#include <string>
#include <string_view>

namespace troupe::cli {

/// Standard output that notices when it fails. A full disk must not look like success, and a reader that has seen
/// enough (`troupe … | head -1`) is no failure; std::cout makes it hard to tell them apart. Buffered.
class output {
 public:
  /// Writes to a file descriptor that stays the caller's.
  explicit output(int descriptor) noexcept : descriptor_(descriptor) {}

  /// Adds text; true while writing makes sense. Once false, the command ends.
  bool print(std::string_view text);

  /// Hands everything printed to the system; false as `print`.
  bool flush();

  /// What was lost is the reader's choice: it has closed its end.
  bool reader_gone() const noexcept { return failure_ != 0 && reader_gone_; }

  /// Why output was lost, INTERNAL; only after `flush` or `print` has returned false.
  error failure() const;

 private:
  int descriptor_;
  int failure_ = 0;
  bool reader_gone_ = false;
  std::string pending_;
};

/// Writes `troupe: ` and the text in one line to standard error.
void complain(std::string_view text);

/// Reports an error as `troupe: CODE: message`, and gives the exit code for it.
exit_code fail(const error& why);

/// Reports a wrong command line as `troupe: USAGE: message`.
exit_code fail_usage(const error& why);

}  // namespace troupe::cli
