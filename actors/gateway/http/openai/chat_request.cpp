#include "actors/gateway/http/openai/chat_request.hpp"

#include "actors/gateway/http/openai/chat_messages.hpp"
#include "actors/gateway/http/openai/function_tools.hpp"
#include "actors/gateway/http/openai/parameter_table.hpp"

namespace troupe::openai {
namespace {

/// `max_completion_tokens`, or its older name.
void read_length(const object_reader& body, text_request& to) {
  const auto old_name = body.integer("max_tokens", 0, INT32_MAX);
  const auto length = body.integer("max_completion_tokens", 0, INT32_MAX);
  if (length && old_name && *length != *old_name)
    return body.reject("max_tokens", "is another than max_completion_tokens", "give one of the two");
  if (length || old_name)
    to.parameters.insert_or_assign("max_tokens", length ? *length : *old_name);
  if (length)
    to.names.insert_or_assign("max_tokens", "max_completion_tokens");
}

void read_logprobs(const object_reader& body, text_request& to) {
  const auto wanted = body.flag("logprobs").value_or(false);
  const auto top = body.integer("top_logprobs", 0, most_top_logprobs);
  if (top && !wanted)
    return body.reject("top_logprobs", "is given, and logprobs is not", "set logprobs to true");
  if (!wanted)
    return;
  to.parameters.insert_or_assign("logprobs", top.value_or(0));
  to.names.insert_or_assign("logprobs", "top_logprobs");
}

void read_modalities(const object_reader& body) {
  const auto* modalities = body.array("modalities");
  for (std::size_t i = 0; modalities && i != modalities->size(); ++i)
    if ((*modalities)[i] != "text")
      return body.refuse(element_path("modalities", i), "is not \"text\"", "ask for text");
}

void read_store(const object_reader& body) {
  if (body.flag("store").value_or(false))
    body.refuse("store", "is true, and the node keeps no answers", "set it to false, or leave it out");
}

}  // namespace

expected<text_request> read_chat_request(const json& body) {
  if (auto checked = check_parameters(body, chat_parameters); !checked)
    return checked.error();
  std::optional<error> failure;
  const object_reader reader{body, {}, failure};
  text_request request;
  request.names = {{"text_input", "messages"}, {"prompt_format", "messages"}};
  request.parameters.emplace("prompt_format", std::string{"chat"});
  read_sampling(reader, request);
  read_choices(reader, request);
  read_length(reader, request);
  read_logprobs(reader, request);
  read_tools(reader, tool_style::nested, request);
  if (const auto format = reader.object("response_format"))
    read_format(*format, "json_schema", request);
  read_template_arguments(reader, request);
  read_modalities(reader);
  read_store(reader);
  read_service_tier(reader);
  request.add_prompt(write_document(read_messages(reader)));
  check_size(reader, request);
  if (failure)
    return *std::move(failure);
  return request;
}

}  // namespace troupe::openai
