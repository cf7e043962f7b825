#include "actors/gateway/http/openai/embedding_request.hpp"

#include "actors/gateway/http/openai/object_reader.hpp"
#include "actors/gateway/http/openai/parameter_table.hpp"
#include "actors/gateway/http/openai/text_or_tokens.hpp"
#include "skillsets/sdk/tensor.hpp"

namespace troupe::openai {
namespace {

void read_encoding(const object_reader& body, embedding_request& to) {
  const auto encoding = body.text("encoding_format").value_or("float");
  if (encoding != "float" && encoding != "base64")
    body.reject("encoding_format", "is '" + shortened(encoding, 40) + "'", "give float or base64");
  to.base64 = encoding == "base64";
}

}  // namespace

inference_request embedding_request::inference(std::size_t first, std::size_t count) const {
  std::string data;
  for (std::size_t i = first; i != first + count; ++i)
    append_bytes(data, texts[i]);
  return {{tensor{"text", datatype::bytes, {static_cast<std::int64_t>(count)}, buffer::take(std::move(data))}},
          parameters};
}

expected<embedding_request> read_embedding_request(const json& body) {
  if (auto checked = check_parameters(body, embedding_parameters); !checked)
    return checked.error();
  std::optional<error> failure;
  const object_reader reader{body, {}, failure};
  embedding_request request;
  request.names = {{"prompt_format", "input"}, {"text_input", "input"}};
  request.model = reader.required_text("model");
  auto [texts, tokens] = read_text_or_tokens(reader, "input", most_texts);
  request.texts = std::move(texts);
  if (tokens)
    request.parameters.emplace("prompt_format", std::string{"tokens"});
  read_encoding(reader, request);
  if (const auto dimensions = reader.integer("dimensions", 1, INT32_MAX))
    request.dimensions = static_cast<std::size_t>(*dimensions);
  request.truncate = reader.flag("truncate").value_or(false);
  if (const auto priority = reader.integer("priority", 0, UINT32_MAX))
    request.parameters.emplace("priority", *priority);
  if (failure)
    return *std::move(failure);
  return request;
}

}  // namespace troupe::openai
