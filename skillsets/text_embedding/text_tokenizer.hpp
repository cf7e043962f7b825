#pragma once

#include "actors/concurrency/error.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

struct troupe_tokenizer;

namespace troupe {

/// A text as a model reads it.
struct encoded_text {
  std::vector<std::int64_t> ids;    ///< special tokens included
  std::vector<std::int64_t> types;  ///< which sequence each token belongs to; as many
  std::size_t dropped = 0;          ///< tokens that were cut off; of a long text, at least
};

/// Turns texts into tokens as a tokenizer.json says; see tokenizer/tokenizer.h for what of it counts. Immutable, and
/// so safe to use from any number of threads.
class text_tokenizer {
 public:
  /// Loads a tokenizer.json whose texts are cut to `max_tokens` (0: never). INVALID_ARGUMENT, naming the file, when it
  /// is none or `max_tokens` leaves no room beside the special tokens.
  static expected<text_tokenizer> load(const std::filesystem::path& path, std::size_t max_tokens);

  /// The tokens of a UTF-8 text. INVALID_ARGUMENT, naming the offset of the first wrong byte, when it isn't UTF-8.
  expected<encoded_text> encode(std::string_view text) const;

  /// The largest id there is.
  std::int64_t largest_id() const noexcept;

  /// The id that fills shorter texts up.
  std::int64_t padding_id() const noexcept;

 private:
  struct deleter {
    void operator()(troupe_tokenizer* tokenizer) const noexcept;
  };

  explicit text_tokenizer(troupe_tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  std::unique_ptr<troupe_tokenizer, deleter> tokenizer_;
};

}  // namespace troupe
