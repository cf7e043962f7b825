#include "skillsets/text_generation/generation_request.hpp"

#include "skillsets/text_generation/json_text.hpp"

#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <string_view>

namespace troupe {
namespace {

constexpr std::size_t most_stops = 64;
constexpr std::size_t longest_stop = 1024;
constexpr std::size_t most_biases = 1024;
constexpr std::size_t longest_grammar = 64 << 10;
constexpr std::size_t longest_tools = 1 << 20;

error wrong(std::string_view name, const std::string& what, std::string remedy) {
  return make_error(status_code::invalid_argument, "parameter '" + std::string{name} + "' " + what, std::move(remedy));
}

expected<void> read(const parameter& from, std::string_view name, bool& to) {
  const auto* value = std::get_if<bool>(&from);
  if (!value)
    return wrong(name, "is not a bool", "give true or false");
  to = *value;
  return {};
}

expected<void> read(const parameter& from, std::string_view name, std::string& to) {
  const auto* value = std::get_if<std::string>(&from);
  if (!value)
    return wrong(name, "is not a string", {});
  to = *value;
  return {};
}

/// A number with bounds, given as any kind of number.
expected<double> number(const parameter& from, std::string_view name, double least, double most) {
  const auto range = "give a number from " + shortest(least) + " to " + shortest(most);
  double value = std::numeric_limits<double>::quiet_NaN();
  if (const auto* real = std::get_if<double>(&from))
    value = *real;
  else if (const auto* whole = std::get_if<std::int64_t>(&from))
    value = static_cast<double>(*whole);
  else if (const auto* natural = std::get_if<std::uint64_t>(&from))
    value = static_cast<double>(*natural);
  else
    return wrong(name, "is not a number", range);
  if (!(value >= least && value <= most))
    return wrong(name, "is " + shortest(value), range);
  return value;
}

expected<std::int64_t> whole(const parameter& from, std::string_view name, std::int64_t least, std::int64_t most) {
  const auto value = number(from, name, static_cast<double>(least), static_cast<double>(most));
  if (!value)
    return value.error();
  if (std::trunc(*value) != *value)
    return wrong(name, "is " + shortest(*value), "give a whole number");
  return static_cast<std::int64_t>(*value);
}

/// A number above 0.
expected<double> positive(const parameter& from, std::string_view name, double most) {
  auto value = number(from, name, 0, most);
  if (value && *value == 0)
    return wrong(name, "is 0", "give a number above 0, up to " + shortest(most));
  return value;
}

/// JSON in a string.
expected<json> document(const parameter& from, std::string_view name, std::size_t longest) {
  std::string text;
  if (auto done = read(from, name, text); !done)
    return done.error();
  if (text.size() > longest)
    return wrong(name, "has " + std::to_string(text.size()) + " bytes", "give " + std::to_string(longest) + " at most");
  auto parsed = parse_json(text);
  if (!parsed)
    return wrong(name, "is not valid JSON: " + parsed.error().cause, parsed.error().remedy);
  return parsed;
}

/// An object or array in a string, which stays the string that it is.
expected<void> keep_document(const parameter& from, std::string_view name, json::value_t type, std::size_t longest,
                             std::string& to) {
  const auto parsed = document(from, name, longest);
  if (!parsed)
    return parsed.error();
  if (parsed->type() != type)
    return wrong(name, "is not a JSON " + std::string{json(type).type_name()}, {});
  to = parsed->dump();
  return {};
}

template <class Number, class To>
expected<void> store(const expected<Number>& from, To& to) {
  if (!from)
    return from.error();
  to = static_cast<To>(*from);
  return {};
}

expected<void> read_format(const parameter& from, prompt_format& to) {
  std::string name;
  if (auto done = read(from, "prompt_format", name); !done)
    return done;
  if (name == "text")
    to = prompt_format::text;
  else if (name == "chat")
    to = prompt_format::chat;
  else if (name == "tokens")
    to = prompt_format::tokens;
  else
    return wrong("prompt_format", "is '" + shortened(name, 32) + "'", "give text, chat or tokens");
  return {};
}

expected<void> read_stops(const parameter& from, std::vector<std::string>& to) {
  const auto list = document(from, "stop", most_stops * longest_stop * 2);
  if (!list)
    return list.error();
  if (!list->is_array() || list->size() > most_stops)
    return wrong("stop", "is no JSON array of at most " + std::to_string(most_stops) + " strings", {});
  for (const auto& stop : *list) {
    const auto* text = stop.get_ptr<const json::string_t*>();
    if (!text || text->empty() || text->size() > longest_stop)
      return wrong("stop", "has an element that is no string of 1 to " + std::to_string(longest_stop) + " bytes", {});
    to.push_back(*text);
  }
  return {};
}

expected<void> read_biases(const parameter& from, std::vector<std::pair<std::int32_t, float>>& to) {
  const auto all = document(from, "logit_bias", most_biases * 64);
  if (!all)
    return all.error();
  if (!all->is_object() || all->size() > most_biases)
    return wrong("logit_bias", "is no JSON object of at most " + std::to_string(most_biases) + " members", {});
  for (const auto& [name, bias] : all->items()) {
    std::int32_t token = -1;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), token);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size() || token < 0)
      return wrong("logit_bias", "names '" + shortened(name, 32) + "'", "give ids of tokens");
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= 100))
      return wrong("logit_bias", "of token " + name + " is no number from -100 to 100", {});
    to.emplace_back(token, bias.get<float>());
  }
  return {};
}

