#include "skillsets/text_generation/reply_reader.hpp"

#include "skillsets/text_generation/text_stream.hpp"

#include <random>
#include <utility>

namespace troupe {
namespace {

// As tool_grammar writes a call; nothing else can come.
constexpr std::string_view opening = "<tool_call>\n{\"name\": \"";
constexpr std::string_view opening_tag = "<tool_call>";
constexpr std::string_view middle = "\", \"arguments\": ";
constexpr std::string_view closing = "}\n</tool_call>";

}  // namespace

std::string new_call_id() {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  thread_local std::mt19937_64 source{std::random_device{}()};
  std::uniform_int_distribution<std::size_t> any{0, letters.size() - 1};
  std::string id = "call_";
  for (int i = 0; i != 24; ++i)
    id += letters[any(source)];
  return id;
}

reply_delta tagged_reader::read(std::string_view text, bool whole) {
  held_ += text;
  reply_delta result;
  for (bool on = true; on;)
    on = at_ == place::content ? read_content(result, whole)
         : at_ == place::head  ? read_head(result, whole)
                               : read_arguments(result, whole);
  return result;
}

/// Each of these takes what it can of the text, and says whether to go on.
bool tagged_reader::read_content(reply_delta& to, bool whole) {
  const auto tag = held_.find(opening_tag);
  if (tag != std::string::npos) {
    to.content += held_.substr(0, tag);
    held_.erase(0, tag);
    at_ = place::head;
    return true;
  }
  const auto back = whole ? 0 : begun(held_, opening_tag);
  // Between two calls there is a line break, which says nothing.
  if (count_ == 0 || held_.find_first_not_of('\n') < held_.size() - back)
    to.content += held_.substr(0, held_.size() - back);
  held_.erase(0, held_.size() - back);
  return false;
}

bool tagged_reader::read_head(reply_delta& to, bool whole) {
  const auto name_end = held_.find(middle);
  if (held_.starts_with(opening) && name_end != std::string::npos) {
    to.calls.push_back({count_++, new_call_id(), held_.substr(opening.size(), name_end - opening.size()), {}});
    held_.erase(0, name_end + middle.size());
    at_ = place::arguments;
    return true;
  }
  if (!whole)
    return false;
  // What was cut off before it said what it calls is nothing; anything else is content that begins like a call.
  if (!held_.starts_with(opening) && !opening.starts_with(held_))
    to.content += held_;
  held_.clear();
  return false;
}

bool tagged_reader::read_arguments(reply_delta& to, bool whole) {
  const auto end = held_.find(closing);
  const auto size = end != std::string::npos ? end : held_.size() - (whole ? 0 : begun(held_, closing));
  if (size != 0) {
    if (to.calls.empty() || to.calls.back().index + 1 != count_)
      to.calls.push_back({count_ - 1, {}, {}, {}});
    to.calls.back().arguments += held_.substr(0, size);
  }
  held_.erase(0, end != std::string::npos ? end + closing.size() : size);
  if (end != std::string::npos)
    at_ = place::content;
  return end != std::string::npos;
}

}  // namespace troupe
