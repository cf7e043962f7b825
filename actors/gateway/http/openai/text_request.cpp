#include "actors/gateway/http/openai/text_request.hpp"

#include "skillsets/sdk/tensor.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::openai {
namespace {

constexpr number_range penalty{-2, 2};

void set(text_request& to, const std::string& name, std::optional<double> value) {
  if (value)
    to.parameters.insert_or_assign(name, *value);
}

void set(text_request& to, const std::string& name, std::optional<std::int64_t> value) {
  if (value)
    to.parameters.insert_or_assign(name, *value);
}

void set(text_request& to, const std::string& name, std::optional<bool> value) {
  if (value)
    to.parameters.insert_or_assign(name, *value);
}

/// Every one of `stop`, which is a string or an array of them.
void read_stop(const object_reader& body, text_request& to) {
  const auto* stop = body.find("stop");
  if (!stop)
    return;
  const json all = stop->is_array() ? *stop : json::array({*stop});
  if (all.size() > most_stops)
    return body.reject("stop", "has " + std::to_string(all.size()) + " strings",
                       "give at most " + std::to_string(most_stops));
  for (std::size_t i = 0; i != all.size(); ++i) {
    const auto path = stop->is_array() ? element_path("stop", i) : "stop";
    if (!all[i].is_string())
      return body.reject(path, "is " + describe(all[i]), "give a string, or an array of strings");
    const auto size = all[i].get_ref<const std::string&>().size();
    if (size == 0 || size > longest_stop)
      return body.reject(path, size == 0 ? "is empty" : "has " + std::to_string(size) + " bytes",
                         "give 1 to " + std::to_string(longest_stop) + " bytes");
  }
  if (!all.empty())
    to.parameters.insert_or_assign("stop", write_document(all));
}

bool is_token_id(std::string_view text) {
  std::int32_t id = -1;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  return failure == std::errc{} && end == text.data() + text.size() && id >= 0;
}

void read_logit_bias(const object_reader& body, text_request& to) {
  const auto bias = body.object("logit_bias");
  if (!bias)
    return;
  const auto& all = *body.find("logit_bias");
  if (all.size() > most_biases)
    return body.reject("logit_bias", "has " + std::to_string(all.size()) + " tokens",
                       "give at most " + std::to_string(most_biases));
  for (const auto& [token, value] : all.items()) {
    const auto name = shortened(token, 40);
    if (!is_token_id(token))
      return bias->reject(name, "is no token id", "give token ids with their bias");
    if (!bias->number(token, {-100, 100}))
      return bias->reject(name, "is null", "give a number from -100 to 100");
  }
  if (!all.empty())
    to.parameters.insert_or_assign("logit_bias", write_document(all));
}

void read_stream_options(const object_reader& body, text_request& to) {
  const auto options = body.object("stream_options");
  if (!options || !options->only({"include_usage", "include_obfuscation"}))
    return;
  if (!to.stream)
    return body.reject("stream_options", "is given, and stream is not", "leave it out, or set stream to true");
  to.include_usage = options->flag("include_usage").value_or(false);
  if (options->flag("include_obfuscation").value_or(false))
    options->refuse("include_obfuscation", "is not supported here", "leave it out");
}

}  // namespace

void text_request::add_prompt(std::string_view prompt) {
  std::string data;
  append_bytes(data, prompt);
  prompts.push_back(buffer::take(std::move(data)));
}

inference_request text_request::inference(std::size_t index) const {
  const auto each = static_cast<std::size_t>(choices);
  inference_request request{{tensor{"text_input", datatype::bytes, {1}, prompts[index / each]}}, parameters};
  // From the largest number on to the smallest, as no sum of signed ones may.
  if (seed)
    request.parameters.insert_or_assign("seed", static_cast<std::int64_t>(static_cast<std::uint64_t>(*seed) +
                                                                          static_cast<std::uint64_t>(index % each)));
  return request;
}

void read_sampling(const object_reader& body, text_request& to) {
  to.model = body.required_text("model");
  to.stream = body.flag("stream").value_or(false);
  to.parameters.insert_or_assign("stream", to.stream);
  set(to, "temperature", body.number("temperature", {0, 10}));
  set(to, "top_p", body.number("top_p", {0, 1, true}));
  set(to, "top_k", body.integer("top_k", 0, INT32_MAX));
  set(to, "min_p", body.number("min_p", {0, 1}));
  set(to, "repetition_penalty", body.number("repetition_penalty", {0, 10, true}));
  set(to, "ignore_eos", body.flag("ignore_eos"));
  set(to, "priority", body.integer("priority", 0, UINT32_MAX));
  to.seed = body.integer("seed", INT64_MIN, INT64_MAX);
}

void read_choices(const object_reader& body, text_request& to) {
  set(to, "frequency_penalty", body.number("frequency_penalty", penalty));
  set(to, "presence_penalty", body.number("presence_penalty", penalty));
  read_logit_bias(body, to);
  read_stop(body, to);
  read_stream_options(body, to);
  to.choices = body.integer("n", 1, most_choices).value_or(1);
  if (auto grammar = body.text("grammar"))
    to.parameters.insert_or_assign("grammar", *std::move(grammar));
}

void check_size(const object_reader& body, const text_request& request) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : request.parameters)
    if (const auto* text = std::get_if<std::string>(&value))
      bytes += text->size();
  if (request.size() > 1 && bytes > most_parameter_bytes / request.size())
    body.reject("n",
                "asks for " + std::to_string(request.size()) + " answers in all, each with " + std::to_string(bytes) +
                    " bytes of parameters",
                "ask for fewer, or leave some of tools, schema and grammar out");
}

void read_service_tier(const object_reader& body) {
  const auto tier = body.text("service_tier");
  if (tier && *tier != "auto" && *tier != "default")
    body.refuse("service_tier", "is '" + shortened(*tier, 40) + "'", "give auto or default, or leave it out");
}

void read_template_arguments(const object_reader& body, text_request& to) {
  if (body.object("chat_template_kwargs"))
    to.parameters.insert_or_assign("chat_template_kwargs", write_document(*body.find("chat_template_kwargs")));
}

void read_format(const object_reader& format, std::string_view wrapper, text_request& to) {
  const auto type = format.required_text("type");
  if (type == "text") {
    format.only({"type"});
  } else if (type == "json_object") {
    format.only({"type"});
    to.parameters.insert_or_assign("json_schema", R"({"type":"object"})");
  } else if (type == "json_schema") {
    if (!wrapper.empty() && !format.has(wrapper))
      return format.reject(wrapper, "is missing");
    const auto inner = wrapper.empty() ? std::optional{format} : format.object(wrapper);
    if (!inner)
      return;
    if (wrapper.empty())
      inner->only({"type", "name", "description", "schema", "strict"});
    else if (format.only({"type", wrapper}))
      inner->only({"name", "description", "schema", "strict"});
    inner->required_text("name");
    inner->text("description");
    inner->flag("strict");
    if (!inner->has("schema"))
      return inner->reject("schema", "is missing");
    if (inner->object("schema"))
      to.parameters.insert_or_assign("json_schema", write_document(*inner->find("schema")));
    to.names.insert_or_assign("json_schema", inner->path_of("schema"));
  } else if (!type.empty()) {
    format.refuse("type", "is '" + shortened(type, 40) + "'", "give text, json_object or json_schema");
  }
  if (to.parameters.contains("json_schema") && to.parameters.contains("grammar"))
    format.reject("type", "is '" + type + "', and there is a grammar, too", "give one of the two");
}

}  // namespace troupe::openai
