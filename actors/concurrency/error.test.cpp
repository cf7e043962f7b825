#include "actors/concurrency/error.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace troupe {
namespace {

TEST(error, spells_codes_as_grpc_does) {
  EXPECT_EQ(to_string(status_code::ok), "OK");
  EXPECT_EQ(to_string(status_code::deadline_exceeded), "DEADLINE_EXCEEDED");
  EXPECT_EQ(to_string(status_code::unauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(to_string(static_cast<status_code>(200)), "UNKNOWN");
}

TEST(error, puts_cause_and_remedy_in_one_line) {
  const auto e = make_error(status_code::not_found, "model 'x' is not known", "see RepositoryIndex");
  EXPECT_EQ(to_string(e), "NOT_FOUND: model 'x' is not known; see RepositoryIndex");
  EXPECT_EQ(make_error(status_code::internal, "broken").message(), "broken");
}

TEST(shortened, keeps_what_fits_and_whole_characters) {
  EXPECT_EQ(shortened("abc", 3), "abc");
  EXPECT_EQ(shortened("abcd", 3), "abc…");
  EXPECT_EQ(shortened("aüb", 2), "a…");
  EXPECT_EQ(shortened("aüb", 3), "aü…");
  EXPECT_EQ(shortened("\x80\x80\x80", 2), "…");
}

TEST(expected, carries_a_value_or_an_error) {
  expected<std::unique_ptr<int>> value{std::make_unique<int>(7)};
  ASSERT_TRUE(value);
  EXPECT_EQ(**value, 7);
  const auto taken = *std::move(value);
  EXPECT_EQ(*taken, 7);
  const expected<int> failed{make_error(status_code::internal, "no")};
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().cause, "no");
}

TEST(expected, may_carry_nothing) {
  EXPECT_TRUE(expected<void>{});
  const expected<void> failed{make_error(status_code::aborted, "gone")};
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, status_code::aborted);
}

}  // namespace
}  // namespace troupe
