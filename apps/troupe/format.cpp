#include "apps/troupe/format.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>

namespace troupe::cli {
namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

unsigned char byte_at(std::string_view text, std::size_t i) noexcept {
  return static_cast<unsigned char>(text[i]);
}

/// The length of the well-formed UTF-8 sequence that `text` starts with; 0 when there is none.
std::size_t sequence_length(std::string_view text) noexcept {
  const auto lead = byte_at(text, 0);
  if (lead < 0x80)
    return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length)
    return 0;
  for (std::size_t i = 1; i != length; ++i)
    if ((byte_at(text, i) & 0xC0) != 0x80)
      return 0;
  const auto second = byte_at(text, 1);
  const bool overlong = (lead == 0xE0 && second < 0xA0) || (lead == 0xF0 && second < 0x90);
  const bool no_character = (lead == 0xED && second > 0x9F) || (lead == 0xF4 && second > 0x8F);
  return overlong || no_character ? 0 : length;
}

bool is_control(unsigned char c) noexcept {
  return c < 0x20 || c == 0x7F;
}

/// The C1 control characters, U+0080 to U+009F, which some terminals obey.
bool is_c1(std::string_view sequence) noexcept {
  return sequence.size() == 2 && byte_at(sequence, 0) == 0xC2 && byte_at(sequence, 1) < 0xA0;
}

std::size_t code_points(std::string_view text) noexcept {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

template <class T>
void append_any_number(std::string& out, T value, std::string_view quote) {
  if (!std::isfinite(value)) {
    out.append(quote).append(std::isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity").append(quote);
    return;
  }
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

/// Appends `\` and what follows it for a character that C and JSON both spell with a letter; false for others.
bool append_short_escape(std::string& out, char c) {
  constexpr std::string_view characters = "\"\\\b\f\n\r\t";
  constexpr std::string_view letters = "\"\\bfnrt";
  const auto i = characters.find(c);
  if (i == std::string_view::npos)
    return false;
  out += '\\';
  out += letters[i];
  return true;
}

void append_hex(std::string& out, std::string_view prefix, unsigned char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  out.append(prefix) += digits[byte >> 4];
  out += digits[byte & 0xF];
}

/// The text with a space for each control character that is not among `kept`, and `?` for what is no UTF-8.
std::string without_controls(std::string_view text, std::string_view kept) {
  std::string result;
  while (!text.empty()) {
    const auto length = sequence_length(text);
    const auto sequence = text.substr(0, std::max<std::size_t>(length, 1));
    const bool control = is_c1(sequence) || (length == 1 && is_control(byte_at(text, 0)));
    if (length == 0)
      result += '?';
    else if (control && kept.find(text[0]) == std::string_view::npos)
      result += ' ';
    else
      result.append(sequence);
    text.remove_prefix(sequence.size());
  }
  return result;
}

}  // namespace

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto length = sequence_length(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

void append_number(std::string& out, float value) {
  append_any_number(out, value, "");
}

void append_number(std::string& out, double value) {
  append_any_number(out, value, "");
}

void append_json_number(std::string& out, float value) {
  append_any_number(out, value, "\"");
}

void append_json_number(std::string& out, double value) {
  append_any_number(out, value, "\"");
}

void append_short_number(std::string& out, double value) {
  constexpr int significant_digits = 6;
  if (!std::isfinite(value)) {
    append_number(out, value);
    return;
  }
  std::array<char, 32> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::general, significant_digits)
          .ptr;
  out.append(digits.data(), end);
}

void append_json_text(std::string& out, std::string_view bytes) {
  if (!is_utf8(bytes)) {
    out.append(R"({"b64":")").append(to_base64(bytes)).append("\"}");
    return;
  }
  out += '"';
  for (const auto c : bytes) {
    if (append_short_escape(out, c))
      continue;
    if (is_control(static_cast<unsigned char>(c)))
      append_hex(out, "\\u00", static_cast<unsigned char>(c));
    else
      out += c;
  }
  out += '"';
}

void append_quoted(std::string& out, std::string_view bytes) {
  out += '"';
  while (!bytes.empty()) {
    const auto length = sequence_length(bytes);
    const auto sequence = bytes.substr(0, std::max<std::size_t>(length, 1));
    if (length == 0 || is_c1(sequence) || (length == 1 && is_control(byte_at(bytes, 0)))) {
      if (!append_short_escape(out, bytes[0])) {
        for (std::size_t i = 0; i != sequence.size(); ++i)
          append_hex(out, "\\x", byte_at(sequence, i));
      }
    } else if (length > 1 || !append_short_escape(out, bytes[0])) {
      out.append(sequence);
    }
    bytes.remove_prefix(sequence.size());
  }
  out += '"';
}

std::string one_line(std::string_view text) {
  return without_controls(text, "");
}

std::string harmless(std::string_view text) {
  return without_controls(text, "\n\t");
}

std::string ellipsis(std::string_view text, std::size_t width) {
  if (width == 0)
    return {};
  // Four bytes make at least one code point, so what lies past this can't be shown anyway.
  auto line = one_line(width < text.size() / 4 ? text.substr(0, (width + 1) * 4) : text);
  if (code_points(line) <= width)
    return line;
  std::size_t end = 0;
  for (std::size_t i = 1; i < width; ++i)
    end += sequence_length(std::string_view{line}.substr(end));
  return line.substr(0, end) + "…";
}

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const auto& word : words)
    text.append(&word == &words.front() ? std::string_view{} : separator).append(word);
  return text;
}

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto group = bytes.substr(i, 3);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k != 3; ++k)
      bits = bits << 8 | (k < group.size() ? byte_at(group, k) : 0u);
    for (std::size_t k = 0; k != 4; ++k)
      text += k <= group.size() ? base64_digits[bits >> (18 - 6 * k) & 0x3F] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i != text.size(); ++i) {
    const auto digit = i < text.size() - padding ? base64_digits.find(text[i]) : 0;
    if (digit == std::string_view::npos)
      return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if (i % 4 == 3)
      for (const int shift : {16, 8, 0})
        bytes += static_cast<char>(bits >> shift & 0xFF);
  }
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i != row.size(); ++i)
      widths[i] = std::max(widths[i], code_points(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i != row.size(); ++i)
      line.append(row[i]).append(widths[i] - code_points(row[i]) + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text.append(line) += '\n';
  }
  return text;
}

}  // namespace troupe::cli