expected<void> read_choice(const parameter& from, tool_choice& to) {
  std::string text;
  if (auto done = read(from, "tool_choice", text); !done)
    return done;
  using kind = tool_choice::kind;
  if (text == "auto" || text == "none" || text == "required") {
    to.how = text == "auto" ? kind::automatic : text == "none" ? kind::none : kind::required;
    return {};
  }
  const auto parsed = parse_json(text);
  const json::json_pointer name{"/function/name"};
  if (!parsed || !parsed->is_object() || !parsed->contains(name) || !parsed->at(name).is_string())
    return wrong("tool_choice", "is '" + shortened(text, 64) + "'",
                 R"(give auto, none, required or {"type":"function","function":{"name":…}})");
  to.how = kind::required;
  to.function = parsed->at(name).get<std::string>();
  return {};
}

using reader = std::function<expected<void>(const parameter&, generation_request&)>;

template <class To>
reader plain(std::string_view name, To generation_request::*to) {
  return [=](const parameter& from, generation_request& into) { return read(from, name, into.*to); };
}

reader real(std::string_view name, double sampling_settings::*to, double least, double most) {
  return [=](const parameter& from, generation_request& into) {
    return store(number(from, name, least, most), into.sampling.*to);
  };
}

reader above_zero(std::string_view name, double sampling_settings::*to, double most) {
  return [=](const parameter& from, generation_request& into) {
    return store(positive(from, name, most), into.sampling.*to);
  };
}

reader json_value(std::string_view name, std::string generation_request::*to, json::value_t type, std::size_t longest) {
  return [=](const parameter& from, generation_request& into) {
    return keep_document(from, name, type, longest, into.*to);
  };
}

