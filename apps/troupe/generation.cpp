#include "apps/troupe/generation.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/encode.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/read_file.hpp"
#include "apps/troupe/response.hpp"
#include "apps/troupe/task.hpp"
#include "inference/grpc_service.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace troupe::cli {
namespace {

namespace wire = inference;
using json = nlohmann::ordered_json;

/// A schema is an object: what begins otherwise is the name of a file.
expected<std::string> read_schema(const std::string& argument) {
  auto text =
      argument.find_first_not_of(" \t\n") == argument.find('{') ? expected<std::string>{argument} : read_file(argument);
  if (text && !json::accept(*text))
    return make_error(status_code::invalid_argument, "the schema that --json-schema gives is not JSON");
  return text;
}

void set_parameters(wire::ModelInferRequest& request, const generation_options& options) {
  auto& to = *request.mutable_parameters();
  for (const auto& [key, value] : options.parameters)
    encode(value, to[key]);
  to["stream"].set_bool_param(true);
  if (options.temperature)
    to["temperature"].set_double_param(*options.temperature);
  if (options.max_tokens)
    to["max_tokens"].set_int64_param(*options.max_tokens);
  if (options.seed)
    to["seed"].set_int64_param(*options.seed);
}

/// The text of a parameter that a response may have.
std::string text_of(const wire::ModelInferResponse& response, const char* name) {
  const auto found = response.parameters().find(name);
  return found == response.parameters().end() ? std::string{} : found->second.string_param();
}

void read_count(const wire::ModelInferResponse& response, const char* name, std::int64_t& to) {
  if (const auto found = response.parameters().find(name); found != response.parameters().end())
    to = found->second.int64_param();
}

/// The one element of BYTES data, where there is just one.
std::optional<std::string_view> one_text(std::string_view data) {
  const auto elements = split_bytes(data, 1);
  return elements ? std::optional{elements->front()} : std::nullopt;
}

}  // namespace

expected<wire::ModelInferRequest> generation_request(const std::string& model, std::string_view prompt,
                                                     prompt_format format, const generation_options& options) {
  if (!is_utf8(prompt))
    return make_error(status_code::invalid_argument, "the text is not UTF-8");
  wire::ModelInferRequest request;
  request.set_model_name(model);
  auto& input = *request.add_inputs();
  input.set_name(std::string{text_generation.input});
  input.set_datatype(std::string{text_generation.input_type});
  input.add_shape(1);
  append_bytes(*request.add_raw_input_contents(), prompt);
  set_parameters(request, options);
  auto& parameters = *request.mutable_parameters();
  parameters["prompt_format"].set_string_param(format == prompt_format::chat ? "chat" : "text");
  if (!std::all_of(options.stop.begin(), options.stop.end(), is_utf8))
    return make_error(status_code::invalid_argument, "a text of --stop is not UTF-8");
  if (!options.stop.empty())
    parameters["stop"].set_string_param(json(options.stop).dump());
  if (!options.json_schema.empty()) {
    auto schema = read_schema(options.json_schema);
    if (!schema)
      return schema.error();
    parameters["json_schema"].set_string_param(*std::move(schema));
  }
  return request;
}

expected<bool> add_response(const wire::ModelInferResponse& response, generated& sum, const text_sink& sink) {
  const auto outputs = read_outputs(response);
  if (!outputs)
    return outputs.error();
  const auto is_text = [](const tensor& output) {
    return output.name == text_generation.output && output.type == datatype::bytes;
  };
  const auto output = std::find_if(outputs->begin(), outputs->end(), is_text);
  const auto found = output == outputs->end() ? std::nullopt : one_text(output->data.view());
  if (!found)
    return make_error(status_code::internal, "the node's answer holds no text", "see that the model generates text");
  const auto text = *found;
  const auto reasoning = text_of(response, "reasoning");
  sum.text += text;
  sum.reasoning += reasoning;
  sum.finish_reason += text_of(response, "finish_reason");
  read_count(response, "prompt_tokens", sum.prompt_tokens);
  read_count(response, "completion_tokens", sum.completion_tokens);
  read_count(response, "cached_tokens", sum.cached_tokens);
  return (reasoning.empty() || sink(reasoning, true)) && (text.empty() || sink(text, false));
}

expected<void> generate(client& node, const wire::ModelInferRequest& request, const cancel_token& part, generated& sum,
                        const text_sink& sink) {
  expected<void> wrong;
  const auto streamed = node.stream(request, part, [&](const wire::ModelInferResponse& response) {
    const auto more = add_response(response, sum, sink);
    if (!more)
      wrong = more.error();
    return more && *more;
  });
  return wrong ? streamed : wrong;
}

std::string to_json(const generated& answer) {
  json document{{"text", answer.text}};
  if (!answer.reasoning.empty())
    document["reasoning"] = answer.reasoning;
  document["finish_reason"] = answer.finish_reason;
  document["prompt_tokens"] = answer.prompt_tokens;
  document["completion_tokens"] = answer.completion_tokens;
  document["cached_tokens"] = answer.cached_tokens;
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace troupe::cli
