#include "actors/gateway/http/openai/completion_request.hpp"

#include "actors/gateway/http/openai/parameter_table.hpp"
#include "actors/gateway/http/openai/text_or_tokens.hpp"

namespace troupe::openai {
namespace {

constexpr std::int64_t default_length = 16;

void read_prompts(const object_reader& body, text_request& to) {
  auto [texts, tokens] = read_text_or_tokens(body, "prompt", most_choices);
  for (const auto& text : texts)
    to.add_prompt(text);
  to.parameters.insert_or_assign("prompt_format", std::string{tokens ? "tokens" : "text"});
  if (to.size() > static_cast<std::size_t>(most_choices))
    body.reject("n", "asks for " + std::to_string(to.size()) + " answers in all",
                "ask for at most " + std::to_string(most_choices));
}

void read_best_of(const object_reader& body, const text_request& to) {
  const auto best_of = body.integer("best_of", 1, most_choices);
  if (best_of && *best_of != to.choices)
    body.refuse("best_of", "is " + std::to_string(*best_of) + ", and n is " + std::to_string(to.choices),
                "leave it out: every answer is given");
}

void read_logprobs_and_echo(const object_reader& body, text_request& to) {
  const auto logprobs = body.integer("logprobs", 0, most_top_logprobs);
  if (logprobs)
    to.parameters.insert_or_assign("logprobs", *logprobs);
  if (!body.flag("echo").value_or(false))
    return;
  if (logprobs)
    body.refuse("logprobs", "is given, and echo is true", "the tokens of a prompt have no log probabilities here");
  to.parameters.insert_or_assign("echo", true);
}

}  // namespace

expected<text_request> read_completion_request(const json& body) {
  if (auto checked = check_parameters(body, completion_parameters); !checked)
    return checked.error();
  std::optional<error> failure;
  const object_reader reader{body, {}, failure};
  text_request request;
  request.names = {{"text_input", "prompt"}, {"prompt_format", "prompt"}};
  read_sampling(reader, request);
  read_choices(reader, request);
  request.parameters.insert_or_assign("max_tokens",
                                      reader.integer("max_tokens", 0, INT32_MAX).value_or(default_length));
  read_prompts(reader, request);
  read_best_of(reader, request);
  read_logprobs_and_echo(reader, request);
  if (const auto format = reader.object("response_format"))
    read_format(*format, "json_schema", request);
  check_size(reader, request);
  if (failure)
    return *std::move(failure);
  return request;
}

}  // namespace troupe::openai
