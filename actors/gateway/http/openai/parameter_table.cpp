#include "actors/gateway/http/openai/parameter_table.hpp"

#include <algorithm>
#include <string>

namespace troupe::openai {
namespace {

using enum treatment;

constexpr std::size_t longest_name = 100;
constexpr std::string_view use_tools = "use tools and tool_choice";
constexpr std::string_view text_only = "ask for text";
constexpr std::string_view send_all = "the node keeps no answers: send the conversation so far as input";
constexpr std::string_view use_template = "give what the model's chat template knows in chat_template_kwargs";

constexpr parameter_rule chat_rules[] = {
    {"model", taken},
    {"messages", taken},
    {"stream", taken},
    {"stream_options", taken},
    {"n", taken},
    {"max_tokens", taken},
    {"max_completion_tokens", taken},
    {"temperature", taken},
    {"top_p", taken},
    {"seed", taken},
    {"frequency_penalty", taken},
    {"presence_penalty", taken},
    {"logit_bias", taken},
    {"stop", taken},
    {"logprobs", taken},
    {"top_logprobs", taken},
    {"response_format", taken},
    {"tools", taken},
    {"tool_choice", taken},
    {"parallel_tool_calls", taken},
    {"modalities", taken},
    {"store", taken},
    {"service_tier", taken},
    {"top_k", taken},
    {"min_p", taken},
    {"repetition_penalty", taken},
    {"grammar", taken},
    {"ignore_eos", taken},
    {"chat_template_kwargs", taken},
    {"priority", taken},
    {"user", no_effect},
    {"metadata", no_effect},
    {"safety_identifier", no_effect},
    {"prompt_cache_key", no_effect},
    {"prompt_cache_retention", no_effect},
    {"prediction", no_effect},
    {"audio", refused, text_only},
    {"web_search_options", refused},
    {"functions", refused, use_tools},
    {"function_call", refused, use_tools},
    {"reasoning_effort", refused, use_template},
    {"verbosity", refused, use_template},
};

constexpr parameter_rule completion_rules[] = {
    {"model", taken},
    {"prompt", taken},
    {"stream", taken},
    {"stream_options", taken},
    {"n", taken},
    {"best_of", taken},
    {"echo", taken},
    {"max_tokens", taken},
    {"temperature", taken},
    {"top_p", taken},
    {"seed", taken},
    {"frequency_penalty", taken},
    {"presence_penalty", taken},
    {"logit_bias", taken},
    {"stop", taken},
    {"logprobs", taken},
    {"response_format", taken},
    {"top_k", taken},
    {"min_p", taken},
    {"repetition_penalty", taken},
    {"grammar", taken},
    {"ignore_eos", taken},
    {"priority", taken},
    {"user", no_effect},
    {"suffix", refused, "the models continue a text, and don't fill in"},
};

constexpr parameter_rule embedding_rules[] = {
    {"model", taken},    {"input", taken},    {"encoding_format", taken}, {"dimensions", taken},
    {"truncate", taken}, {"priority", taken}, {"user", no_effect},
};

constexpr parameter_rule response_rules[] = {
    {"model", taken},
    {"input", taken},
    {"instructions", taken},
    {"stream", taken},
    {"stream_options", taken},
    {"max_output_tokens", taken},
    {"temperature", taken},
    {"top_p", taken},
    {"top_logprobs", taken},
    {"include", taken},
    {"text", taken},
    {"tools", taken},
    {"tool_choice", taken},
    {"parallel_tool_calls", taken},
    {"store", taken},
    {"background", taken},
    {"truncation", taken},
    {"service_tier", taken},
    {"seed", taken},
    {"top_k", taken},
    {"min_p", taken},
    {"repetition_penalty", taken},
    {"chat_template_kwargs", taken},
    {"priority", taken},
    {"metadata", taken},
    {"user", no_effect},
    {"safety_identifier", no_effect},
    {"prompt_cache_key", no_effect},
    {"prompt_cache_retention", no_effect},
    {"previous_response_id", refused, send_all},
    {"conversation", refused, send_all},
    {"prompt", refused, "send the prompt itself as instructions and input"},
    {"reasoning", refused, use_template},
    {"max_tool_calls", refused, "the node calls no tools itself"},
};

const parameter_rule* find(parameter_table table, std::string_view name) {
  const auto i = std::find_if(table.begin(), table.end(), [&](const auto& rule) { return rule.name == name; });
  return i == table.end() ? nullptr : &*i;
}

}  // namespace

const parameter_table chat_parameters{chat_rules};
const parameter_table completion_parameters{completion_rules};
const parameter_table embedding_parameters{embedding_rules};
const parameter_table response_parameters{response_rules};

expected<void> check_parameters(const json& request, parameter_table table) {
  for (const auto& [name, value] : request.items()) {
    const auto* rule = find(table, name);
    if (value.is_null() || (rule && rule->how != refused))
      continue;
    return make_error(
        status_code::unimplemented,
        "parameter '" + shortened(name, longest_name) + "' is " + (rule ? "not supported here" : "unknown"),
        rule ? std::string{rule->remedy} : "docs/openai-api.md lists the parameters");
  }
  return {};
}

}  // namespace troupe::openai
