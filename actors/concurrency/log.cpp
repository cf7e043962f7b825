#include "actors/concurrency/log.hpp"

#include "actors/concurrency/error.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <iterator>

namespace troupe {
namespace {

using line = fmt::memory_buffer;

/// Of a text, in bytes: some values are what a client sent.
constexpr std::size_t longest_value = 1024;

log_format current_format = log_format::text;

/// Appends `text` between quotes with JSON's escapes; bytes that are not ASCII pass through.
void append_quoted(line& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

bool is_plain(std::string_view text) {
  constexpr std::string_view special = "\"\\= ";
  if (text.empty())
    return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || special.find(c) != std::string_view::npos)
      return false;
  return true;
}

void append_number(line& out, double value) {
  if (std::isfinite(value))
    fmt::format_to(std::back_inserter(out), "{:.3f}", value);
  else
    out.append(std::string_view{"null"});
}

void append_text(line& out, std::string_view text) {
  if (text.size() > longest_value)
    append_quoted(out, shortened(text, longest_value));
  else if (current_format == log_format::text && is_plain(text))
    out.append(text);
  else
    append_quoted(out, text);
}

void append_value(line& out, const log_field& field) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    append_text(out, *text);
  } else if (const auto* integer = std::get_if<std::int64_t>(&field.value)) {
    fmt::format_to(std::back_inserter(out), "{}", *integer);
  } else {
    append_number(out, std::get<double>(field.value));
  }
}

std::string_view name_of(spdlog::level::level_enum level) {
  const auto& name = spdlog::level::to_string_view(level);
  return {name.data(), name.size()};
}

}  // namespace

void start_log(log_format format, spdlog::level::level_enum level) {
  current_format = format;
  auto logger = spdlog::stderr_color_mt("troupe");
  logger->set_level(level);
  logger->flush_on(spdlog::level::trace);
  logger->set_pattern(format == log_format::json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v})"
                                                 : "%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %v");
  spdlog::set_default_logger(std::move(logger));
}

spdlog::level::level_enum log_level() noexcept {
  const auto* logger = spdlog::default_logger_raw();
  return logger ? logger->level() : spdlog::level::off;
}

void set_log_level(spdlog::level::level_enum level) {
  const auto before = log_level();
  if (level == before || !spdlog::default_logger_raw())
    return;
  const auto say = [&] {
    log_event(spdlog::level::info, "log level changed", {{"from", name_of(before)}, {"to", name_of(level)}});
  };
  // While the more talkative of the two holds.
  if (before < level)
    say();
  spdlog::default_logger_raw()->set_level(level);
  if (level < before)
    say();
}

log_format log_format_in_use() noexcept {
  return current_format;
}

bool logs(spdlog::level::level_enum level) noexcept {
  // None once the log was shut down, which what is destroyed late must survive.
  const auto* logger = spdlog::default_logger_raw();
  return logger && logger->should_log(level);
}

void log_event(spdlog::level::level_enum level, std::string_view event, std::initializer_list<log_field> fields) {
  if (!logs(level))
    return;
  line out;
  if (current_format == log_format::json) {
    out.append(std::string_view{"\"event\":"});
    append_quoted(out, event);
  } else {
    out.append(event);
  }
  for (const auto& field : fields) {
    if (current_format == log_format::json) {
      out.push_back(',');
      append_quoted(out, field.name);
      out.push_back(':');
    } else {
      out.push_back(' ');
      out.append(field.name);
      out.push_back('=');
    }
    append_value(out, field);
  }
  spdlog::default_logger_raw()->log(level, std::string_view{out.data(), out.size()});
}

}  // namespace troupe
