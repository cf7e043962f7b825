#include "actors/gateway/http/openai/response_request.hpp"

#include "actors/gateway/http/openai/function_tools.hpp"
#include "actors/gateway/http/openai/parameter_table.hpp"
#include "actors/gateway/http/openai/response_input.hpp"

namespace troupe::openai {
namespace {

constexpr std::string_view with_logprobs = "message.output_text.logprobs";

void read_logprobs(const object_reader& body, response_request& to) {
  const auto* include = body.array("include");
  for (std::size_t i = 0; include && i != include->size(); ++i) {
    if ((*include)[i] != with_logprobs)
      return body.refuse(element_path("include", i), "is not " + std::string{with_logprobs}, "leave it out");
    to.logprobs = true;
  }
  const auto top = body.integer("top_logprobs", 0, most_top_logprobs);
  to.logprobs |= top.value_or(0) > 0;
  if (!to.logprobs)
    return;
  to.parameters.insert_or_assign("logprobs", top.value_or(0));
  to.names.insert_or_assign("logprobs", "top_logprobs");
}

void read_text(const object_reader& body, response_request& to) {
  const auto text = body.object("text");
  if (!text || !text->only({"format"}))
    return;
  if (const auto format = text->object("format"))
    read_format(*format, "", to);
}

/// What is refused unless it says what is the case here anyway.
void read_fixed(const object_reader& body) {
  if (body.flag("store").value_or(false))
    body.refuse("store", "is true, and the node keeps no answers", "set it to false, or leave it out");
  if (body.flag("background").value_or(false))
    body.refuse("background", "is true, and the node keeps no answers", "set it to false, or leave it out");
  const auto truncation = body.text("truncation").value_or("disabled");
  if (truncation != "disabled")
    body.refuse("truncation", "is '" + shortened(truncation, 40) + "'", "shorten the input, and leave it out");
  const auto options = body.object("stream_options");
  if (options && options->only({"include_obfuscation"}) && options->flag("include_obfuscation").value_or(false))
    options->refuse("include_obfuscation", "is not supported here", "leave it out");
  read_service_tier(body);
}

json value_or(const object_reader& body, std::string_view name, json otherwise) {
  const auto* value = body.find(name);
  return value ? *value : std::move(otherwise);
}

json repeated(const object_reader& body) {
  const json text_format{{"format", {{"type", "text"}}}};
  return {{"instructions", value_or(body, "instructions", nullptr)},
          {"max_output_tokens", value_or(body, "max_output_tokens", nullptr)},
          {"metadata", value_or(body, "metadata", json::object())},
          {"parallel_tool_calls", value_or(body, "parallel_tool_calls", true)},
          {"temperature", value_or(body, "temperature", nullptr)},
          {"text", value_or(body, "text", text_format)},
          {"tool_choice", value_or(body, "tool_choice", "auto")},
          {"tools", value_or(body, "tools", json::array())},
          {"top_logprobs", value_or(body, "top_logprobs", 0)},
          {"top_p", value_or(body, "top_p", nullptr)}};
}

}  // namespace

expected<response_request> read_response_request(const json& body) {
  if (auto checked = check_parameters(body, response_parameters); !checked)
    return checked.error();
  std::optional<error> failure;
  const object_reader reader{body, {}, failure};
  response_request request;
  request.names = {{"text_input", "input"}, {"prompt_format", "input"}};
  request.parameters.emplace("prompt_format", std::string{"chat"});
  read_sampling(reader, request);
  if (const auto length = reader.integer("max_output_tokens", 1, INT32_MAX)) {
    request.parameters.insert_or_assign("max_tokens", *length);
    request.names.insert_or_assign("max_tokens", "max_output_tokens");
  }
  read_logprobs(reader, request);
  read_text(reader, request);
  read_tools(reader, tool_style::flat, request);
  read_template_arguments(reader, request);
  reader.object("metadata");
  read_fixed(reader);
  request.add_prompt(write_document(read_input(reader)));
  if (failure)
    return *std::move(failure);
  request.repeated = repeated(reader);
  return request;
}

}  // namespace troupe::openai
