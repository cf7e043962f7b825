#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Makes text of the bytes that tokens stand for: gives whole characters only, and nothing that may become a stop
/// string or lie behind one, though tokens end in the middle of both. Bytes that are no UTF-8 become U+FFFD.
class text_stream {
 public:
  /// None of the stop strings is empty.
  explicit text_stream(std::vector<std::string> stops);

  /// Takes the bytes of the next token; the text that can be given now. Nothing any more once it has stopped.
  std::string push(std::string_view bytes);

  /// What was held back, once no more will come.
  std::string finish();

  /// Whether a stop string was reached.
  bool stopped() const noexcept { return stopped_; }

  /// How many of the bytes pushed were given.
  std::size_t given() const noexcept { return given_; }

  /// How many of the bytes pushed are before the stop string, or all.
  std::size_t kept() const noexcept { return given_ + held_.size(); }

 private:
  std::string give(std::size_t bytes);

  const std::vector<std::string> stops_;
  std::string held_;
  std::size_t given_ = 0;
  bool stopped_ = false;
};

/// How many bytes at the end of `text` may be the beginning of `word`: fewer than all of it.
std::size_t begun(std::string_view text, std::string_view word);

}  // namespace troupe
