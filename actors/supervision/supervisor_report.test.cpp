#include "actors/supervision/supervisor_report.hpp"

#include "actors/concurrency/log.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace troupe {
namespace {

/// What the log of a fresh process would say of a child that didn't start.
std::string logged(error why) {
  spdlog::drop("troupe");
  testing::internal::CaptureStderr();
  start_log(log_format::text, spdlog::level::info);
  publish({.supervisor = "models", .context = report_context::start_error, .reason = std::move(why), .child = "bert"},
          {});
  spdlog::drop("troupe");
  return testing::internal::GetCapturedStderr();
}

TEST(supervisor_report, a_start_that_was_taken_back_is_no_error) {
  cancel_scope scope;
  scope.cancel();
  EXPECT_EQ(logged(scope.token().reason()), "");
}

TEST(supervisor_report, a_start_that_failed_or_took_too_long_is_one) {
  cancel_scope scope{steady_clock::time_point::min()};
  EXPECT_NE(logged(scope.token().reason()).find("child failed to start"), std::string::npos);
  EXPECT_NE(logged(make_error(status_code::cancelled, "by itself")).find("child failed to start"), std::string::npos);
}

}  // namespace
}  // namespace troupe
