#include "skillsets/text_embedding/text_tokenizer.hpp"

#include "skillsets/text_embedding/tokenizer/tokenizer.h"

#include <string>

namespace troupe {
namespace {

/// Takes over an error text.
std::string take(char* text) {
  std::string copy = text ? text : "no reason given";
  troupe_tokenizer_free_text(text);
  return copy;
}

}  // namespace

void text_tokenizer::deleter::operator()(troupe_tokenizer* tokenizer) const noexcept {
  troupe_tokenizer_free(tokenizer);
}

expected<text_tokenizer> text_tokenizer::load(const std::filesystem::path& path, std::size_t max_tokens) {
  char* cause = nullptr;
  auto* const loaded = troupe_tokenizer_load_file(path.c_str(), max_tokens, &cause);
  if (!loaded)
    return make_error(status_code::invalid_argument, "tokenizer '" + path.string() + "': " + take(cause),
                      "give the tokenizer.json that belongs to the model");
  return text_tokenizer{loaded};
}

expected<encoded_text> text_tokenizer::encode(std::string_view text) const {
  troupe_encoding encoding{};
  std::size_t valid_up_to = 0;
  char* cause = nullptr;
  switch (troupe_tokenizer_encode(tokenizer_.get(), reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                  &encoding, &valid_up_to, &cause)) {
    case TROUPE_TOKENIZER_OK:
      break;
    case TROUPE_TOKENIZER_INVALID_UTF8:
      return make_error(status_code::invalid_argument, "is not UTF-8 at byte " + std::to_string(valid_up_to),
                        "send text encoded as UTF-8");
    default:
      return make_error(status_code::internal, "can't be tokenised: " + take(cause));
  }
  encoded_text result{{encoding.ids, encoding.ids + encoding.length},
                      {encoding.type_ids, encoding.type_ids + encoding.length},
                      encoding.dropped};
  troupe_encoding_free(&encoding);
  return result;
}

std::int64_t text_tokenizer::largest_id() const noexcept {
  return troupe_tokenizer_largest_id(tokenizer_.get());
}

std::int64_t text_tokenizer::padding_id() const noexcept {
  return troupe_tokenizer_padding_id(tokenizer_.get());
}

}  // namespace troupe
