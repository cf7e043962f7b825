#include "skillsets/text_generation/pattern_check.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(pattern_check, allows_what_a_text_can_be_held_to) {
  for (const auto* pattern : {"^abc$", "^[a-z0-9_]+$", "^(red|green|blue)$", "^[0-9]{4}-[0-9]{2}$", "^(?:a|b){2,}$",
                              "^a?b*c+$", "^[A-Z]{1,3}(-[0-9]{1,4})?$", "^[+]?[0-9]{3}$", "^a\\.b$", "^$"})
    EXPECT_EQ(pattern_problem(pattern), "") << pattern;
}

TEST(pattern_check, says_what_is_wrong) {
  const std::pair<const char*, const char*> wrong[]{
      {"abc", "not anchored"},
      {"^a|b$", "outside of a group"},
      {"^a.b$", "'.'"},
      {"^\\d+$", "\\d"},
      {"^[^a]$", "negated"},
      {"^(a$", "not closed"},
      {"^a)$", "too many"},
      {"^(?=a)b$", "of a kind"},
      {"^a{2$", "begins no repetition"},
      {"^a{3,2}$", "begins no"},
      {"^a{9999}$", "begins no"},
      {"^*a$", "'*'"},
      {"^a++$", "two quantifiers"},
      {"^[\"]$", "can't be held to"},
      {"^\xC3\xA9$", "where a character"},
      {"^ab\\.?$", "an escaped"},
      {"^[z-a]$", "range"},
      {"^\\", "not anchored"},
      {"^[a-$", "not closed"},
      {"^\"$", "where a character"},
  };
  for (const auto& [pattern, why] : wrong)
    EXPECT_NE(pattern_problem(pattern).find(why), std::string::npos) << pattern << ": " << pattern_problem(pattern);
}

TEST(pattern_check, refuses_what_explodes) {
  for (const auto* pattern : {"^(a+)+$", "^(a*)*$", "^(a?){50}$", "^((a{50}){50}){50}$", "^(a|b*)+$", "^([a-z]+,)*$"})
    EXPECT_NE(pattern_problem(pattern), "") << pattern;
  EXPECT_NE(pattern_problem("^" + std::string(40, '(') + "a" + std::string(40, ')') + "$"), "");
  EXPECT_NE(pattern_problem("^" + std::string(5000, 'a') + "$"), "");
}

}  // namespace
}  // namespace troupe
