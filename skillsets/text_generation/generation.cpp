#include "skillsets/text_generation/generation.hpp"

#include <utf8.h>

#include <algorithm>
#include <utility>

namespace troupe {
namespace {

/// Of any text that means something: tokens have four on average, and 16 of spaces that lie in a row.
constexpr std::size_t most_bytes_per_token = 16;

error wrong(std::string what, std::string remedy = {}) {
  return make_error(status_code::invalid_argument, std::move(what), std::move(remedy));
}

error too_long(const std::string& length, std::size_t context) {
  return make_error(status_code::out_of_range,
                    "the prompt has " + length + ", and the model's context is " + std::to_string(context) +
                        " tokens, one of them for the answer",
                    "send a shorter prompt");
}

/// How often any of the words stands in a text, up to `most`.
std::size_t count_words(std::string_view text, const std::vector<std::string>& words, std::size_t most) {
  std::size_t count = 0;
  for (const auto& word : words)
    for (auto at = text.find(word); at != std::string_view::npos && count < most;
         at = text.find(word, at + word.size()))
      ++count;
  return count;
}

json written(const tool_call_delta& call) {
  json function = json::object();
  if (!call.name.empty())
    function["name"] = call.name;
  function["arguments"] = call.arguments;
  json result{{"index", call.index}};
  if (!call.name.empty()) {
    result["id"] = call.id;
    result["type"] = "function";
  }
  result["function"] = std::move(function);
  return result;
}

}  // namespace

generation::generation(const text_model& model, work_item& item, generation_request request)
    : model_(model), item_(item), request_(std::move(request)) {}

expected<std::unique_ptr<generation>> generation::begin(const text_model& model, work_item& item) {
  auto request = read_generation_request(item.request(), model.defaults);
  if (!request)
    return request.error();
  std::unique_ptr<generation> result{new generation{model, item, *std::move(request)}};
  if (auto done = result->read_prompt(); !done)
    return done.error();
  return result;
}

expected<void> generation::read_prompt() {
  auto done = request_.format == prompt_format::tokens ? read_tokens()
              : request_.format == prompt_format::chat ? read_chat()
                                                       : read_text(request_.input, false);
  if (!done)
    return done;
  if (tokens_.empty())
    return wrong("the prompt is empty", "send some text");
  if (tokens_.size() >= model_.context)
    return too_long(std::to_string(tokens_.size()) + " tokens", model_.context);
  prompt_ = tokens_.size();
  limit_ = model_.context - prompt_;
  if (request_.max_tokens)
    limit_ = std::min(limit_, static_cast<std::size_t>(*request_.max_tokens));
  text_.emplace(request_.stop);
  if (request_.format != prompt_format::chat) {
    auto form = form_of(request_);
    if (!form)
      return form.error();
    form_ = *std::move(form);
  }
  auto sampler =
      token_sampler::make(*model_.weights, request_.sampling, form_,
                          request_.sampling.ignore_eos ? std::span{model_.ends} : std::span<const llama_token>{});
  if (!sampler)
    return sampler.error();
  sampler_ = *std::move(sampler);
  return {};
}

/// Counts bytes and control words first: a text of any size costs no more than one that fits.
expected<void> generation::read_text(std::string_view text, bool control) {
  if (text.size() / most_bytes_per_token >= model_.context)
    return too_long(std::to_string(text.size()) + " bytes", model_.context);
  if (control && count_words(text, model_.control_words, model_.context) == model_.context)
    return too_long(std::to_string(model_.context) + " control words", model_.context);
  if (const auto end = utf8::find_invalid(text.begin(), text.end()); end != text.end())
    return wrong("text_input is not UTF-8 from byte " + std::to_string(end - text.begin()) + " on");
  tokens_ = llama::tokenize(*model_.vocabulary, text, true, control);
  if (request_.echo)
    reply_.content = text;
  return {};
}

expected<void> generation::read_tokens() {
  if (request_.input.size() > 16 * model_.context)
    return too_long(std::to_string(request_.input.size()) + " bytes of token ids", model_.context);
  const auto ids = parse_json(request_.input);
  if (!ids || !ids->is_array())
    return wrong("text_input is no JSON array of token ids");
  const auto end = llama_vocab_n_tokens(model_.vocabulary);
  for (const auto& id : *ids) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(end))
      return wrong("text_input has " + shortened(id.dump(), 32) + " where an id from 0 to " + std::to_string(end - 1) +
                   " is due");
    tokens_.push_back(id.get<llama_token>());
  }
  if (request_.echo)
    for (const auto token : tokens_)
      reply_.content += llama::piece(*model_.vocabulary, token, true);
  return {};
}

