#include "actors/gateway/grpc/log_settings.hpp"

#include "actors/concurrency/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace troupe {
namespace {

using spdlog::level::level_enum;

/// Changes as a client would send them.
struct changes {
  changes& turn(const std::string& name, bool on) {
    settings[name].set_bool_param(on);
    return *this;
  }

  changes& verbosity(std::uint32_t level) {
    settings["log_verbose_level"].set_uint32_param(level);
    return *this;
  }

  changes& text(const std::string& name, const std::string& value) {
    settings[name].set_string_param(value);
    return *this;
  }

  /// The level afterwards; nothing when they were refused.
  std::optional<level_enum> on(level_enum level) const {
    const auto changed = changed_level(level, settings);
    return changed ? std::optional{*changed} : std::nullopt;
  }

  status_code code() const { return changed_level(spdlog::level::info, settings).error().code; }

  log_changes settings;
};

TEST(log_settings, without_changes_the_level_stays) {
  for (const auto level : {spdlog::level::trace, spdlog::level::warn, spdlog::level::off})
    EXPECT_EQ(changes{}.on(level), level);
}

TEST(log_settings, verbosity_is_debug_and_trace) {
  EXPECT_EQ(changes{}.verbosity(1).on(spdlog::level::info), spdlog::level::debug);
  EXPECT_EQ(changes{}.verbosity(1).on(spdlog::level::off), spdlog::level::debug);
  EXPECT_EQ(changes{}.verbosity(1).on(spdlog::level::trace), spdlog::level::debug);
  EXPECT_EQ(changes{}.verbosity(2).on(spdlog::level::info), spdlog::level::trace);
  EXPECT_EQ(changes{}.verbosity(4'000'000'000).on(spdlog::level::info), spdlog::level::trace);
  EXPECT_EQ(changes{}.verbosity(0).on(spdlog::level::trace), spdlog::level::info);
  EXPECT_EQ(changes{}.verbosity(0).on(spdlog::level::err), spdlog::level::err);
}

TEST(log_settings, what_is_on_brings_along_what_is_more_serious) {
  EXPECT_EQ(changes{}.turn("log_info", true).on(spdlog::level::off), spdlog::level::info);
  EXPECT_EQ(changes{}.turn("log_info", true).on(spdlog::level::debug), spdlog::level::debug);
  EXPECT_EQ(changes{}.turn("log_info", false).on(spdlog::level::trace), spdlog::level::warn);
  EXPECT_EQ(changes{}.turn("log_warning", false).on(spdlog::level::info), spdlog::level::err);
  EXPECT_EQ(changes{}.turn("log_error", false).on(spdlog::level::info), spdlog::level::critical);
  EXPECT_EQ(changes{}.turn("log_error", false).on(spdlog::level::off), spdlog::level::off);
  EXPECT_EQ(changes{}.turn("log_error", true).on(spdlog::level::off), spdlog::level::err);
  EXPECT_EQ(changes{}.turn("log_info", false).turn("log_warning", true).on(spdlog::level::off), spdlog::level::warn);
}

TEST(log_settings, refuses_what_no_level_does) {
  EXPECT_EQ(changes{}.turn("log_info", true).turn("log_error", false).code(), status_code::invalid_argument);
  EXPECT_EQ(changes{}.turn("log_info", false).verbosity(1).code(), status_code::invalid_argument);
}

TEST(log_settings, refuses_unknown_settings_and_wrong_types) {
  EXPECT_EQ(changes{}.turn("log_warnings", true).code(), status_code::invalid_argument);
  EXPECT_EQ(changes{}.turn("log_verbose_level", true).code(), status_code::invalid_argument);
  EXPECT_EQ(changes{}.text("log_info", "true").code(), status_code::invalid_argument);
  EXPECT_EQ(changes{}.turn("log_file", true).code(), status_code::invalid_argument);
  changes none;
  none.settings["log_error"];
  EXPECT_EQ(none.code(), status_code::invalid_argument);
}

TEST(log_settings, leaves_file_and_format_as_they_are) {
  EXPECT_EQ(changes{}.text("log_file", "").text("log_format", "text").on(spdlog::level::err), spdlog::level::err);
  EXPECT_EQ(changes{}.text("log_file", "/tmp/log").code(), status_code::unimplemented);
  EXPECT_EQ(changes{}.text("log_format", "ISO8601").code(), status_code::unimplemented);
}

TEST(log_settings, describes_each_level) {
  const auto before = log_level();
  const auto described = [](level_enum level) {
    spdlog::set_level(level);
    inference::LogSettingsResponse response;
    describe_log(response);
    const auto& settings = response.settings();
    EXPECT_EQ(settings.at("log_file").string_param(), "");
    EXPECT_EQ(settings.at("log_format").string_param(), "text");
    return std::tuple{settings.at("log_error").bool_param(), settings.at("log_warning").bool_param(),
                      settings.at("log_info").bool_param(), settings.at("log_verbose_level").uint32_param()};
  };
  EXPECT_EQ(described(spdlog::level::off), std::tuple(false, false, false, 0u));
  EXPECT_EQ(described(spdlog::level::critical), std::tuple(false, false, false, 0u));
  EXPECT_EQ(described(spdlog::level::err), std::tuple(true, false, false, 0u));
  EXPECT_EQ(described(spdlog::level::warn), std::tuple(true, true, false, 0u));
  EXPECT_EQ(described(spdlog::level::info), std::tuple(true, true, true, 0u));
  EXPECT_EQ(described(spdlog::level::debug), std::tuple(true, true, true, 1u));
  EXPECT_EQ(described(spdlog::level::trace), std::tuple(true, true, true, 2u));
  spdlog::set_level(before);
}

}  // namespace
}  // namespace troupe
