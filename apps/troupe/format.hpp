#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::cli {

/// True for well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

/// Appends the shortest decimal that reads back as the same number; `NaN`, `Infinity` and `-Infinity` otherwise.
void append_number(std::string& out, float value);
void append_number(std::string& out, double value);

/// The same for JSON, which has no such numbers: they become strings, as in protobuf's JSON mapping
/// (https://protobuf.dev/programming-guides/json/).
void append_json_number(std::string& out, float value);
void append_json_number(std::string& out, double value);

/// Appends a number with at most six significant digits, for people.
void append_short_number(std::string& out, double value);

/// Appends bytes as JSON: a string where they are UTF-8, else `{"b64": "…"}`, as in TensorFlow Serving's REST API.
void append_json_text(std::string& out, std::string_view bytes);

/// Appends bytes between quotes for people: UTF-8 as it is, control characters and other bytes escaped as in C.
void append_quoted(std::string& out, std::string_view bytes);

/// The text without control characters: each becomes a space, so that nothing from the wire breaks a line or
/// reaches the terminal as a command.
std::string one_line(std::string_view text);

/// UTF-8 of several lines without control characters other than newlines and tabs: each becomes a space.
std::string harmless(std::string_view text);

/// At most `width` code points of the text as `one_line` gives it; the last one is `…` where something is missing.
std::string ellipsis(std::string_view text, std::size_t width);

/// The words with `separator` between them.
std::string join(const std::vector<std::string>& words, std::string_view separator);

/// Base64 with padding (RFC 4648, section 4).
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

/// Lines of left-aligned columns, two spaces apart. All rows have equally many cells.
std::string format_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace troupe::cli
