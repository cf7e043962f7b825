#include "actors/gateway/http/openai/embedding_answer.hpp"

#include "actors/gateway/http/openai/json_document.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>

namespace troupe::openai {
namespace {

std::int64_t count_of(const inference_response& response, std::string_view name) {
  const auto i = response.parameters.find(name);
  const auto* count = i == response.parameters.end() ? nullptr : std::get_if<std::int64_t>(&i->second);
  return count ? *count : 0;
}

/// True for one output of not more than `most` vectors.
bool has_vectors(const inference_response& response, std::size_t most) {
  if (response.outputs.size() != 1)
    return false;
  const auto& [name, type, shape, data] = response.outputs.front();
  return type == datatype::fp32 && shape.size() == 2 && shape[0] >= 0 && shape[1] > 0 &&
         static_cast<std::uint64_t>(shape[0]) <= most &&
         data.size() / sizeof(float) / static_cast<std::uint64_t>(shape[1]) == static_cast<std::uint64_t>(shape[0]);
}

/// Brings a vector that has lost its end to length 1 again.
bool normalise(std::span<float> vector) {
  const auto square = std::transform_reduce(vector.begin(), vector.end(), 0.0, std::plus{},
                                            [](float each) { return static_cast<double>(each) * each; });
  if (square <= 0)
    return false;
  const auto length = std::sqrt(square);
  for (auto& each : vector)
    each = static_cast<float>(each / length);
  return true;
}

/// Each number as short as it can be and be the same again.
std::string to_array(std::span<const float> vector) {
  std::string text = "[";
  char number[32];
  for (const auto each : vector) {
    text.append(number, std::to_chars(number, number + sizeof number, each).ptr);
    text += ',';
  }
  text.back() = ']';
  return text;
}

/// The vector's bytes, little-endian as they are in memory.
std::string to_base64(std::span<const float> vector) {
  const auto bytes = std::as_bytes(vector);
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // with the zero behind it
  const auto size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return '"' + text + '"';
}

}  // namespace

embedding_answer::embedding_answer(const embedding_request& asked) : asked_(asked), vectors_(asked.texts.size()) {}

expected<void> embedding_answer::add(std::size_t first, const inference_response& response) {
  if (!has_vectors(response, vectors_.size() - first))
    return make_error(status_code::internal, "the model's answer has no vectors", "this is a mistake of its skillset");
  const auto& output = response.outputs.front();
  const auto dimensions = static_cast<std::size_t>(output.shape[1]);
  if (const auto cut = count_of(response, "truncated_texts"); cut > 0 && !asked_.truncate)
    return make_error(status_code::out_of_range,
                      "parameter 'input' has texts that are longer than the model takes: " + std::to_string(cut),
                      "shorten them, or set truncate to true to have their ends ignored");
  if (asked_.dimensions > dimensions)
    return make_error(status_code::invalid_argument,
                      "parameter 'dimensions' is " + std::to_string(*asked_.dimensions) + ", and the model has " +
                          std::to_string(dimensions),
                      "ask for at most that many");
  std::vector<float> vector(dimensions);
  for (std::int64_t row = 0; row != output.shape[0]; ++row) {
    std::memcpy(vector.data(), output.data.bytes().data() + static_cast<std::size_t>(row) * dimensions * sizeof(float),
                dimensions * sizeof(float));
    if (!std::all_of(vector.begin(), vector.end(), [](float each) { return std::isfinite(each); }))
      return make_error(status_code::internal, "the model's answer has values that are no numbers");
    const std::span<float> wanted{vector.data(), asked_.dimensions.value_or(dimensions)};
    if (wanted.size() < dimensions && !normalise(wanted))
      return make_error(
          status_code::invalid_argument,
          "parameter 'dimensions' is " + std::to_string(wanted.size()) + ", which leaves nothing of a vector",
          "ask for more");
    vectors_[first + static_cast<std::size_t>(row)] = asked_.base64 ? to_base64(wanted) : to_array(wanted);
  }
  tokens_ += count_of(response, "prompt_tokens");
  return {};
}

std::string embedding_answer::body() const {
  std::string text = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i != vectors_.size(); ++i)
    text += (i == 0 ? R"({"object":"embedding","index":)" : R"(,{"object":"embedding","index":)") + std::to_string(i) +
            R"(,"embedding":)" + vectors_[i] + "}";
  const json usage{{"prompt_tokens", tokens_}, {"total_tokens", tokens_}};
  return text + R"(],"model":)" + write_document(asked_.model) + R"(,"usage":)" + write_document(usage) + "}";
}

}  // namespace troupe::openai