const std::map<std::string_view, reader>& readers() {
  constexpr auto most = std::numeric_limits<std::int32_t>::max();
  static const std::map<std::string_view, reader> all{
      {"prompt_format", [](const auto& from, auto& into) { return read_format(from, into.format); }},
      {"stream", plain("stream", &generation_request::stream)},
      {"echo", plain("echo", &generation_request::echo)},
      {"parallel_tool_calls", plain("parallel_tool_calls", &generation_request::parallel_tool_calls)},
      {"ignore_eos", [](const auto& from, auto& into) { return read(from, "ignore_eos", into.sampling.ignore_eos); }},
      {"max_tokens", [](const auto& from,
                        auto& into) { return store(whole(from, "max_tokens", 0, most), into.max_tokens.emplace()); }},
      {"logprobs",
       [](const auto& from, auto& into) { return store(whole(from, "logprobs", 0, 20), into.logprobs.emplace()); }},
      {"seed",
       [](const auto& from, auto& into) {
         // Any whole number may be one; the engine's has 32 bits, of which the highest value means another thing.
         const auto seed = whole(from, "seed", -(std::int64_t{1} << 53), std::int64_t{1} << 53);
         return store(seed ? expected<std::int64_t>{*seed & 0x7FFF'FFFF} : seed, into.sampling.seed.emplace());
       }},
      {"temperature", real("temperature", &sampling_settings::temperature, 0, 10)},
      {"top_p", above_zero("top_p", &sampling_settings::top_p, 1)},
      {"top_k", [](const auto& from, auto& into) { return store(whole(from, "top_k", 0, most), into.sampling.top_k); }},
      {"min_p", real("min_p", &sampling_settings::min_p, 0, 1)},
      {"frequency_penalty", real("frequency_penalty", &sampling_settings::frequency_penalty, -2, 2)},
      {"presence_penalty", real("presence_penalty", &sampling_settings::presence_penalty, -2, 2)},
      {"repetition_penalty", above_zero("repetition_penalty", &sampling_settings::repetition_penalty, 10)},
      {"logit_bias", [](const auto& from, auto& into) { return read_biases(from, into.sampling.logit_bias); }},
      {"stop", [](const auto& from, auto& into) { return read_stops(from, into.stop); }},
      {"json_schema",
       json_value("json_schema", &generation_request::json_schema, json::value_t::object, longest_grammar)},
      {"grammar", plain("grammar", &generation_request::grammar)},
      {"tools", json_value("tools", &generation_request::tools, json::value_t::array, longest_tools)},
      {"tool_choice", [](const auto& from, auto& into) { return read_choice(from, into.choice); }},
      {"chat_template_kwargs", json_value("chat_template_kwargs", &generation_request::template_arguments,
                                          json::value_t::object, longest_grammar)},
  };
  return all;
}

/// What only makes sense, or none, together with something else.
expected<void> check_together(const generation_request& request) {
  if (request.grammar.size() > longest_grammar)
    return wrong("grammar", "has " + std::to_string(request.grammar.size()) + " bytes",
                 "give " + std::to_string(longest_grammar) + " at most");
  if (!request.grammar.empty() && !request.json_schema.empty())
    return wrong("grammar", "and json_schema exclude each other", "give one of them");
  const bool forms = !request.grammar.empty() || !request.json_schema.empty();
  const bool calls = !request.tools.empty() && request.choice.how != tool_choice::kind::none;
  if (forms && calls)
    return wrong("tools", "and a form that the text is to have exclude each other",
                 "leave out json_schema and grammar, or give tool_choice none");
  if (request.format != prompt_format::chat && !request.tools.empty())
    return wrong("tools", "needs a chat", "give prompt_format chat");
  if (request.tools.empty() && request.choice.how == tool_choice::kind::required)
    return wrong("tool_choice", "needs tools", "give the tools that may be called");
  return {};
}

}  // namespace

expected<generation_request> read_generation_request(const inference_request& request,
                                                     const sampling_settings& defaults) {
  generation_request result;
  result.sampling = defaults;
  result.priority = request.priority;
  const auto& input = request.inputs.front();
  const auto texts = split_bytes(input.data.view(), 1);
  if (!texts)
    return texts.error();
  result.input = texts->front();
  for (const auto& [name, value] : request.parameters) {
    const auto known = readers().find(name);
    if (known == readers().end())
      return wrong(shortened(name, 64), "is unknown", "see the skillset's README for those that there are");
    if (auto done = known->second(value, result); !done)
      return done.error();
  }
  if (result.tools == "[]")
    result.tools.clear();
  if (auto fits = check_together(result); !fits)
    return fits.error();
  return result;
}

}  // namespace troupe