expected<void> generation::read_chat() {
  if (!model_.chats)
    return wrong("this model has no chat template", "send a prompt, in prompt_format text");
  if (request_.echo)
    return wrong("parameter 'echo' is for prompts, and this is a chat");
  if (request_.input.size() / most_bytes_per_token >= model_.context * 4)
    return too_long(std::to_string(request_.input.size()) + " bytes", model_.context);
  auto chat = model_.chats->render(request_);
  if (!chat)
    return chat.error();
  if (auto done = read_text(chat->prompt, true); !done)
    return done;
  form_ = std::move(chat->form);
  reader_ = std::move(chat->reader);
  request_.stop.insert(request_.stop.end(), chat->stops.begin(), chat->stops.end());
  return {};
}

bool generation::advance(llama_context& context, std::int32_t index) {
  const auto token = sampler_->sample(context, index);
  tokens_.push_back(token);
  const bool end = llama_vocab_is_eog(model_.vocabulary, token);
  const auto bytes = end ? std::string{} : text_of(token);
  if (request_.logprobs && !end)
    note_logprobs(context, index, token, bytes.size());
  give(text_->push(bytes), false);
  if (end || text_->stopped())
    return finish("stop"), false;
  if (chosen() == limit_)
    return finish("length"), false;
  if (request_.stream && !reply_.empty())
    item_.send(take_response(text_->given()));
  return true;
}

/// Control words are no text, but for those by which the form of the reply is told.
std::string generation::text_of(llama_token token) const {
  if (const auto word = llama::piece(*model_.vocabulary, token, true);
      std::find(form_.preserved.begin(), form_.preserved.end(), word) != form_.preserved.end())
    return word;
  return llama::piece(*model_.vocabulary, token, false);
}

void generation::note_logprobs(llama_context& context, std::int32_t index, llama_token token, std::size_t bytes) {
  const auto size = static_cast<std::size_t>(llama_vocab_n_tokens(model_.vocabulary));
  logprobs_.push_back(
      token_logprobs(*model_.vocabulary, {llama_get_logits_ith(&context, index), size}, token, *request_.logprobs));
  bytes_ += bytes;
  logprob_ends_.push_back(bytes_);
}

void generation::give(std::string_view text, bool whole) {
  add(reader_->read(text, whole));
}

void generation::add(reply_delta delta) {
  reply_.content += delta.content;
  reply_.reasoning += delta.reasoning;
  for (auto& call : delta.calls)
    if (!reply_.calls.empty() && reply_.calls.back().index == call.index)
      reply_.calls.back().arguments += call.arguments;
    else
      reply_.calls.push_back(std::move(call));
}

void generation::finish(std::string_view reason) {
  give(text_->finish(), true);
  const auto kept = text_->kept();
  // Tokens of which nothing was kept, because a stop string was in them, were not said.
  while (logprob_ends_.size() > 1 && logprob_ends_[logprob_ends_.size() - 2] >= kept) {
    logprob_ends_.pop_back();
    logprobs_.erase(logprobs_.size() - 1);
  }
  auto response = take_response(bytes_);
  const bool calls = reason == "stop" && reader_->calls();
  response.parameters.emplace("finish_reason", std::string{calls ? "tool_calls" : reason});
  response.parameters.emplace("prompt_tokens", static_cast<std::int64_t>(prompt_));
  response.parameters.emplace("completion_tokens", static_cast<std::int64_t>(chosen()));
  response.parameters.emplace("cached_tokens", static_cast<std::int64_t>(reused_));
  item_.respond(std::move(response));
}

/// What has not been answered yet, with the log probabilities of the tokens that end in the first `bytes`.
inference_response generation::take_response(std::size_t bytes) {
  inference_response response;
  std::string text;
  append_bytes(text, reply_.content);
  response.outputs.push_back({"text_output", datatype::bytes, {1}, buffer::take(std::move(text))});
  if (!reply_.reasoning.empty())
    response.parameters.emplace("reasoning", reply_.reasoning);
  if (!reply_.calls.empty()) {
    auto calls = json::array();
    for (const auto& call : reply_.calls)
      calls.push_back(written(call));
    response.parameters.emplace("tool_calls", calls.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  if (auto said = take_logprobs(bytes); !said.empty())
    response.parameters.emplace("logprobs", said.dump(-1, ' ', false, json::error_handler_t::replace));
  reply_ = {};
  return response;
}

json generation::take_logprobs(std::size_t bytes) {
  const auto end = std::upper_bound(logprob_ends_.begin(), logprob_ends_.end(), bytes);
  const auto count = end - logprob_ends_.begin();
  logprob_ends_.erase(logprob_ends_.begin(), end);
  auto& all = logprobs_.get_ref<json::array_t&>();
  json taken = json::array_t{std::move_iterator{all.begin()}, std::move_iterator{all.begin() + count}};
  all.erase(all.begin(), all.begin() + count);
  return taken;
}

}  // namespace troupe
