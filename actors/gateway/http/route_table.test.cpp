#include "actors/gateway/http/route_table.hpp"

#include <gtest/gtest.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <stdexcept>

namespace troupe {
namespace {

struct route_table_test : testing::Test {
  void add(const std::string& method, const std::string& pattern) {
    routes.add(method, pattern, [this, name = method + " " + pattern](http_exchange&) -> boost::asio::awaitable<void> {
      called = name;
      co_return;
    });
  }

  /// The route that is found.
  std::string find(std::string_view method, std::string_view path) {
    const auto found = routes.find(method, path);
    if (!found.handler)
      return "none";
    struct no_exchange final : http_exchange {
      const http_request& request() const noexcept override { return asked; }
      cancel_token token() const noexcept override { return {}; }
      boost::asio::awaitable<expected<void>> respond(http_response) override { co_return expected<void>{}; }
      boost::asio::awaitable<expected<void>> begin(int, http_fields) override { co_return expected<void>{}; }
      boost::asio::awaitable<expected<void>> write(std::string_view) override { co_return expected<void>{}; }
      boost::asio::awaitable<expected<void>> end() override { co_return expected<void>{}; }
      http_request asked;
    } exchange;
    boost::asio::io_context context;
    boost::asio::co_spawn(context, (*found.handler)(exchange), boost::asio::detached);
    context.run();
    return called;
  }

  route_table routes;
  std::string called;
};

TEST_F(route_table_test, finds_by_method_and_path) {
  add("GET", "/v1/models");
  add("POST", "/v1/models");
  EXPECT_EQ(find("GET", "/v1/models"), "GET /v1/models");
  EXPECT_EQ(find("POST", "/v1/models"), "POST /v1/models");
  for (const auto* other : {"/v1/model", "/v1/models/", "/v1", "/", "", "*", "/V1/models", "//v1/models"})
    EXPECT_EQ(find("GET", other), "none") << other;
  EXPECT_EQ(find("get", "/v1/models"), "none") << "methods are told apart by case";
}

TEST_F(route_table_test, captures_segments) {
  add("GET", "/v1/models/{id}/{part}");
  const auto found = routes.find("GET", "/v1/models/a%2Fb%20c/x");
  ASSERT_TRUE(found.handler);
  EXPECT_EQ(found.captures, (std::map<std::string, std::string>{{"id", "a/b c"}, {"part", "x"}}));
  EXPECT_FALSE(routes.find("GET", "/v1/models//x").handler) << "an empty segment is nothing to capture";
}

TEST_F(route_table_test, what_is_spelled_out_goes_first) {
  add("GET", "/v1/{what}");
  add("GET", "/v1/models");
  add("GET", "/{version}/models");
  EXPECT_EQ(find("GET", "/v1/models"), "GET /v1/models");
  EXPECT_EQ(find("GET", "/v1/%6Dodels"), "GET /v1/models") << "an encoded letter is that letter";
  EXPECT_EQ(find("GET", "/v1/files"), "GET /v1/{what}");
  EXPECT_EQ(find("GET", "/v2/models"), "GET /{version}/models");
}

TEST_F(route_table_test, head_is_answered_by_get) {
  add("GET", "/a");
  add("POST", "/b");
  EXPECT_EQ(find("HEAD", "/a"), "GET /a");
  EXPECT_EQ(find("HEAD", "/b"), "none");
}

TEST_F(route_table_test, tells_what_a_path_allows) {
  add("GET", "/a/{x}");
  add("DELETE", "/a/{y}");
  add("POST", "/b");
  EXPECT_EQ(routes.allowed("/a/1"), "DELETE, GET, HEAD, OPTIONS");
  EXPECT_EQ(routes.allowed("/b"), "OPTIONS, POST");
  EXPECT_EQ(routes.allowed("/c"), "");
}

TEST_F(route_table_test, a_mistake_of_the_program_is_thrown) {
  add("GET", "/a");
  for (const auto* wrong : {"", "a", "/a{b}", "/{}", "/{a", "/a}"})
    EXPECT_THROW(add("GET", wrong), std::invalid_argument) << wrong;
  EXPECT_THROW(add("GET", "/a"), std::invalid_argument);
}

TEST_F(route_table_test, the_longest_prefix_tells_of_errors) {
  const auto form = [](std::string name) {
    return [name](int status, const error&, const http_request&) { return http_response{status, {}, name}; };
  };
  routes.describe_errors("/v1", form("v1"));
  routes.describe_errors("/v1/deep", form("deep"));
  routes.describe_errors("/v2", form("v2"));
  const auto why = make_error(status_code::not_found, "there is no \"\xff\"", "look");
  http_request asked;
  const auto body = [&](const std::string& path) {
    asked.path = path;
    const auto answer = routes.describe_error(404, why, asked);
    EXPECT_EQ(answer.status, 404);
    return answer.body;
  };
  EXPECT_EQ(body("/v1/x"), "v1");
  EXPECT_EQ(body("/v1/deep/x"), "deep");
  EXPECT_EQ(body("/v2"), "v2");
  EXPECT_EQ(body("/"), "{\"error\":\"NOT_FOUND: there is no \\\"\xef\xbf\xbd\\\"; look\"}");
}

TEST(percent_decode, gives_the_bytes) {
  const auto decoded = [](std::string_view text) {
    const auto result = percent_decode(text);
    return result ? *result : to_string(result.error().code).data();
  };
  EXPECT_EQ(decoded("/a%20b+c%2f%2F%C3%A9"), "/a b+c//\xc3\xa9");
  for (const auto* wrong : {"%", "%2", "a%", "%zz", "%0g", "% 1", "%00", "%-1", "%+1"})
    EXPECT_EQ(decoded(wrong), "INVALID_ARGUMENT") << wrong;
}

}  // namespace
}  // namespace troupe
