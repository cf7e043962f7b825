#pragma once

#include <spdlog/common.h>

#include <initializer_list>
#include <string_view>
#include <variant>

namespace troupe {

/// How log lines look: for people, or one JSON object a line for machines.
enum class log_format : std::uint8_t { text, json };

/// One named value of an event. Holds views: good for the duration of the call only.
struct log_field {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double> value;

  log_field(std::string_view n, std::string_view v) : name(n), value(v) {}
  log_field(std::string_view n, const char* v) : name(n), value(std::string_view{v}) {}
  log_field(std::string_view n, const std::string& v) : name(n), value(std::string_view{v}) {}
  log_field(std::string_view n, double v) : name(n), value(v) {}
  template <class Integer>
  requires std::is_integral_v<Integer> log_field(std::string_view n, Integer v)
      : name(n), value(static_cast<std::int64_t>(v)) {}
};

/// Sends the process's log to standard error in `format`, from `level` on. Called once, before the threads start.
void start_log(log_format format, spdlog::level::level_enum level);

/// From which level on events are written; `off` without a log. Thread-safe, as is changing it.
spdlog::level::level_enum log_level() noexcept;

/// Changes the level while the process runs, and says so in an `info` event, where one of the two levels has it.
void set_log_level(spdlog::level::level_enum level);

/// How the log looks since it was started.
log_format log_format_in_use() noexcept;

/// True when events of `level` are written, for callers whose fields cost something to make.
bool logs(spdlog::level::level_enum level) noexcept;

/// Writes one event in one line: what happened, then the values that tell it apart. Line breaks and quotes in values
/// are escaped, so that no value can forge a line, and a text is cut after a kibibyte. Thread-safe.
void log_event(spdlog::level::level_enum level, std::string_view event, std::initializer_list<log_field> fields = {});

}  // namespace troupe
