#include "actors/gateway/http/openai/api_error.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace troupe::openai {
namespace {

using namespace std::chrono_literals;

TEST(api_error, has_the_status_of_its_code) {
  const std::pair<status_code, int> known[] = {{status_code::cancelled, 499},
                                               {status_code::unknown, 500},
                                               {status_code::invalid_argument, 400},
                                               {status_code::deadline_exceeded, 408},
                                               {status_code::not_found, 404},
                                               {status_code::already_exists, 409},
                                               {status_code::permission_denied, 403},
                                               {status_code::resource_exhausted, 429},
                                               {status_code::failed_precondition, 422},
                                               {status_code::aborted, 409},
                                               {status_code::out_of_range, 400},
                                               {status_code::unimplemented, 501},
                                               {status_code::internal, 500},
                                               {status_code::unavailable, 503},
                                               {status_code::data_loss, 500},
                                               {status_code::unauthenticated, 401}};
  for (const auto& [code, status] : known)
    EXPECT_EQ(to_api_error(make_error(code, "x")).status, status) << to_string(code);
}

TEST(api_error, names_the_parameter) {
  const auto wrong = to_api_error(make_error(status_code::invalid_argument, "parameter 'n' is -1", "give more"));
  EXPECT_EQ(write_document(wrong.body()),
            R"({"error":{"message":"parameter 'n' is -1; give more","type":"invalid_request_error",)"
            R"("param":"n","code":"invalid_value"}})");
  const auto unknown = to_api_error(make_error(status_code::unimplemented, "parameter 'x' is unknown"));
  EXPECT_EQ(unknown.status, 400) << "it is the client's mistake";
  EXPECT_EQ(unknown.code, "unsupported_parameter");
}

TEST(api_error, names_the_parameter_as_the_client_knows_it) {
  const field_names names{{"json_schema", "response_format.json_schema.schema"}, {"text_input", "messages"}};
  const auto wrong =
      to_api_error(make_error(status_code::invalid_argument, "parameter 'json_schema' is no schema"), names);
  EXPECT_EQ(wrong.param, "response_format.json_schema.schema");
  EXPECT_EQ(wrong.message, "parameter 'response_format.json_schema.schema' is no schema");
  const auto too_long = to_api_error(make_error(status_code::out_of_range, "the prompt is too long"), names);
  EXPECT_EQ(too_long.status, 400);
  EXPECT_EQ(too_long.param, "messages");
  EXPECT_EQ(too_long.code, "context_length_exceeded");
}

TEST(api_error, without_a_parameter_says_null) {
  EXPECT_EQ(write_document(to_api_error(make_error(status_code::internal, "it broke")).body()),
            R"({"error":{"message":"it broke","type":"server_error","param":null,"code":null}})");
  EXPECT_EQ(to_api_error(make_error(status_code::invalid_argument, "parameter 'n")).param, "");
  EXPECT_EQ(to_api_error(make_error(status_code::invalid_argument, "parameter 'n'")).param, "");
}

TEST(api_error, says_when_to_try_again) {
  auto full = make_error(status_code::resource_exhausted, "full");
  EXPECT_TRUE(to_api_error(full).headers().empty());
  full.retry_after = 1200ms;
  const std::vector<std::pair<std::string, std::string>> expected{{"Retry-After", "2"}, {"retry-after-ms", "1200"}};
  EXPECT_EQ(to_api_error(full).headers(), expected);
  EXPECT_EQ(to_api_error(full).code, "rate_limit_exceeded");
  EXPECT_EQ(to_api_error(full).type, "rate_limit_error");
  EXPECT_EQ(to_api_error(make_error(status_code::unavailable, "loading")).headers().front().second, "1");
}

TEST(api_error, of_the_server_keeps_its_status) {
  const auto big = to_api_error(413, make_error(status_code::resource_exhausted, "the body is too large"));
  EXPECT_EQ(big.status, 413);
  EXPECT_EQ(big.type, "invalid_request_error");
  EXPECT_EQ(big.code, "");
  const auto key = to_api_error(401, make_error(status_code::unauthenticated, "there is no such key"));
  EXPECT_EQ(key.code, "invalid_api_key");
}

}  // namespace
}  // namespace troupe::openai
