#include "skillsets/text_generation/chat_template.hpp"

#include "skillsets/text_generation/json_text.hpp"
#include "skillsets/text_generation/schema_check.hpp"
#include "skillsets/text_generation/tool_prompt.hpp"

#include <chat.h>
#include <json-schema-to-grammar.h>

#include <set>
#include <utility>

namespace troupe {
namespace {

using templates_ptr = std::unique_ptr<common_chat_templates, void (*)(common_chat_templates*)>;

error wrong(const std::string& what, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, what, std::move(remedy));
}

/// A reply in the form that the template of the model itself asks for.
class template_reader final : public reply_reader {
 public:
  explicit template_reader(common_chat_parser_params parameters) : parameters_(std::move(parameters)) {}

  reply_delta read(std::string_view text, bool whole) override {
    text_ += text;
    auto message = common_chat_parse(text_, !whole, parameters_);
    message.set_tool_call_ids(ids_, new_call_id);
    reply_delta result;
    for (auto& diff : common_chat_msg_diff::compute_diffs(message_, message)) {
      result.content += diff.content_delta;
      result.reasoning += diff.reasoning_content_delta;
      if (diff.tool_call_index != std::string::npos)
        result.calls.push_back(
            {diff.tool_call_index, diff.tool_call_delta.id, diff.tool_call_delta.name, diff.tool_call_delta.arguments});
    }
    message_ = std::move(message);
    return result;
  }

  bool calls() const noexcept override { return !message_.tool_calls.empty(); }

 private:
  const common_chat_parser_params parameters_;
  std::string text_;
  common_chat_msg message_;
  std::vector<std::string> ids_;
};

expected<void> check_content(const json& content, const std::string& where) {
  if (content.is_string() || content.is_null())
    return {};
  if (!content.is_array())
    return wrong(where + ".content is no string and no list of parts");
  for (std::size_t i = 0; i != content.size(); ++i) {
    const auto& part = content[i];
    if (!part.is_object() || part.value("type", json{}) != "text" || !part.contains("text") ||
        !part["text"].is_string())
      return wrong(where + ".content[" + std::to_string(i) + "] is no text part", "this model reads text only");
  }
  return {};
}

expected<void> check_calls(const json& calls, const std::string& where) {
  const json::json_pointer name{"/function/name"}, arguments{"/function/arguments"};
  if (!calls.is_array())
    return wrong(where + ".tool_calls is no list");
  for (const auto& call : calls)
    if (!call.is_object() || !call.contains(name) || !call[name].is_string() || !call.contains(arguments))
      return wrong(where + ".tool_calls has one without a function's name and arguments");
  return {};
}

expected<json> read_messages(const std::string& text) {
  static const std::set<std::string> roles{"system", "developer", "user", "assistant", "tool"};
  auto messages = parse_json(text);
  if (!messages)
    return wrong("the chat is not valid JSON: " + messages.error().cause);
  if (!messages->is_array() || messages->empty())
    return wrong("the chat is no list of messages, or an empty one");
  for (std::size_t i = 0; i != messages->size(); ++i) {
    auto& message = (*messages)[i];
    const auto where = "messages[" + std::to_string(i) + "]";
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string() ||
        !roles.contains(message["role"].get<std::string>()))
      return wrong(where + ".role is none of system, developer, user, assistant and tool");
    if (message["role"] == "developer")
      message["role"] = "system";
    const bool calls = message.contains("tool_calls") && !message["tool_calls"].is_null();
    if (!message.contains("content") && !calls)
      return wrong(where + " has no content");
    if (auto done = check_content(message.value("content", json{}), where); !done)
      return done.error();
    if (calls)
      if (auto done = check_calls(message["tool_calls"], where); !done)
        return done.error();
  }
  return messages;
}

/// The tools that may be called.
expected<json> read_tools(const generation_request& request) {
  if (request.tools.empty() || request.choice.how == tool_choice::kind::none)
    return json::array();
  auto tools = parse_json(request.tools);
  if (!tools)
    return tools.error();
  bool there = request.choice.function.empty();
  for (std::size_t i = 0; i != tools->size(); ++i) {
    const auto& tool = (*tools)[i];
    const auto where = "parameter 'tools' at [" + std::to_string(i) + "] ";
    if (!tool.is_object() || tool.value("type", json{}) != "function" || !tool.contains("function") ||
        !tool["function"].is_object() || !tool["function"].value("name", json{}).is_string())
      return wrong(where + "is no function with a name");
    const auto& function = tool["function"];
    if (!function.value("parameters", json::object()).is_object() ||
        !function.value("strict", json(false)).is_boolean())
      return wrong(where + "has parameters that are no JSON schema, or strict that is no bool");
    const auto name = function["name"].get<std::string>();
    if (name.empty() || name.size() > 64 ||
        name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") !=
            std::string::npos)
      return wrong(where + "has a name that is not 1 to 64 letters, digits, underscores, dots and dashes");
    there = there || name == request.choice.function;
  }
  if (!there)
    return wrong("parameter 'tool_choice' names '" + shortened(request.choice.function, 64) + "', which is no tool");
  return tools;
}

