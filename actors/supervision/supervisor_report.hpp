#pragma once

#include "actors/supervision/child_spec.hpp"

#include <functional>

namespace troupe {

/// What a report is about. The first four are OTP's supervisor reports, `progress` its progress report; `ended` is what
/// OTP doesn't tell: that a child is gone and nothing was wrong with it.
enum class report_context : std::uint8_t {
  start_error,       ///< a child didn't start
  child_terminated,  ///< a child ended by itself although it should have run
  shutdown_error,    ///< a child that was being stopped ended for another reason, or had to be killed
  shutdown,          ///< the supervisor gives up: too many restarts, or a child that can't be ended
  progress,          ///< a child runs
  ended,             ///< a child ended well, or was stopped
};

std::string_view to_string(report_context context) noexcept;

/// One thing that happened to a child, told once. Of every instance that was ever spawned there is exactly one report
/// that it is gone: `start_error`, `child_terminated`, `shutdown_error` or `ended`.
struct supervisor_report {
  std::string supervisor;
  report_context context;
  error reason;
  std::string child;
  std::uint64_t instance = 0;  ///< the actor's id; 0 when the start function made none
  restart_type restart = restart_type::permanent;
  shutdown_time shutdown = shutdown_time::infinite();
  child_type type = child_type::worker;
};

/// A report in one line. Names and reasons are cut after `longest_report_text` bytes.
std::string to_string(const supervisor_report& report);

inline constexpr std::size_t longest_report_text = 512;

/// Gets every report of a supervisor, in its thread: must not block.
using report_sink = std::function<void(const supervisor_report&)>;

/// Cuts what is too long, writes the report to the log, and hands it to `sink` if there is one. What the sink throws is
/// logged and goes no further.
void publish(supervisor_report report, const report_sink& sink);

}  // namespace troupe
