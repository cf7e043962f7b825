#include "apps/troupe/exit_code.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace troupe::cli {
namespace {

using testing::HasSubstr;

constexpr auto last_code = static_cast<int>(status_code::unauthenticated);

TEST(exit_code, follows_from_the_status) {
  EXPECT_EQ(exit_code_of(status_code::ok), exit_code::success);
  EXPECT_EQ(exit_code_of(status_code::invalid_argument), exit_code::data);
  EXPECT_EQ(exit_code_of(status_code::out_of_range), exit_code::data);
  EXPECT_EQ(exit_code_of(status_code::not_found), exit_code::not_found);
  EXPECT_EQ(exit_code_of(status_code::unavailable), exit_code::unavailable);
  EXPECT_EQ(exit_code_of(status_code::internal), exit_code::software);
  EXPECT_EQ(exit_code_of(status_code::unknown), exit_code::software);
  EXPECT_EQ(exit_code_of(status_code::data_loss), exit_code::software);
  EXPECT_EQ(exit_code_of(status_code::already_exists), exit_code::already_exists);
  EXPECT_EQ(exit_code_of(status_code::resource_exhausted), exit_code::try_again);
  EXPECT_EQ(exit_code_of(status_code::aborted), exit_code::try_again);
  EXPECT_EQ(exit_code_of(status_code::unimplemented), exit_code::unimplemented);
  EXPECT_EQ(exit_code_of(status_code::permission_denied), exit_code::permission);
  EXPECT_EQ(exit_code_of(status_code::unauthenticated), exit_code::permission);
  EXPECT_EQ(exit_code_of(status_code::failed_precondition), exit_code::precondition);
  EXPECT_EQ(exit_code_of(status_code::deadline_exceeded), exit_code::deadline);
  EXPECT_EQ(exit_code_of(status_code::cancelled), exit_code::cancelled);
}

TEST(exit_code, no_failure_looks_like_success) {
  // 17 and more are codes that a newer gRPC could have.
  for (int code = 1; code <= 0xFF; ++code)
    EXPECT_NE(exit_code_of(static_cast<status_code>(code)), exit_code::success) << code;
  EXPECT_EQ(exit_code_of(static_cast<status_code>(last_code + 1)), exit_code::software);
}

TEST(exit_code, numbers_are_those_of_sysexits_timeout_and_shells) {
  EXPECT_EQ(static_cast<int>(exit_code::usage), 64);
  EXPECT_EQ(static_cast<int>(exit_code::data), 65);
  EXPECT_EQ(static_cast<int>(exit_code::unavailable), 69);
  EXPECT_EQ(static_cast<int>(exit_code::software), 70);
  EXPECT_EQ(static_cast<int>(exit_code::output), 74);
  EXPECT_EQ(static_cast<int>(exit_code::try_again), 75);
  EXPECT_EQ(static_cast<int>(exit_code::permission), 77);
  EXPECT_EQ(static_cast<int>(exit_code::deadline), 124);
  EXPECT_EQ(static_cast<int>(exit_code::cancelled), 128 + 2);
  EXPECT_EQ(static_cast<int>(exit_code::terminated), 128 + 15);
}

TEST(exit_code, each_is_described_on_a_line_of_its_own) {
  std::istringstream text{describe_exit_codes()};
  std::string line;
  std::getline(text, line);
  EXPECT_EQ(line, "Exit codes:");
  std::set<int> described;
  int previous = -1;
  while (std::getline(text, line)) {
    std::istringstream words{line};
    int code = 0;
    std::string meaning;
    ASSERT_TRUE(words >> code >> meaning) << line;
    EXPECT_GT(code, previous) << "in ascending order";
    EXPECT_LE(line.size(), 80u) << line;
    previous = code;
    described.insert(code);
  }
  for (int code = 0; code <= last_code; ++code)
    EXPECT_TRUE(described.count(static_cast<int>(exit_code_of(static_cast<status_code>(code))))) << code;
  for (const auto code : {exit_code::usage, exit_code::output, exit_code::terminated})
    EXPECT_TRUE(described.count(static_cast<int>(code))) << static_cast<int>(code);
}

TEST(exit_code, the_description_has_every_status_name_on_its_code) {
  std::istringstream text{describe_exit_codes()};
  for (std::string line; std::getline(text, line);)
    for (int code = 1; code <= last_code; ++code) {
      const auto status = static_cast<status_code>(code);
      if (line.find(" " + std::string{to_string(status)}) != std::string::npos) {
        EXPECT_THAT(line, HasSubstr(" " + std::to_string(static_cast<int>(exit_code_of(status))) + " "));
      }
    }
  for (int code = 1; code <= last_code; ++code)
    EXPECT_THAT(describe_exit_codes(), HasSubstr(std::string{to_string(static_cast<status_code>(code))}));
}

}  // namespace
}  // namespace troupe::cli
