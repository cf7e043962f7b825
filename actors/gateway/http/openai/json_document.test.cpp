#include "actors/gateway/http/openai/json_document.hpp"

#include <gtest/gtest.h>
#include <utf8cpp/utf8.h>

namespace troupe::openai {
namespace {

using namespace std::string_literals;

std::string refusal(std::string_view body) {
  const auto document = read_document(body);
  EXPECT_FALSE(document) << body.substr(0, 100);
  if (document)
    return "";
  EXPECT_EQ(document.error().code, status_code::invalid_argument);
  EXPECT_TRUE(utf8::is_valid(document.error().cause)) << "as clients and logs need it";
  return document.error().cause;
}

std::string nested(std::size_t levels) {
  return R"({"a":)" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
}

TEST(json_document, keeps_the_order_of_members) {
  const auto document = read_document(R"({"z":1,"a":{"y":[true,null,"x",-2,0.5,18446744073709551615]}})");
  ASSERT_TRUE(document);
  EXPECT_EQ(write_document(*document), R"({"z":1,"a":{"y":[true,null,"x",-2,0.5,18446744073709551615]}})");
}

TEST(json_document, is_one_object) {
  EXPECT_EQ(refusal(""), "the request has no body");
  EXPECT_EQ(refusal("[]"), "the body is no JSON object");
  EXPECT_EQ(refusal("7"), "the body is no JSON object");
  EXPECT_EQ(refusal("null"), "the body is no JSON object");
  for (const auto* body : {" ", "{", "{}{}", "{]", R"({"a":})", R"({"a":1,})", R"({a:1})", R"({"a":NaN})",
                           R"({"a":01})", R"({"a":"x)", "{\"a\":\"\n\"}", R"({"a":1} x)"})
    EXPECT_TRUE(refusal(body).starts_with("the body is no JSON: ")) << body;
  EXPECT_EQ(refusal("{\"a\":\n  nil}").substr(0, 55), "the body is no JSON: parse error at line 2, column 4: s");
}

TEST(json_document, has_text_that_is_unicode) {
  EXPECT_TRUE(read_document("{\"a\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x8e\xad\",\"b\":\"\\ud83c\\udfad\"}"));
  for (const auto& body :
       {"{\"a\":\"\xff\"}"s, "{\"a\":\"\xc3\"}"s, "{\"a\":\"\xc0\x80\"}"s, "{\"a\":\"\xed\xa0\x80\"}"s,
        R"({"a":"\ud83c"})"s, R"({"a":"\udfad\ud83c"})"s, "{\"\xff\":1}"s, "{\"a\":\"\0\"}"s})
    EXPECT_TRUE(refusal(body).starts_with("the body is no JSON: ")) << body;
}

TEST(json_document, has_numbers_that_a_double_holds) {
  EXPECT_TRUE(read_document(R"({"a":1e308,"b":123456789012345678901234567890})"));
  EXPECT_FALSE(refusal(R"({"a":1e400})").empty());
  EXPECT_FALSE(refusal(R"({"a":-1e400})").empty());
}

TEST(json_document, is_not_too_deep) {
  EXPECT_TRUE(read_document(nested(most_levels)));
  EXPECT_EQ(refusal(nested(most_levels + 1)), "the body is nested more than 128 levels deep");
  EXPECT_EQ(refusal(R"({"a":)" + std::string(1'000'000, '[')), "the body is nested more than 128 levels deep");
}

TEST(json_document, says_nothing_twice) {
  EXPECT_EQ(refusal(R"({"b":1,"a":1,"b":2})"), "the body has the member 'b' twice in one object");
  EXPECT_EQ(refusal(R"({"x":[{"a":1,"\u0061":1}]})"), "the body has the member 'a' twice in one object");
  EXPECT_TRUE(read_document(R"({"a":{"a":{"a":1}},"b":{"a":1}})"));
}

TEST(json_document, of_many_members_is_read_in_no_time) {
  std::string body = "{";
  for (int i = 0; i != 200'000; ++i)
    body += '"' + std::to_string(i) + "\":0,";
  body.back() = '}';
  const auto document = read_document(body);
  ASSERT_TRUE(document);
  EXPECT_EQ(document->size(), 200'000u);
}

TEST(json_document, is_written_though_a_model_wrote_it) {
  EXPECT_EQ(write_document("a\xff"), "\"a\xef\xbf\xbd\"");
}

}  // namespace
}  // namespace troupe::openai
