#include "actors/concurrency/log.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace troupe {
namespace {

/// What a fresh process would write to its log.
std::string lines(log_format format, const std::function<void()>& work) {
  spdlog::drop("troupe");
  testing::internal::CaptureStderr();
  start_log(format, spdlog::level::info);
  work();
  spdlog::drop("troupe");
  return testing::internal::GetCapturedStderr();
}

std::string without_time(const std::string& line) {
  return line.size() > 24 ? line.substr(24) : line;
}

TEST(log, writes_text_for_people) {
  const auto text = lines(log_format::text, [] {
    log_event(spdlog::level::info, "request", {{"id", "r 1"}, {"model", "m"}, {"ms", 1.25}, {"n", 3}, {"none", ""}});
  });
  EXPECT_EQ(without_time(text), "info    request id=\"r 1\" model=m ms=1.250 n=3 none=\"\"\n");
}

TEST(log, writes_json_for_machines) {
  const auto text = lines(log_format::json, [] {
    log_event(spdlog::level::err, "request",
              {{"id", "a\"b\\"}, {"n", -3}, {"x", std::numeric_limits<double>::infinity()}});
  });
  const auto level = text.find("\"level\"");
  ASSERT_NE(level, std::string::npos) << text;
  EXPECT_EQ(text.substr(level),
            "\"level\":\"error\",\"event\":\"request\",\"id\":\"a\\\"b\\\\\",\"n\":-3,\"x\":null}\n");
  EXPECT_EQ(text.rfind("{\"time\":\"", 0), 0u);
}

TEST(log, changes_its_level_and_says_so) {
  const auto text = lines(log_format::text, [] {
    EXPECT_EQ(log_level(), spdlog::level::info);
    set_log_level(spdlog::level::info);
    set_log_level(spdlog::level::debug);
    EXPECT_TRUE(logs(spdlog::level::debug));
    EXPECT_FALSE(logs(spdlog::level::trace));
    set_log_level(spdlog::level::off);
    log_event(spdlog::level::err, "unheard");
    set_log_level(spdlog::level::trace);
  });
  std::istringstream stream{text};
  std::vector<std::string> said;
  for (std::string line; std::getline(stream, line);)
    said.push_back(without_time(line));
  EXPECT_EQ(said, (std::vector<std::string>{"info    log level changed from=info to=debug",
                                            "info    log level changed from=debug to=off",
                                            "info    log level changed from=off to=trace"}));
}

TEST(log, no_value_can_forge_a_line) {
  for (const auto format : {log_format::text, log_format::json}) {
    const auto text = lines(format, [] {
      log_event(spdlog::level::warn, "request", {{"id", "x\n2026 info    fake\r\t\x1b[31m"}});
    });
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
    EXPECT_EQ(text.find('\r'), std::string::npos);
    EXPECT_NE(text.find("\\u001b[31m"), std::string::npos) << text;
  }
}

TEST(log, no_value_can_fill_the_disk) {
  for (const auto format : {log_format::text, log_format::json}) {
    const auto text = lines(format, [] {
      log_event(spdlog::level::warn, "request", {{"id", std::string(1 << 20, 'x')}});
    });
    EXPECT_LT(text.size(), 2048u);
    EXPECT_NE(text.find("x…"), std::string::npos);
  }
}

TEST(log, leaves_out_what_is_below_its_level) {
  EXPECT_EQ(lines(log_format::text,
                  [] {
                    EXPECT_FALSE(logs(spdlog::level::debug));
                    EXPECT_TRUE(logs(spdlog::level::info));
                    log_event(spdlog::level::debug, "quiet");
                  }),
            "");
}

}  // namespace
}  // namespace troupe
