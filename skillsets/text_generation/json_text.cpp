#include "skillsets/text_generation/json_text.hpp"

#include <charconv>
#include <set>
#include <vector>

namespace troupe {
namespace {

constexpr int deepest = 64;
constexpr std::size_t most_names = 1024;

/// Watches the parser, and ends it where the text breaks a rule of ours.
class strict_reader {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > deepest)
      throw std::invalid_argument("nested deeper than " + std::to_string(deepest));
    if (event == json::parse_event_t::object_start)
      names_.emplace_back();
    else if (event == json::parse_event_t::object_end)
      names_.pop_back();
    else if (event == json::parse_event_t::key)
      take(parsed.get_ref<const std::string&>());
    return true;
  }

 private:
  void take(const std::string& name) {
    if (!names_.back().insert(name).second)
      throw std::invalid_argument("the name '" + shortened(name, 64) + "' is there twice");
    if (names_.back().size() > most_names)
      throw std::invalid_argument("an object with more than " + std::to_string(most_names) + " names");
  }

  std::vector<std::set<std::string>> names_;
};

}  // namespace

expected<json> parse_json(std::string_view text) try {
  return json::parse(text.begin(), text.end(),
                     [reader = strict_reader{}](int depth, json::parse_event_t event, json& parsed) mutable {
                       return reader(depth, event, parsed);
                     });
} catch (const json::parse_error& e) {
  const std::string what = e.what();
  const auto from = what.rfind("] ");
  return make_error(status_code::invalid_argument,
                    shortened(from == std::string::npos ? what : what.substr(from + 2), 200));
} catch (const std::invalid_argument& e) {
  return make_error(status_code::invalid_argument, e.what());
}

std::string shortest(double number) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  return {text, end};
}

}  // namespace troupe
