#include "apps/troupe/toml_edit.hpp"

#include <gtest/gtest.h>

namespace troupe::cli {
namespace {

constexpr const char* text = R"(# A model.
skillset = "x"  # who
instances = 2   # copies

[batching]      # how
max_batch = 4
note = "a # b"

[queue]
instances = 7
)";

TEST(toml_edit, replaces_a_value_and_nothing_else) {
  EXPECT_EQ(set_toml_value("a = 1\nb = 2\n", "a", "10"), "a = 10\nb = 2\n");
  const auto edited = set_toml_value(text, "instances", "31");
  EXPECT_NE(edited.find("\ninstances = 31  # copies\n"), std::string::npos) << edited;
  EXPECT_NE(edited.find("[queue]\ninstances = 7\n"), std::string::npos) << "another table's";
  EXPECT_EQ(set_toml_value(edited, "instances", "2"), text);
}

TEST(toml_edit, finds_a_table_by_its_header) {
  const auto edited = set_toml_value(text, "batching.max_batch", "16");
  EXPECT_NE(edited.find("[batching]      # how\nmax_batch = 16\n"), std::string::npos) << edited;
  EXPECT_EQ(set_toml_value("[ t ]\nk=1#c\n", "t.k", "2"), "[ t ]\nk= 2 #c\n");
}

TEST(toml_edit, keeps_a_hash_that_is_no_comment) {
  EXPECT_EQ(set_toml_value("k = \"a # b\" # c\n", "k", "1"), "k = 1       # c\n");
  EXPECT_EQ(set_toml_value("k = 'a # b'\n", "k", "1"), "k = 1\n");
  EXPECT_EQ(set_toml_value("k = \"\\\" #\"\n", "k", "1"), "k = 1\n");
}

TEST(toml_edit, puts_in_what_is_not_there) {
  EXPECT_EQ(set_toml_value("", "a", "1"), "a = 1\n");
  EXPECT_EQ(set_toml_value("a = 1\n\n[t]\nb = 2\n", "threads", "2"), "a = 1\nthreads = 2\n\n[t]\nb = 2\n");
  EXPECT_EQ(set_toml_value("a = 1\n\n[t]\nb = 2\n\n[u]\n", "t.c", "3"), "a = 1\n\n[t]\nb = 2\nc = 3\n\n[u]\n");
  EXPECT_EQ(set_toml_value("a = 1", "t.c", "3"), "a = 1\n\n[t]\nc = 3\n");
}

}  // namespace
}  // namespace troupe::cli
