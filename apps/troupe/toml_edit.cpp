#include "apps/troupe/toml_edit.hpp"

#include <algorithm>
#include <vector>

namespace troupe::cli {
namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos)
    return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// Where the comment begins that ends the line; npos when there is none.
std::size_t comment_of(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i != line.size(); ++i) {
    if (quote == '"' && line[i] == '\\' && i + 1 != line.size())
      ++i;
    else if (quote)
      quote = line[i] == quote ? '\0' : quote;
    else if (line[i] == '"' || line[i] == '\'')
      quote = line[i];
    else if (line[i] == '#')
      return i;
  }
  return std::string_view::npos;
}

bool is_header(std::string_view line) {
  return trimmed(line).starts_with('[');
}

bool is_header_of(std::string_view line, std::string_view table) {
  const auto header = trimmed(line.substr(0, comment_of(line)));
  return header.starts_with('[') && header.ends_with(']') && trimmed(header.substr(1, header.size() - 2)) == table;
}

bool assigns(std::string_view line, std::string_view key) {
  const auto equals = line.find('=');
  return equals != std::string_view::npos && trimmed(line.substr(0, equals)) == key;
}

std::string with_value(const std::string& line, std::string_view value) {
  const auto comment = comment_of(line);
  auto result = line.substr(0, line.find('=') + 1) + " " + std::string{value};
  if (comment == std::string::npos)
    return result;
  // In the column where it was, if it can be.
  result.append(result.size() < comment ? comment - result.size() : 1, ' ');
  return result + line.substr(comment);
}

}  // namespace

std::string set_toml_value(std::string_view text, std::string_view key, std::string_view value) {
  auto lines = lines_of(text);
  const auto dot = key.find('.');
  const auto table = dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
  const auto name = dot == std::string_view::npos ? key : key.substr(dot + 1);
  const auto assignment = std::string{name} + " = " + std::string{value};
  auto at = lines.begin();
  if (!table.empty()) {
    at = std::find_if(at, lines.end(), [&](const auto& line) { return is_header_of(line, table); });
    if (at == lines.end()) {
      lines.insert(lines.end(), {"", "[" + std::string{table} + "]", assignment});
      at = lines.end();
    } else {
      ++at;
    }
  }
  if (at != lines.end() || table.empty()) {
    const auto end = std::find_if(at, lines.end(), is_header);
    const auto there = std::find_if(at, end, [&](const auto& line) { return assigns(line, name); });
    if (there != end) {
      *there = with_value(*there, value);
    } else {
      auto last = end;
      while (last != at && trimmed(*(last - 1)).empty())
        --last;
      lines.insert(last, assignment);
    }
  }
  std::string result;
  for (const auto& line : lines)
    result += line + "\n";
  return result;
}

}  // namespace troupe::cli
