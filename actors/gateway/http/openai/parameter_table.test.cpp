#include "actors/gateway/http/openai/parameter_table.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace troupe::openai {
namespace {

using names = std::set<std::string>;

names rules_of(parameter_table table, treatment how) {
  names result;
  for (const auto& rule : table)
    if (rule.how == how)
      result.emplace(rule.name);
  return result;
}

/// What docs/openai-api.md says: by endpoint and first cell of the row, the names in its second cell.
std::map<std::string, std::map<std::string, names>> documented() {
  std::map<std::string, std::map<std::string, names>> result;
  std::ifstream file{TROUPE_OPENAI_DOC};
  const std::regex heading{"^### `POST (.*)`$"}, row{"^\\| (taken|no effect|refused) \\| (.*) \\|$"},
      name{"`([a-z_]+)`"};
  std::string line, endpoint;
  for (std::smatch found; std::getline(file, line);) {
    if (std::regex_match(line, found, heading))
      endpoint = found[1];
    if (!std::regex_match(line, found, row))
      continue;
    const auto how = found[1].str(), cell = found[2].str();
    // What stands in parentheses are values.
    const auto plain = std::regex_replace(cell, std::regex{"\\([^)]*\\)"}, "");
    for (std::sregex_iterator i{plain.begin(), plain.end(), name}, end; i != end; ++i)
      EXPECT_TRUE(result[endpoint][how].insert((*i)[1]).second) << endpoint << " has " << (*i)[1] << " twice";
  }
  return result;
}

TEST(parameter_table, is_the_documented_one) {
  const auto docs = documented();
  const std::map<std::string, parameter_table> tables{{"/v1/chat/completions", chat_parameters},
                                                      {"/v1/completions", completion_parameters},
                                                      {"/v1/embeddings", embedding_parameters},
                                                      {"/v1/responses", response_parameters}};
  for (const auto& [endpoint, table] : tables) {
    ASSERT_TRUE(docs.contains(endpoint)) << endpoint;
    auto said = docs.at(endpoint);
    EXPECT_EQ(said["taken"], rules_of(table, treatment::taken)) << endpoint;
    EXPECT_EQ(said["no effect"], rules_of(table, treatment::no_effect)) << endpoint;
    EXPECT_EQ(said["refused"], rules_of(table, treatment::refused)) << endpoint;
  }
}

TEST(parameter_table, refuses_what_it_does_not_know) {
  EXPECT_TRUE(check_parameters({{"model", "m"}, {"user", "u"}, {"audio", nullptr}, {"x", nullptr}}, chat_parameters));
  auto refused = check_parameters({{"model", "m"}, {"temprature", 1}}, chat_parameters);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, status_code::unimplemented);
  EXPECT_EQ(refused.error().cause, "parameter 'temprature' is unknown");
  refused = check_parameters({{"functions", 1}}, chat_parameters);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "parameter 'functions' is not supported here; use tools and tool_choice");
}

}  // namespace
}  // namespace troupe::openai
