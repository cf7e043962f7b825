#include "actors/gateway/http/openai/response_format.hpp"

namespace troupe::openai {
namespace {

json describe_logprobs(const json& tokens) {
  auto result = json::array();
  for (const auto& token : tokens) {
    auto top = json::array();
    for (const auto& likely : token.value("top_logprobs", json::array()))
      top.push_back({{"token", likely.value("token", "")},
                     {"bytes", likely.value("bytes", json::array())},
                     {"logprob", likely.value("logprob", json(nullptr))}});
    result.push_back({{"token", token.value("token", "")},
                      {"bytes", token.value("bytes", json::array())},
                      {"logprob", token.value("logprob", json(nullptr))},
                      {"top_logprobs", std::move(top)}});
  }
  return result;
}

/// How many of the tokens were reasoning nobody says; where there was none it is known.
json describe(const token_usage& usage, bool reasoned) {
  return {{"input_tokens", usage.prompt},
          {"input_tokens_details", {{"cached_tokens", usage.cached}}},
          {"output_tokens", usage.completion},
          {"output_tokens_details", {{"reasoning_tokens", reasoned ? json(nullptr) : json(0)}}},
          {"total_tokens", usage.prompt + usage.completion}};
}

std::string& text_of(json& part) {
  return part["text"].get_ref<std::string&>();
}

bool is(const json& item, const char* type) {
  return item["type"] == type;
}

}  // namespace

response_format::response_format(answer_head head, json repeated, bool logprobs)
    : head_(std::move(head)), repeated_(std::move(repeated)), logprobs_(logprobs), status_("in_progress") {}

json response_format::response(const std::string& status) const {
  json result{{"id", head_.id},
              {"object", "response"},
              {"created_at", head_.created},
              {"status", status},
              {"background", false},
              {"error", nullptr},
              {"incomplete_details", incomplete_},
              {"model", head_.model},
              {"output", output_},
              {"previous_response_id", nullptr},
              {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
              {"service_tier", "default"},
              {"store", false},
              {"truncation", "disabled"},
              {"usage", usage_},
              {"user", nullptr}};
  result.update(repeated_);
  return result;
}

json response_format::whole(std::span<const text_choice> choices) {
  const auto& only = choices.front();
  std::string nobody_reads;
  add(0, {only.text, only.reasoning, only.tool_calls, only.logprobs, only.finish_reason, only.usage}, nobody_reads);
  finish(only, nobody_reads);
  return response(status_);
}

/// Closes what is open; what was cut off, the last item, is incomplete.
void response_format::finish(const text_choice& choice, std::string& events) {
  // An answer without anything in it is a message without text.
  if (output_.empty())
    open_text(true, events);
  const bool cut = choice.finish_reason == "length";
  if (cut) {
    output_.back()["status"] = "incomplete";
    incomplete_ = {{"reason", "max_output_tokens"}};
  }
  close_text(events);
  close_calls(events);
  status_ = cut ? "incomplete" : "completed";
  usage_ = describe(choice.usage, !choice.reasoning.empty());
}

void response_format::begin(std::string& events) {
  append(events, "response.created", {{"response", response(status_)}});
  append(events, "response.in_progress", {{"response", response(status_)}});
}

void response_format::add(std::size_t, const text_piece& piece, std::string& events) {
  if (!piece.reasoning.empty())
    add_reasoning(piece.reasoning, events);
  const bool only_logprobs =
      logprobs_ && !piece.logprobs.empty() && piece.reasoning.empty() && piece.tool_calls.empty();
  if (!piece.text.empty() || only_logprobs)
    add_text(piece, events);
  for (const auto& delta : piece.tool_calls)
    add_call(delta, events);
}

void response_format::end(std::span<const text_choice> choices, std::string& events) {
  finish(choices.front(), events);
  append(events, "response." + status_, {{"response", response(status_)}});
}

void response_format::fail(const api_error& why, std::string& events) {
  auto failed = response("failed");
  failed["error"] = {{"code", why.code.empty() ? "server_error" : why.code}, {"message", why.message}};
  append(events, "response.failed", {{"response", std::move(failed)}});
}

void response_format::append(std::string& events, const std::string& type, json data) {
  json event{{"type", type}, {"sequence_number", next_number_++}};
  event.update(data);
  events += "event: " + type + "\n";
  append_event(events, event);
}

json response_format::place_of(std::size_t item) const {
  return {{"item_id", output_[item]["id"]}, {"output_index", item}};
}

/// Begins an item, and gives its place in the output.
std::size_t response_format::open(json item, std::string& events) {
  output_.push_back(std::move(item));
  append(events, "response.output_item.added", {{"output_index", output_.size() - 1}, {"item", output_.back()}});
  return output_.size() - 1;
}

/// Sees to it that a message, or reasoning, is open and nothing else.
void response_format::open_text(bool message, std::string& events) {
  close_calls(events);
  const char* const type = message ? "message" : "reasoning";
  if (text_ && !is(output_[*text_], type))
    close_text(events);
  if (text_)
    return;
  json item{{"id", make_id(message ? "msg_" : "rs_")}, {"type", type}, {"status", "in_progress"}};
  message ? item["role"] = "assistant" : item["summary"] = json::array();
  item["content"] = json::array();
  text_ = open(std::move(item), events);
  json part{{"type", message ? "output_text" : "reasoning_text"}, {"text", ""}};
  if (message)
    part.update(json{{"annotations", json::array()}, {"logprobs", json::array()}});
  auto data = place_of(*text_);
  data.update(json{{"content_index", 0}, {"part", part}});
  append(events, "response.content_part.added", std::move(data));
  output_[*text_]["content"].push_back(std::move(part));
}

void response_format::add_text(const text_piece& piece, std::string& events) {
  open_text(true, events);
  auto& part = output_[*text_]["content"][0];
  text_of(part) += piece.text;
  auto logprobs = logprobs_ ? describe_logprobs(piece.logprobs) : json::array();
  part["logprobs"].insert(part["logprobs"].end(), logprobs.begin(), logprobs.end());
  auto data = place_of(*text_);
  data.update(json{{"content_index", 0}, {"delta", piece.text}, {"logprobs", std::move(logprobs)}});
  append(events, "response.output_text.delta", std::move(data));
}

void response_format::add_reasoning(const std::string& text, std::string& events) {
  open_text(false, events);
  text_of(output_[*text_]["content"][0]) += text;
  auto data = place_of(*text_);
  data.update(json{{"content_index", 0}, {"delta", text}});
  append(events, "response.reasoning_text.delta", std::move(data));
}

void response_format::add_call(const json& delta, std::string& events) {
  close_text(events);
  const auto function = delta.value("function", json::object());
  const auto index = delta.value("index", std::int64_t{0});
  auto found = calls_.find(index);
  if (found == calls_.end())
    found = calls_
                .emplace(index, open({{"id", make_id("fc_")},
                                      {"type", "function_call"},
                                      {"status", "in_progress"},
                                      {"call_id", delta.value("id", "")},
                                      {"name", function.value("name", "")},
                                      {"arguments", ""}},
                                     events))
                .first;
  const auto arguments = function.value("arguments", "");
  if (arguments.empty())
    return;
  output_[found->second]["arguments"].get_ref<std::string&>() += arguments;
  auto data = place_of(found->second);
  data["delta"] = arguments;
  append(events, "response.function_call_arguments.delta", std::move(data));
}

/// Ends a message's text, or reasoning.
void response_format::close_part(std::size_t item, std::string& events) {
  const auto& part = output_[item]["content"][0];
  const bool message = is(output_[item], "message");
  auto data = place_of(item);
  data.update(json{{"content_index", 0}, {"text", part["text"]}});
  if (message)
    data["logprobs"] = part["logprobs"];
  append(events, message ? "response.output_text.done" : "response.reasoning_text.done", std::move(data));
  data = place_of(item);
  data.update(json{{"content_index", 0}, {"part", part}});
  append(events, "response.content_part.done", std::move(data));
}

void response_format::close_item(std::size_t item, std::string& events) {
  if (output_[item]["status"] == "in_progress")
    output_[item]["status"] = "completed";
  append(events, "response.output_item.done", {{"output_index", item}, {"item", output_[item]}});
}

void response_format::close_text(std::string& events) {
  if (!text_)
    return;
  close_part(*text_, events);
  close_item(*text_, events);
  text_.reset();
}

void response_format::close_calls(std::string& events) {
  for (const auto& [index, item] : calls_) {
    auto data = place_of(item);
    data["name"] = output_[item]["name"];
    data["arguments"] = output_[item]["arguments"];
    append(events, "response.function_call_arguments.done", std::move(data));
    close_item(item, events);
  }
  calls_.clear();
}

}  // namespace troupe::openai
