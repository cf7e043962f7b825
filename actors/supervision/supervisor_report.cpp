#include "actors/supervision/supervisor_report.hpp"

#include "actors/concurrency/log.hpp"

#include <algorithm>

namespace troupe {
namespace {

spdlog::level::level_enum level_of(const supervisor_report& report) {
  using enum report_context;
  // A start that somebody took back is no failure; one that took too long is.
  const bool taken_back =
      report.context == start_error && report.reason.cancellation && report.reason.code == status_code::cancelled;
  return taken_back || report.context == progress || report.context == ended ? spdlog::level::debug
                                                                             : spdlog::level::err;
}

std::string_view event_of(report_context context) {
  switch (context) {
    case report_context::start_error:
      return "child failed to start";
    case report_context::child_terminated:
      return "child ended";
    case report_context::shutdown_error:
      return "child did not stop well";
    case report_context::shutdown:
      return "supervisor gives up";
    case report_context::progress:
      return "child started";
    case report_context::ended:
      return "child stopped";
  }
  return "child";
}

void write(const supervisor_report& report) {
  const auto level = level_of(report);
  if (!logs(level))
    return;
  if (report.context == report_context::progress) {
    log_event(level, event_of(report.context),
              {{"supervisor", report.supervisor}, {"child", report.child}, {"instance", report.instance}});
    return;
  }
  log_event(level, event_of(report.context),
            {{"supervisor", report.supervisor},
             {"context", to_string(report.context)},
             {"child", report.child},
             {"code", to_string(report.reason.code)},
             {"reason", report.reason.message()},
             {"instance", report.instance},
             {"restart", to_string(report.restart)},
             {"shutdown", to_string(report.shutdown)},
             {"type", to_string(report.type)}});
}

std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return text;
}

}  // namespace

std::string_view to_string(report_context context) noexcept {
  switch (context) {
    case report_context::start_error:
      return "start_error";
    case report_context::child_terminated:
      return "child_terminated";
    case report_context::shutdown_error:
      return "shutdown_error";
    case report_context::shutdown:
      return "shutdown";
    case report_context::progress:
      return "progress";
    case report_context::ended:
      return "ended";
  }
  return "unknown";
}

std::string to_string(const supervisor_report& report) {
  return on_one_line(
      "supervisor=" + shortened(report.supervisor, longest_report_text) +
      " context=" + std::string{to_string(report.context)} + " child=" + shortened(report.child, longest_report_text) +
      " instance=" + std::to_string(report.instance) + " restart=" + std::string{to_string(report.restart)} +
      " shutdown=" + to_string(report.shutdown) + " type=" + std::string{to_string(report.type)} + " reason=" +
      std::string{to_string(report.reason.code)} + ": " + shortened(report.reason.message(), 2 * longest_report_text));
}

void publish(supervisor_report report, const report_sink& sink) {
  for (auto* text : {&report.supervisor, &report.child, &report.reason.cause, &report.reason.remedy})
    if (text->size() > longest_report_text)
      *text = shortened(*text, longest_report_text);
  write(report);
  if (!sink)
    return;
  try {
    sink(report);
  } catch (const std::exception& e) {
    log_event(spdlog::level::err, "report sink failed", {{"supervisor", report.supervisor}, {"reason", e.what()}});
  } catch (...) {
    log_event(spdlog::level::err, "report sink failed", {{"supervisor", report.supervisor}, {"reason", "unknown"}});
  }
}

}  // namespace troupe
