#pragma once

#include "skillsets/sdk/skillset.hpp"

#include <cstdint>
#include <string_view>

/// What there is to know of one text.
struct text_measures {
  std::int64_t characters = 0;
  std::int64_t words = 0;  ///< characters between white space
  float entropy = 0;       ///< of the grams, in bits each: 0 where all are alike
};

/// Measures a text in UTF-8. A gram is so many characters in a row: 1 are letters, 2 are pairs of them. Errors:
/// INVALID_ARGUMENT with the first byte that is no UTF-8; the reason of `token` once that is cancelled.
troupe::expected<text_measures> measure(std::string_view text, std::size_t gram, const troupe::cancel_token& token);

/// Texts to numbers, by which one tells prose from lists, other alphabets, or a key that somebody leans on. Takes
/// `text`, any number of them, and gives `characters`, `words` and `entropy` of each.
class text_statistics_skillset final : public troupe::skillset {
 public:
  std::string_view name() const override { return "text_statistics"; }
  std::string_view platform() const override { return "C++"; }

  /// `gram`: the characters in a gram, 1 to 8.
  std::vector<troupe::option_spec> options() const override;

  troupe::expected<std::unique_ptr<troupe::loaded_model>> load(const troupe::model_settings& settings,
                                                               const troupe::cancel_token& token) override;
};
