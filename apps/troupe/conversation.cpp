#include "apps/troupe/conversation.hpp"

#include "apps/troupe/format.hpp"

namespace troupe::cli {

using ordered_json = nlohmann::ordered_json;

void conversation::clear() {
  messages_ = ordered_json::array();
  if (!system_.empty())
    messages_.push_back({{"role", "system"}, {"content", system_}});
}

expected<void> conversation::ask(std::string_view message) {
  if (!is_utf8(message) || !is_utf8(system_))
    return make_error(status_code::invalid_argument, "the message is not UTF-8");
  messages_.push_back({{"role", "user"}, {"content", message}});
  return {};
}

void conversation::answer(std::string_view text) {
  if (text.empty())
    messages_.erase(messages_.size() - 1);
  else
    messages_.push_back({{"role", "assistant"}, {"content", text}});
}

std::string conversation::json() const {
  return messages_.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

chat_command parse_chat_command(std::string_view line) noexcept {
  constexpr std::string_view blank = " \t\r";
  const auto first = line.find_first_not_of(blank);
  if (first == std::string_view::npos || line[first] != '/')
    return chat_command::none;
  line = line.substr(first, line.find_last_not_of(blank) + 1 - first);
  if (line.find_first_of(blank) != std::string_view::npos || line.find('/', 1) != std::string_view::npos)
    return chat_command::none;
  return line == "/help"    ? chat_command::help
         : line == "/clear" ? chat_command::clear
         : line == "/exit"  ? chat_command::leave
                            : chat_command::unknown;
}

}  // namespace troupe::cli