void add_trigger(const common_grammar_trigger& trigger, text_form& to) {
  if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN)
    to.trigger_patterns.push_back(trigger.value);
  else if (trigger.type == COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL)
    to.trigger_patterns.push_back("^(?:" + trigger.value + ")$");
  else
    to.trigger_words.push_back(trigger.value);
}

/// What the template itself holds calls to.
expected<text_form> template_form(const common_chat_params& rendered) {
  text_form form{rendered.grammar,
                 rendered.grammar_lazy,
                 {},
                 {},
                 rendered.preserved_tokens,
                 rendered.grammar_lazy ? "" : rendered.generation_prompt};
  for (const auto& trigger : rendered.grammar_triggers)
    add_trigger(trigger, form);
  return form;
}

common_chat_parser_params parser_of(const common_chat_params& rendered) {
  common_chat_parser_params parameters{rendered};
  parameters.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  parameters.parser.load(rendered.parser);
  return parameters;
}

void set_tools(json tools, const tool_choice& choice, common_chat_templates_inputs& to) {
  if (!choice.function.empty())
    std::erase_if(tools.get_ref<json::array_t&>(),
                  [&](const json& tool) { return tool["function"]["name"] != choice.function; });
  to.tools = common_chat_tools_parse_oaicompat(common_json::parse(tools.dump()));
  to.tool_choice =
      choice.how == tool_choice::kind::required ? COMMON_CHAT_TOOL_CHOICE_REQUIRED : COMMON_CHAT_TOOL_CHOICE_AUTO;
}

void set_arguments(const generation_request& request, common_chat_templates_inputs& to) {
  if (request.template_arguments.empty())
    return;
  const auto arguments = json::parse(request.template_arguments);
  for (const auto& [name, value] : arguments.items())
    to.chat_template_kwargs[name] = value.dump();
  to.enable_thinking = arguments.value("enable_thinking", json(true)) != false;
}

}  // namespace

chat_template::chat_template(templates_ptr templates) : templates_(std::move(templates)) {
  knows_tools_ = common_chat_templates_get_caps(templates_.get())["supports_tools"];
}

chat_template::~chat_template() = default;

expected<std::unique_ptr<chat_template>> chat_template::of(const llama_model& model) try {
  if (!llama_model_chat_template(&model, nullptr))
    return std::unique_ptr<chat_template>{};
  templates_ptr templates{common_chat_templates_init(&model, "").release(), common_chat_templates_free};
  return std::unique_ptr<chat_template>{new chat_template{std::move(templates)}};
} catch (const std::exception& e) {
  return wrong(std::string{"the model's chat template can't be read: "} + e.what());
}

expected<rendered_chat> chat_template::render(const generation_request& request) const try {
  const auto messages = read_messages(request.input);
  if (!messages)
    return messages.error();
  const auto tools = read_tools(request);
  if (!tools)
    return tools.error();
  const bool template_has_tools = knows_tools_ && !tools->empty();
  common_chat_templates_inputs inputs;
  const auto& told = knows_tools_ ? *messages : tell_tools(*messages, *tools, request.choice);
  inputs.messages = common_chat_msgs_parse_oaicompat(common_json::parse(told.dump()));
  inputs.parallel_tool_calls = request.parallel_tool_calls;
  inputs.reasoning_format = COMMON_REASONING_FORMAT_AUTO;
  set_arguments(request, inputs);
  if (template_has_tools)
    set_tools(*tools, request.choice, inputs);
  const auto rendered = common_chat_templates_apply(templates_.get(), inputs);
  auto form = template_has_tools ? template_form(rendered)
              : tools->empty()   ? form_of(request)
                                 : tool_grammar(*tools, request);
  if (!form)
    return form.error();
  rendered_chat result{rendered.prompt, *std::move(form), rendered.additional_stops, nullptr};
  if (!tools->empty() && !template_has_tools)
    result.reader = std::make_unique<tagged_reader>();
  else if (template_has_tools || rendered.supports_thinking)
    result.reader = std::make_unique<template_reader>(parser_of(rendered));
  else
    result.reader = std::make_unique<plain_reader>();
  return result;
} catch (const std::exception& e) {
  return wrong(std::string{"the model's chat template refuses the chat: "} + shortened(e.what(), 300));
}

expected<text_form> form_of(const generation_request& request) try {
  if (request.json_schema.empty())
    return text_form{.grammar = request.grammar};
  const auto schema = parse_json(request.json_schema);
  if (!schema)
    return schema.error();
  if (auto kept = check_schema(*schema); !kept)
    return kept.error();
  return text_form{.grammar = json_schema_to_grammar(common_json::parse(request.json_schema), true)};
} catch (const std::exception& e) {
  return wrong(std::string{"parameter 'json_schema' can't be made a grammar: "} + shortened(e.what(), 300));
}

}  // namespace troupe
