#include "skillsets/text_generation/schema_check.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace troupe {
namespace {

std::string problem(const std::string& schema) {
  const auto parsed = parse_json(schema);
  if (!parsed)
    return parsed.error().cause;
  const auto kept = check_schema(*parsed);
  return kept ? "" : kept.error().cause;
}

TEST(schema_check, allows_what_a_text_can_be_held_to) {
  for (
      const auto* schema : {
          R"({})",
          R"({"type":"object"})",
          R"({"type":"object","properties":{"a":{"type":"integer","minimum":1,"maximum":9},"b":{"type":["string","null"]}},
               "required":["a"],"additionalProperties":false,"title":"T","description":"d"})",
          R"({"type":"array","items":{"type":"string","minLength":1,"maxLength":8},"minItems":1,"maxItems":3})",
          R"({"type":"array","prefixItems":[{"type":"number"},{"type":"boolean"}],"minItems":2,"maxItems":2})",
          R"({"enum":["a",1,null]})",
          R"({"const":{"a":[1]}})",
          R"({"type":"string","format":"date-time"})",
          R"({"type":"string","pattern":"^[a-z]+$"})",
          R"({"anyOf":[{"type":"string"},{"type":"integer"}]})",
          R"({"oneOf":[{"type":"string"},{"type":"integer"}]})",
          R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},
                        {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})",
          R"({"$defs":{"node":{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},
               "required":["next"]}},"$ref":"#/$defs/node"})",
      })
    EXPECT_EQ(problem(schema), "") << schema;
}

TEST(schema_check, names_the_place_and_the_word) {
  const std::pair<const char*, const char*> wrong[]{
      {R"({"type":"number","minimum":1})", "#/minimum"},
      {R"({"type":"number","multipleOf":2})", "#/multipleOf"},
      {R"({"type":"object","minProperties":1})", "#/minProperties"},
      {R"({"type":"object","properties":{"a":{"not":{}}}})", "#/properties/a/not"},
      {R"({"type":"object","properties":{},"required":["a"]})", "#/required"},
      {R"({"type":"array","uniqueItems":true})", "#/uniqueItems"},
      {R"({"type":"array","items":{},"prefixItems":[{}]})", "#/items"},
      {R"({"type":"array","minItems":3,"maxItems":2})", "#/maxItems"},
      {R"({"type":"array","minItems":100000})", "#/minItems"},
      {R"({"type":"string","format":"email"})", "#/format"},
      {R"({"type":"string","pattern":"^a$","maxLength":3})", "one of pattern, format"},
      {R"({"type":"string","pattern":".*"})", "#/pattern"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "allows no number"},
      {R"({"type":"integer","minimum":5,"exclusiveMinimum":4})", "a bound twice"},
      {R"({"type":"integer","minimum":1.5})", "#/minimum"},
      {R"({"type":"frob"})", "#/type"},
      {R"({"type":[]})", "#/type"},
      {R"({"type":"string","enum":["a",1]})", "has a value"},
      {R"({"enum":[]})", "#/enum"},
      {R"({"allOf":[{"type":"string"}]})", "#/allOf"},
      {R"({"anyOf":[{"type":"string"}],"type":"string"})", "#/type"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "#/oneOf"},
      {R"({"$ref":"https://example.com/s.json"})", "#/$ref"},
      {R"({"$ref":"#/$defs/none"})", "#/$ref"},
      {R"({"properties":{"a":true}})", "#/properties/a"},
      {R"({"type":"object","additionalProperties":{"type":"number","maximum":1}})", "#/additionalProperties/maximum"},
      {R"([])", "no JSON object"},
  };
  for (const auto& [schema, why] : wrong)
    EXPECT_NE(problem(schema).find(why), std::string::npos) << schema << ": " << problem(schema);
}

TEST(schema_check, bounds_depth_and_size) {
  std::string deep = R"({"type":"string"})";
  for (int i = 0; i != 100; ++i)
    deep = R"({"type":"array","items":)" + deep + "}";
  EXPECT_NE(problem(deep).find("nested deeper"), std::string::npos);
  std::string wide;
  for (int i = 0; i != 3000; ++i)
    wide += (i ? "," : "") + std::string{R"({"type":"string"})"};
  EXPECT_NE(problem(R"({"anyOf":[)" + wide + "]}").find("one schema more"), std::string::npos);
}

}  // namespace
}  // namespace troupe
