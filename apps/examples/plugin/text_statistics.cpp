#include "text_statistics.hpp"

#include "skillsets/sdk/plugin.hpp"

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <unordered_map>

namespace {

using namespace troupe;

// How many characters pass between two looks at a token.
constexpr std::size_t stretch = 4096;

bool is_space(char32_t c) {
  return c == U' ' || (c >= U'\t' && c <= U'\r') || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Takes the first character off a text; nothing where that doesn't begin with one.
std::optional<char32_t> take_character(std::string_view& text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = first < 0x80   ? 1
                             : first < 0xC2 ? 0
                             : first < 0xE0 ? 2
                             : first < 0xF0 ? 3
                             : first < 0xF5 ? 4
                                            : 0;
  if (length == 0 || length > text.size())
    return std::nullopt;
  char32_t c = length == 1 ? first : first & (0x7F >> length);
  for (std::size_t i = 1; i != length; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0) != 0x80)
      return std::nullopt;
    c = c << 6 | (next & 0x3F);
  }
  const bool too_long = (length == 3 && c < 0x800) || (length == 4 && c < 0x10000);
  if (too_long || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF)
    return std::nullopt;
  text.remove_prefix(length);
  return c;
}

expected<std::u32string> decode(std::string_view text, const cancel_token& token) {
  std::u32string characters;
  characters.reserve(text.size());
  for (auto rest = text; !rest.empty();) {
    if (characters.size() % stretch == 0 && token.cancelled())
      return token.reason();
    const auto c = take_character(rest);
    if (!c)
      return make_error(status_code::invalid_argument,
                        "byte " + std::to_string(text.size() - rest.size()) + " of the text is no UTF-8",
                        "encode texts in UTF-8");
    characters.push_back(*c);
  }
  return characters;
}

std::int64_t count_words(std::u32string_view characters) {
  std::int64_t words = 0;
  bool between = true;
  for (const auto c : characters) {
    words += between && !is_space(c) ? 1 : 0;
    between = is_space(c);
  }
  return words;
}

expected<float> entropy(std::u32string_view characters, std::size_t gram, const cancel_token& token) {
  std::unordered_map<std::u32string_view, std::size_t> counts;
  std::size_t grams = 0;
  for (; grams + gram <= characters.size(); ++grams) {
    if (grams % stretch == 0 && token.cancelled())
      return token.reason();
    ++counts[characters.substr(grams, gram)];
  }
  double bits = 0;
  for (const auto& [what, count] : counts) {
    const auto part = static_cast<double>(count) / static_cast<double>(grams);
    bits -= part * std::log2(part);
  }
  return static_cast<float>(bits);
}

/// The answer to one request: all of its texts, or the error that is the first one's.
expected<inference_response> answer(const inference_request& request, std::size_t gram, const cancel_token& token) {
  const auto& input = request.inputs.front();
  const auto texts = split_bytes(input.data.view(), input.shape.front());
  if (!texts)
    return texts.error();
  std::vector<std::int64_t> characters, words;
  std::vector<float> entropies;
  for (const auto text : *texts) {
    const auto measures = measure(text, gram, token);
    if (!measures)
      return measures.error();
    characters.push_back(measures->characters);
    words.push_back(measures->words);
    entropies.push_back(measures->entropy);
  }
  return inference_response{{{"characters", datatype::int64, input.shape, buffer::take(std::move(characters))},
                             {"words", datatype::int64, input.shape, buffer::take(std::move(words))},
                             {"entropy", datatype::fp32, input.shape, buffer::take(std::move(entropies))}},
                            {}};
}

/// What works on requests; one thread at a time.
class text_statistics_instance final : public instance {
 public:
  explicit text_statistics_instance(std::size_t gram) : gram_(gram) {}

  expected<void> run(std::span<work_item* const> batch, const cancel_token& token) override {
    for (auto* const item : batch) {
      if (token.cancelled())
        return token.reason();
      // An error is the end of this request alone; the others of the batch get their answers.
      item->respond(answer(item->request(), gram_, item->token()));
    }
    return {};
  }

 private:
  const std::size_t gram_;
};

/// What instances of one model share: its settings here, its weights where there are any.
class text_statistics_model final : public loaded_model {
 public:
  explicit text_statistics_model(std::size_t gram) : gram_(gram) {}

  const signature& describe() const override { return signature_; }

  expected<std::unique_ptr<instance>> make_instance() override {
    return std::unique_ptr<instance>{std::make_unique<text_statistics_instance>(gram_)};
  }

  inference_request warm_up() const override {
    std::string data;
    append_bytes(data, "All the world's a stage.");
    return {{{"text", datatype::bytes, {1}, buffer::take(std::move(data))}}, {}};
  }

  /// Up to 64 texts run together. A text costs a unit, and one more for every 256 bytes of it.
  batch_policy batching() const override {
    batch_policy policy;
    policy.limits.items = 64;
    policy.cost = linear_cost{1, 256, std::numeric_limits<std::int64_t>::max()};
    return policy;
  }

 private:
  const std::size_t gram_;
  const signature signature_{.inputs = {{"text", datatype::bytes, {-1}}},
                             .outputs = {{"characters", datatype::int64, {-1}},
                                         {"words", datatype::int64, {-1}},
                                         {"entropy", datatype::fp32, {-1}}},
                             .batches = true};
};

}  // namespace

expected<text_measures> measure(std::string_view text, std::size_t gram, const cancel_token& token) {
  const auto characters = decode(text, token);
  if (!characters)
    return characters.error();
  const auto bits = entropy(*characters, gram, token);
  if (!bits)
    return bits.error();
  return text_measures{static_cast<std::int64_t>(characters->size()), count_words(*characters), *bits};
}

std::vector<option_spec> text_statistics_skillset::options() const {
  return {{.name = "gram", .fallback = std::int64_t{1}, .choices = {}, .least = 1, .most = 8}};
}

expected<std::unique_ptr<loaded_model>> text_statistics_skillset::load(const model_settings& settings,
                                                                       const cancel_token&) {
  const auto gram = std::get<std::int64_t>(settings.options.at("gram"));
  return std::unique_ptr<loaded_model>{std::make_unique<text_statistics_model>(static_cast<std::size_t>(gram))};
}

TROUPE_SKILLSET(text_statistics_skillset)
