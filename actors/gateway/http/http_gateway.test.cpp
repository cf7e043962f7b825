#include "actors/gateway/http/http_gateway.hpp"

#include "actors/gateway/http/api_key.hpp"
#include "actors/gateway/http/gateway_test.hpp"
#include "actors/supervision/caf_error.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <random>
#include <stdexcept>
#include <vector>

namespace troupe {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using testing::HasSubstr;
using testing_support::await_http;
using testing_support::http_client;
using testing_support::http_gateway_test;

template <class T>
using awaitable = boost::asio::awaitable<T>;

/// Routes of all kinds.
struct http_server_test : http_gateway_test {
  http_server_test() {
    routes.add("GET", "/hello", [](http_exchange& with) -> awaitable<void> {
      http_response answer;
      answer.fields.set("Content-Type", "text/plain");
      answer.body = "hello";
      EXPECT_TRUE(co_await with.respond(std::move(answer)));
    });
    routes.add("POST", "/echo/{name}", [this](http_exchange& with) -> awaitable<void> {
      ++calls;
      http_response answer;
      answer.fields.set("name", with.request().captures.at("name"));
      answer.fields.set("query", with.request().query);
      answer.body = with.request().body;
      (void)co_await with.respond(std::move(answer));
    });
    routes.add("GET", "/pieces", [](http_exchange& with) -> awaitable<void> {
      http_fields none;
      EXPECT_TRUE(co_await with.begin(200, std::move(none)));
      for (const std::string_view piece : {"one ", "", "two ", "three"})
        EXPECT_TRUE(co_await with.write(piece));
      EXPECT_TRUE(co_await with.end());
    });
    routes.add("GET", "/wait", [this](http_exchange& with) -> awaitable<void> { return until_released(with); });
    routes.add("GET", "/flood", [this](http_exchange& with) -> awaitable<void> { return flood(with); });
    routes.add("GET", "/throw", [](http_exchange&) -> awaitable<void> {
      throw std::runtime_error{"this handler throws"};
      co_return;
    });
    routes.add("GET", "/silent", [](http_exchange&) -> awaitable<void> { co_return; });
    routes.add("GET", "/break", [](http_exchange& with) -> awaitable<void> {
      http_fields none;
      EXPECT_TRUE(co_await with.begin(200, std::move(none)));
      EXPECT_TRUE(co_await with.write("half"));
    });
    routes.add("GET", "/twice", [this](http_exchange& with) -> awaitable<void> { return answer_twice(with); });
    routes.add("GET", "/forged", [](http_exchange& with) -> awaitable<void> {
      http_response answer;
      answer.fields.set("good", "yes");
      answer.fields.set("bad", "no\r\nSet-Cookie: forged");
      (void)co_await with.respond(std::move(answer));
    });
  }

  ~http_server_test() override { end(); }

  awaitable<void> until_released(http_exchange& with) {
    ++running;
    const auto waited = co_await async(release.wait(), with.token(), boost::asio::use_awaitable);
    if (!waited)
      keep(waited.error());
    --running;
    ++ended;
    http_response answer;
    answer.status = waited ? 200 : 503;
    answer.body = waited ? "released" : waited.error().cause;
    (void)co_await with.respond(std::move(answer));
  }

  /// Writes until it can't.
  awaitable<void> flood(http_exchange& with) {
    ++running;
    const std::string piece(64 << 10, 'x');
    http_fields none;
    (void)co_await with.begin(200, std::move(none));
    auto written = co_await with.write(piece);
    while (written)
      written = co_await with.write(piece);
    keep(written.error());
    EXPECT_TRUE(with.token().cancelled());
    EXPECT_FALSE(co_await with.end());
    --running;
    ++ended;
  }

  awaitable<void> answer_twice(http_exchange& with) {
    http_response once, again;
    EXPECT_TRUE(co_await with.respond(std::move(once)));
    const auto second = co_await with.respond(std::move(again));
    EXPECT_FALSE(second);
    http_fields none;
    EXPECT_FALSE(co_await with.begin(200, std::move(none)));
    EXPECT_FALSE(co_await with.write("x"));
    EXPECT_FALSE(co_await with.end());
    keep(second.error());
    ++ended;
  }

  /// Handlers run on several threads.
  void keep(const error& why) {
    const std::lock_guard lock{mutex};
    last_reason = why;
  }

  /// Moves time on until something has come to the client.
  void pass_until_readable(const http_client& client, std::chrono::milliseconds step) {
    await_http([&] {
      clock.advance(step);
      return client.readable();
    });
  }

  std::atomic<int> calls = 0;
  std::atomic<int> running = 0;
  std::atomic<int> ended = 0;
  std::mutex mutex;
  error last_reason;  // read once `ended` has counted
};

constexpr std::string_view hello = "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view wait_here = "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n";

std::string post(const std::string& body, const std::string& fields = {}) {
  return "POST /echo/n HTTP/1.1\r\nHost: h\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

std::string chunked(const std::string& chunks) {
  return "POST /echo/n HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks;
}

// -- Requests and answers

TEST_F(http_server_test, answers_one_request_after_the_other) {
  ASSERT_FALSE(start());
  auto client = connect();
  for (int i = 0; i != 3; ++i) {
    const auto answer = client.ask(hello);
    EXPECT_EQ(answer.result_int(), 200u);
    EXPECT_EQ(answer.body(), "hello");
    EXPECT_EQ(answer["content-type"], "text/plain");
    EXPECT_EQ(answer["content-length"], "5");
    EXPECT_TRUE(answer.keep_alive());
    EXPECT_THAT(std::string{answer["date"]}, testing::MatchesRegex("[A-Z][a-z]+, [0-9]+ [A-Z][a-z]+ 20[0-9]+ .* GMT"));
    EXPECT_THAT(std::string{answer["x-request-id"]}, testing::MatchesRegex("req_[0-9a-f]+"));
  }
  EXPECT_EQ(count("connections_total"), 1);
  await_http([&] { return count("requests_total", "2xx") == 3; });
}

TEST_F(http_server_test, keeps_the_request_id_of_the_client_where_it_is_sane) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto id_for = [&](const std::string& id) {
    return std::string{
        client.ask("GET /hello HTTP/1.1\r\nHost: h\r\nX-Request-ID: " + id + "\r\n\r\n")["x-request-id"]};
  };
  EXPECT_EQ(id_for("abc-1/2"), "abc-1/2");
  for (const auto& bad : {std::string(129, 'a'), std::string{"a b"}, std::string{"\xff"}, std::string{}})
    EXPECT_THAT(id_for(bad), testing::StartsWith("req_")) << bad;
}

TEST_F(http_server_test, reads_bodies_with_a_length_and_in_chunks) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto plain = client.ask("POST /echo/a%20b?x=%201 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(plain.body(), "abc");
  EXPECT_EQ(plain["name"], "a b");
  EXPECT_EQ(plain["query"], "x=%201");
  EXPECT_EQ(client.ask(chunked("3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\nTrailer: t\r\n\r\n")).body(), "abcde");
  std::string large(3 << 20, '\0');
  for (std::size_t i = 0; i != large.size(); ++i)
    large[i] = static_cast<char>(i * 31 >> 3);
  EXPECT_EQ(client.ask(post(large)).body(), large);
  EXPECT_EQ(client.ask(post("")).body(), "");
  EXPECT_EQ(client.ask(hello).body(), "hello") << "the connection goes on";
}

TEST_F(http_server_test, asks_for_a_body_that_waits_for_that) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send("POST /echo/n HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.receive(true).result_int(), 100u);
  EXPECT_EQ(client.ask("abc").body(), "abc");
  client.send("POST /nowhere HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.receive().result_int(), 404u) << "nobody wants that body";
  EXPECT_TRUE(client.ends());
}

TEST_F(http_server_test, streams_in_chunks) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto answer = client.ask("GET /pieces HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.body(), "one two three");
  EXPECT_TRUE(answer.chunked());
  EXPECT_EQ(client.ask(hello).body(), "hello");
}

TEST_F(http_server_test, head_has_no_body) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto answer = client.ask("HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer["content-length"], "5");
  EXPECT_EQ(client.ask("HEAD /pieces HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 200u);
  EXPECT_EQ(client.ask("HEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 404u);
  EXPECT_EQ(client.ask(hello).body(), "hello") << "and what came before had none";
}

TEST_F(http_server_test, says_what_there_is) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto missing = client.ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(missing.result_int(), 404u);
  EXPECT_THAT(missing.body(), HasSubstr("NOT_FOUND: there is no '/nowhere'"));
  const auto wrong = client.ask("DELETE /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(wrong.result_int(), 405u);
  EXPECT_EQ(wrong["allow"], "GET, HEAD, OPTIONS");
  const auto options = client.ask("OPTIONS /echo/n HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(options.result_int(), 204u);
  EXPECT_EQ(options["allow"], "OPTIONS, POST");
  EXPECT_EQ(options.find("access-control-allow-origin"), options.end());
  EXPECT_EQ(client.ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 204u);
  EXPECT_EQ(client.ask("OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 404u);
  EXPECT_EQ(client.ask("GET http://other:1/hello HTTP/1.1\r\nHost: h\r\n\r\n").body(), "hello");
  EXPECT_EQ(client.ask("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").result_int(), 404u);
  EXPECT_EQ(client.ask(hello).body(), "hello") << "the body that nobody wanted is over";
}

TEST_F(http_server_test, errors_are_told_in_the_form_of_their_path) {
  routes.describe_errors("/v1", [](int status, const error& why, const http_request& asked) {
    return http_response{status, {}, "v1 " + std::to_string(status) + " " + why.cause + " " + asked.method};
  });
  ASSERT_FALSE(start());
  auto client = connect();
  EXPECT_EQ(client.ask("GET /v1/x HTTP/1.1\r\nHost: h\r\n\r\n").body(), "v1 404 there is no '/v1/x' GET");
  EXPECT_EQ(client.ask("GET /v1/x HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n").body(),
            "v1 417 'x' can't be expected GET");
}

TEST_F(http_server_test, speaks_http_1_0) {
  ASSERT_FALSE(start());
  auto client = connect();
  EXPECT_EQ(client.ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")["connection"], "keep-alive");
  EXPECT_EQ(client.ask("GET /hello HTTP/1.0\r\n\r\n").body(), "hello");
  EXPECT_TRUE(client.ends());
  auto other = connect();
  other.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto all = other.receive_all();
  EXPECT_THAT(all, testing::EndsWith("\r\n\r\none two three"));
  EXPECT_THAT(all, testing::Not(HasSubstr("chunked")));
}

TEST_F(http_server_test, closes_when_it_is_asked_to) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto answer = client.ask("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer["connection"], "close");
  EXPECT_TRUE(client.ends());
}

TEST_F(http_server_test, pipelined_requests_are_answered_in_order) {
  ASSERT_FALSE(start());
  auto client = connect();
  std::string all{wait_here};
  for (int i = 0; i != 100; ++i)
    all += post(std::to_string(i)) + "\r\n";
  client.send(all);
  await_received(all.size());
  EXPECT_EQ(running, 1);
  EXPECT_EQ(calls, 0) << "what was sent on waits for its turn";
  release.set();
  EXPECT_EQ(client.receive().body(), "released");
  for (int i = 0; i != 100; ++i)
    EXPECT_EQ(client.receive().body(), std::to_string(i));
}

TEST_F(http_server_test, a_client_that_has_said_everything_gets_its_answers) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send(post("1") + post("2"));
  client.finish_sending();
  EXPECT_EQ(client.receive().body(), "1");
  EXPECT_EQ(client.receive().body(), "2");
  EXPECT_TRUE(client.ends());
}

TEST_F(http_server_test, what_is_sent_on_is_bounded) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send(wait_here);
  await_http([&] { return running == 1; });
  const auto more = post(std::string(1000, 'x'));
  std::size_t sent = 0;
  // Until the kernel has no room either.
  for (int full = 0; full != 20;) {
    const auto now = client.send_some(more);
    sent += now;
    full = now == 0 ? full + 1 : 0;
    if (now == 0)
      std::this_thread::sleep_for(1ms);
  }
  EXPECT_GT(sent, 200'000u);
  EXPECT_LT(count("received_bytes_total"), 80'000);
  release.set();
  EXPECT_EQ(client.receive().body(), "released");
}

// -- Handlers

TEST_F(http_server_test, a_handler_without_an_answer_is_an_error) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto thrown = client.ask("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(thrown.result_int(), 500u);
  EXPECT_THAT(thrown.body(), HasSubstr("INTERNAL: this handler throws"));
  EXPECT_EQ(client.ask("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 500u);
  EXPECT_EQ(client.ask(hello).body(), "hello");
  await_http([&] { return count("requests_total", "5xx") == 2; });
}

TEST_F(http_server_test, an_answer_that_breaks_off_does_not_look_whole) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send("GET /break HTTP/1.1\r\nHost: h\r\n\r\n");
  const auto all = client.receive_all();
  EXPECT_THAT(all, testing::EndsWith("4\r\nhalf\r\n"));
}

TEST_F(http_server_test, a_second_answer_is_refused) {
  ASSERT_FALSE(start());
  auto client = connect();
  EXPECT_EQ(client.ask("GET /twice HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 200u);
  await_http([&] { return ended == 1; });
  EXPECT_EQ(last_reason.code, status_code::failed_precondition);
  EXPECT_EQ(client.ask(hello).body(), "hello");
}

TEST_F(http_server_test, a_field_can_not_forge_another) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto answer = client.ask("GET /forged HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer["good"], "yes");
  EXPECT_EQ(answer.find("bad"), answer.end());
  EXPECT_EQ(answer.find("set-cookie"), answer.end());
}

// -- Clients that go

TEST_F(http_server_test, the_client_that_closes_cancels_its_request) {
  ASSERT_FALSE(start());
  for (int i = 0; i != 3; ++i) {
    auto client = connect();
    client.send(wait_here);
    await_http([&] { return running == 1; });
    if (i == 0)
      client.close();
    else if (i == 1)
      client.reset();
    else
      client.finish_sending();
    await_http([&] { return ended == i + 1; });
    EXPECT_EQ(last_reason, (error{status_code::cancelled, "the client has gone", "", true}));
    if (i == 2) {
      EXPECT_EQ(client.receive().result_int(), 503u) << "it may have closed its side alone";
    }
  }
  EXPECT_EQ(connect().ask(hello).body(), "hello");
}

TEST_F(http_server_test, a_client_may_go_at_any_byte) {
  ASSERT_FALSE(start());
  const auto whole = post("abc", "Expect: 100-continue\r\n") + chunked("3\r\nabc\r\n0\r\n\r\n");
  for (std::size_t length = 0; length != whole.size(); ++length) {
    auto client = connect();
    client.send(whole.substr(0, length));
    if (length % 2 == 0)
      client.reset();
  }
  EXPECT_EQ(connect().ask(hello).body(), "hello");
  await_http([&] { return count("open_connections") <= 1; });
}

TEST_F(http_server_test, a_reader_that_goes_ends_the_stream) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  client.skim(10);
  client.close();
  await_http([&] { return ended == 1; });
}

// -- Clients that dawdle

TEST_F(http_server_test, an_idle_connection_is_closed) {
  ASSERT_FALSE(start());
  auto fresh = connect();
  auto used = connect();
  EXPECT_EQ(used.ask(hello).body(), "hello");
  await_http([&] { return count("open_connections") == 2 && count("requests_total", "2xx") == 1; });
  clock.advance(75s - 1ms);
  EXPECT_EQ(used.ask(hello).body(), "hello");
  pass_until_readable(fresh, 1ms);
  EXPECT_TRUE(fresh.ends());
  fresh.close();
  EXPECT_EQ(count("cut_off_total", "idle"), 1);
  pass_until_readable(used, 1s);
  EXPECT_TRUE(used.ends());
}

TEST_F(http_server_test, a_slow_head_is_cut_off) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send("GET /hel");
  await_received(8);
  clock.advance(10s - 1ms);
  client.send("lo HTTP/1.1\r\n");
  await_received(21);
  EXPECT_FALSE(client.readable()) << "a byte now and then is no new beginning";
  clock.advance(1ms);
  const auto answer = client.receive();
  EXPECT_EQ(answer.result_int(), 408u);
  EXPECT_EQ(answer["connection"], "close");
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(count("cut_off_total", "header"), 1);
}

TEST_F(http_server_test, a_slow_body_is_cut_off) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send(post(std::string(200 << 10, 'x')).substr(0, 100 << 10));
  await_received(100 << 10);
  clock.advance(30s - 1ms);
  client.send("y");
  await_received((100 << 10) + 1);
  EXPECT_FALSE(client.readable());
  clock.advance(1ms);
  EXPECT_EQ(client.receive().result_int(), 408u);
  EXPECT_TRUE(client.ends());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(count("cut_off_total", "body"), 1);
}

TEST_F(http_server_test, a_large_body_has_time_for_each_piece) {
  ASSERT_FALSE(start());
  auto client = connect();
  const auto whole = post(std::string(300 << 10, 'x'));
  for (std::size_t at = 0; at < whole.size(); at += 70 << 10) {
    client.send(std::string_view{whole}.substr(at, 70 << 10));
    await_received(std::min<std::size_t>(at + (70 << 10), whole.size()));
    clock.advance(29s);
  }
  EXPECT_EQ(client.receive().result_int(), 200u);
}

TEST_F(http_server_test, a_reader_that_does_not_read_is_cut_off) {
  ASSERT_FALSE(start());
  http_client client{address, 4096};
  client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  await_http([&] { return running == 1; });
  await_http([&] {
    clock.advance(1s);
    return ended == 1;
  });
  EXPECT_EQ(last_reason.code, status_code::deadline_exceeded);
  EXPECT_EQ(count("cut_off_total", "reading"), 1);
  EXPECT_EQ(connect().ask(hello).body(), "hello");
}

TEST_F(http_server_test, a_reader_may_take_its_time) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
  for (int i = 0; i != 20; ++i) {
    client.skim(16 << 20);  // more than the kernel keeps, so that the server has written meanwhile
    clock.advance(29s);
  }
  EXPECT_EQ(running, 1);
  EXPECT_EQ(ended, 0);
}

TEST_F(http_server_test, work_may_take_any_time) {
  ASSERT_FALSE(start());
  auto client = connect();
  client.send(wait_here);
  await_http([&] { return running == 1; });
  clock.advance(24h);
  release.set();
  EXPECT_EQ(client.receive().body(), "released");
}

// -- Clients that want too much

TEST_F(http_server_test, a_large_head_is_refused) {
  ASSERT_FALSE(start());
  const auto status_of = [&](const std::string& request) {
    auto client = connect();
    client.send(request);
    const auto answer = client.receive();
    EXPECT_TRUE(client.ends());
    return answer.result_int();
  };
  EXPECT_EQ(status_of("GET /" + std::string(40 << 10, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n"), 414u);
  EXPECT_EQ(status_of("GET /hello HTTP/1.1\r\nHost: h\r\nx: " + std::string(40 << 10, 'a') + "\r\n\r\n"), 431u);
  std::string many = "GET /hello HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i != 10'000; ++i)
    many += "x: y\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 431u);
  EXPECT_EQ(status_of(chunked("1;" + std::string(200 << 10, 'a') + "\r\na\r\n0\r\n\r\n")), 431u);
  EXPECT_EQ(status_of(chunked("0\r\nx: " + std::string(200 << 10, 'a') + "\r\n\r\n")), 431u);
  EXPECT_EQ(calls, 0);
}

TEST_F(http_server_test, a_large_body_is_refused) {
  http_settings settings;
  settings.limits.body_bytes = 1000;
  ASSERT_FALSE(start(settings));
  const auto refused = [&](const std::string& request) {
    auto client = connect();
    client.send(request);
    const auto answer = client.receive();
    EXPECT_THAT(answer.body(), HasSubstr("more than 1000 bytes"));
    return answer.result_int();
  };
  EXPECT_EQ(connect().ask(post(std::string(1000, 'x'))).result_int(), 200u);
  EXPECT_EQ(refused(post(std::string(1001, 'x'))), 413u);
  EXPECT_EQ(refused("POST /echo/n HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551615\r\n\r\n"), 413u);
  EXPECT_EQ(refused(chunked("3e8\r\n" + std::string(1000, 'x') + "\r\n1\r\nx\r\n0\r\n\r\n")), 413u);
  EXPECT_EQ(refused(post(std::string(10 << 20, 'x'))), 413u)
      << "the answer is there for a client that is still sending";
  EXPECT_EQ(calls, 1);
}

TEST_F(http_server_test, all_bodies_together_are_bounded) {
  http_settings settings;
  settings.limits.bodies_bytes = 1000;
  ASSERT_FALSE(start(settings));
  auto first = connect();
  const auto half = post(std::string(900, 'x')).substr(0, 700);
  first.send(half);
  await_received(half.size());
  auto second = connect();
  const auto refused = second.ask(post(std::string(600, 'x')));
  EXPECT_EQ(refused.result_int(), 503u);
  EXPECT_EQ(refused["retry-after"], "1");
  first.close();
  second.close();
  await_http([&] { return count("open_connections") == 0; });
  EXPECT_EQ(connect().ask(post(std::string(1000, 'x'))).result_int(), 200u) << "it is given back";
}

TEST_F(http_server_test, one_connection_too_many_is_told_so) {
  http_settings settings;
  settings.limits.connections = 2;
  ASSERT_FALSE(start(settings));
  auto first = connect();
  auto second = connect();
  EXPECT_EQ(first.ask(hello).body(), "hello");
  EXPECT_EQ(second.ask(hello).body(), "hello");
  auto third = connect();
  const auto refused = third.receive();
  EXPECT_EQ(refused.result_int(), 503u);
  EXPECT_THAT(refused.body(), HasSubstr("RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(third.ends());
  EXPECT_EQ(count("connections_refused_total"), 1);
  first.close();
  await_http([&] { return count("open_connections") == 1; });
  EXPECT_EQ(connect().ask(hello).body(), "hello");
}

// -- Rubbish

struct bad_request {
  std::string bytes;
  unsigned status;
};

struct http_rubbish : http_server_test, testing::WithParamInterface<bad_request> {};

TEST_P(http_rubbish, is_refused_and_ends_the_connection) {
  ASSERT_FALSE(start());
  auto client = connect();
  // What a smuggler would have taken for a second request must not be answered.
  client.send(GetParam().bytes + std::string{hello});
  const auto answer = client.receive();
  EXPECT_EQ(answer.result_int(), GetParam().status) << answer.body();
  EXPECT_EQ(answer["connection"], "close");
  EXPECT_THAT(answer.body(), testing::StartsWith("{\"error\":\""));
  EXPECT_EQ(client.receive_all(), "");
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(connect().ask(hello).body(), "hello");
}

bad_request framed(const std::string& fields, const std::string& body, unsigned status = 400) {
  return {"POST /echo/n HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n\r\n" + body, status};
}

bad_request chunk(const std::string& body) {
  return {chunked(body), 400};
}

INSTANTIATE_TEST_SUITE_P(
    smuggling, http_rubbish,
    testing::Values(framed("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
                    framed("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n"),
                    framed("Content-Length: 5\r\nContent-Length: 6", "abcde"), framed("Content-Length: 5, 6", "abcde"),
                    framed("Content-Length: -1", ""), framed("Content-Length: +5", "abcde"),
                    framed("Content-Length: 0x5", "abcde"), framed("Content-Length: 5 5", "abcde"),
                    framed("Content-Length:", ""), framed("Content-Length: 99999999999999999999", ""),
                    framed("Content-Length : 5", "abcde"), framed("Transfer-Encoding : chunked", "0\r\n\r\n"),
                    framed("Transfer-Encoding: xchunked", "0\r\n\r\n", 501),
                    framed("Transfer-Encoding: chunked, identity", "0\r\n\r\n", 501),
                    framed("Transfer-Encoding: gzip, chunked", "0\r\n\r\n", 501),
                    framed("Transfer-Encoding: identity", "0\r\n\r\n", 501),
                    framed("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
                    framed("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "0\r\n\r\n", 501),
                    framed("Transfer-Encoding:\x0b chunked", "0\r\n\r\n"),
                    bad_request{"POST /echo/n HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
                    chunk("g\r\n"), chunk("-1\r\n"), chunk("0x1\r\na\r\n"), chunk("1 \r\na\r\n0\r\n\r\n"),
                    chunk("10000000000000000\r\n"), chunk("fffffffffffffffff\r\n"), chunk("\r\n"),
                    chunk("1\r\nabc\r\n0\r\n\r\n"), chunk("1\na\n0\n\n\r\n"), chunk("1;\x01\r\na\r\n0\r\n\r\n"),
                    chunk("0\r\nContent-Length: 5\r\n\r\n"), chunk("0\r\nbad field\r\n\r\n")));

INSTANTIATE_TEST_SUITE_P(heads, http_rubbish,
                         testing::Values(bad_request{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
                                         bad_request{"GET\r\n\r\n", 400}, bad_request{"GET /hello\r\n\r\n", 400},
                                         bad_request{"GET  /hello HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{" GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"G(T /hello HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\nHost: h\n\n\r\n", 505},
                                         bad_request{"GET /hello HTTP/2.0\r\nHost: h\r\n\r\n", 505},
                                         bad_request{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
                                         bad_request{"GET /hello HTTP/0.9\r\nHost: h\r\n\r\n", 505},
                                         bad_request{"GET /hello http/1.1\r\nHost: h\r\n\r\n", 505},
                                         bad_request{"GET /hello HTTP/1.1\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\na b: x\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\nx: a\0b\r\n\r\n"s, 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\nx: a\rb\r\n\r\n", 400},
                                         bad_request{"GET hello HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET http:// HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /hello#x HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /hello\x01 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
                                         bad_request{"GET /hello HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n",
                                                     417}));

// -- Keys and origins

struct key_file {
  key_file() : path{testing::TempDir() + "troupe-http-keys-" + std::to_string(getpid())} {}
  ~key_file() { std::filesystem::remove(path); }
  void write(const std::vector<api_key>& keys) const {
    std::ofstream out{path};
    for (const auto& key : keys)
      out << to_line(key) << "\n";
  }
  const std::filesystem::path path;
};

TEST_F(http_server_test, wants_a_key_where_there_are_keys) {
  const key_file file;
  file.write({{"busy", hash_api_key("k1"), 0, 1}, {"few", hash_api_key("k2"), 2, 0}});
  http_settings settings;
  settings.api_keys = file.path;
  ASSERT_FALSE(start(settings));
  auto client = connect();
  const auto ask = [&](http_client& by, const std::string& path, const std::string& key) {
    by.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer " + key + "\r\n\r\n");
  };
  const auto without = client.ask(hello);
  EXPECT_EQ(without.result_int(), 401u);
  EXPECT_EQ(without["www-authenticate"], "Bearer");
  EXPECT_THAT(without.body(), HasSubstr("UNAUTHENTICATED"));
  EXPECT_EQ(client.ask("GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 401u)
      << "nothing is told to strangers";
  EXPECT_EQ(client.ask("OPTIONS /hello HTTP/1.1\r\nHost: h\r\n\r\n").result_int(), 204u);
  ask(client, "/hello", "k3");
  EXPECT_EQ(client.receive().result_int(), 401u);
  ask(client, "/hello", "k1");
  EXPECT_EQ(client.receive().body(), "hello") << "and on the same connection";

  auto other = connect();
  ask(client, "/wait", "k1");
  await_http([&] { return running == 1; });
  ask(other, "/hello", "k1");
  EXPECT_EQ(other.receive().result_int(), 429u) << "one at once";
  release.set();
  EXPECT_EQ(client.receive().body(), "released");
  ask(client, "/hello", "k1");
  EXPECT_EQ(client.receive().body(), "hello");

  for (const auto status : {200u, 200u, 429u}) {
    ask(client, "/hello", "k2");
    const auto answer = client.receive();
    EXPECT_EQ(answer.result_int(), status);
    EXPECT_EQ(answer["retry-after"], status == 429 ? "30" : "");
  }
}

TEST_F(http_server_test, lets_pages_of_chosen_origins_ask) {
  http_settings settings;
  settings.cors_origins = {"https://good.example"};
  ASSERT_FALSE(start(settings));
  auto client = connect();
  const auto from = [&](const std::string& method, const std::string& path, const std::string& origin) {
    return client.ask(method + " " + path + " HTTP/1.1\r\nHost: h\r\nOrigin: " + origin +
                      "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-a\r\n\r\n");
  };
  const auto good = from("GET", "/hello", "https://good.example");
  EXPECT_EQ(good["access-control-allow-origin"], "https://good.example");
  EXPECT_EQ(good["vary"], "Origin");
  EXPECT_EQ(from("GET", "/nowhere", "https://good.example")["access-control-allow-origin"], "https://good.example");
  const auto other = from("GET", "/hello", "https://other.example");
  EXPECT_EQ(other["access-control-allow-origin"], "");
  EXPECT_EQ(other["vary"], "Origin");
  const auto preflight = from("OPTIONS", "/echo/n", "https://good.example");
  EXPECT_EQ(preflight["access-control-allow-methods"], "OPTIONS, POST");
  EXPECT_EQ(preflight["access-control-allow-headers"], "x-a");
  EXPECT_EQ(from("OPTIONS", "/echo/n", "https://other.example")["access-control-allow-methods"], "");
}

// -- Starting and stopping

TEST_F(http_server_test, says_that_its_port_is_taken) {
  ASSERT_FALSE(start());
  auto first = std::exchange(gateway, nullptr);
  http_settings same;
  same.listen = address;
  const auto failure = from_caf(start(same));
  EXPECT_EQ(failure.code, status_code::unavailable);
  EXPECT_EQ(failure.cause, "cannot listen on '" + same.listen + "'");
  stop();
  gateway = std::exchange(first, nullptr);
}

TEST_F(http_server_test, says_that_its_address_is_none) {
  for (const auto* wrong :
       {"nonsense", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "127.0.0.1:x", ":80", "1.2.3.4.5:1"}) {
    http_settings settings;
    settings.listen = wrong;
    EXPECT_EQ(from_caf(start(settings)).code, status_code::unavailable) << wrong;
    stop();
  }
}

TEST_F(http_server_test, is_not_open_to_all_by_mistake) {
  http_settings settings;
  settings.listen = "0.0.0.0:0";
  const auto failure = from_caf(start(settings));
  EXPECT_EQ(failure.code, status_code::invalid_argument);
  EXPECT_THAT(failure.cause, HasSubstr("beyond loopback"));
  stop();
  settings.insecure = true;
  EXPECT_FALSE(start(settings));
  EXPECT_EQ(connect().ask(hello).body(), "hello");
  stop();
  settings.insecure = false;
  settings.tls_key = "key.pem";
  EXPECT_THAT(from_caf(start(settings)).cause, HasSubstr("go together"));
}

TEST_F(http_server_test, may_be_stopped_before_it_started) {
  gateway = spawn_http_gateway(system, {}, routes, counts, skip.token(), [](const std::string&) { ADD_FAILURE(); });
  stop();
}

TEST_F(http_server_test, drains) {
  ASSERT_FALSE(start());
  auto idle = connect();
  EXPECT_EQ(idle.ask(hello).body(), "hello");
  auto half = connect();
  half.send("GET /hello HTTP/1.1\r\n");
  auto busy = connect();
  busy.send(wait_here);
  await_http([&] { return running == 1; });
  begin_stop();
  EXPECT_TRUE(idle.ends());
  EXPECT_EQ(half.ask("Host: h\r\n\r\n").result_int(), 503u) << "what comes now is too late";
  await_http([&] { return !http_client{address}.connected(); });
  release.set();
  const auto answer = busy.receive();
  EXPECT_EQ(answer.body(), "released");
  EXPECT_EQ(answer["connection"], "close");
  await_stop();
}

TEST_F(http_server_test, cuts_off_what_takes_longer_than_the_drain) {
  ASSERT_FALSE(start());
  auto busy = connect();
  busy.send(wait_here);
  await_http([&] { return running == 1; });
  begin_stop();
  await_http([&] {
    clock.advance(1s);
    return ended == 1;
  });
  EXPECT_EQ(busy.receive().body(), "the node is shutting down");
  await_stop();
}

TEST_F(http_server_test, ends_without_handlers_that_ignore_it) {
  routes.add("GET", "/deaf", [this](http_exchange&) -> awaitable<void> {
    ++running;
    const cancel_token none;
    (void)co_await async(release.wait(), none, boost::asio::use_awaitable);
    ADD_FAILURE() << "is gone by then";
  });
  ASSERT_FALSE(start({.drain = 0ms, .grace = 1h}));
  auto busy = connect();
  busy.send("GET /deaf HTTP/1.1\r\nHost: h\r\n\r\n");
  await_http([&] { return running == 1; });
  begin_stop();
  {
    const std::jthread time{[&](const std::stop_token& stopped) {
      while (!stopped.stop_requested())
        clock.advance(1min);
    }};
    await_stop();
  }
  EXPECT_TRUE(busy.ends());
  EXPECT_EQ(count("open_connections"), 0);
}

// -- Everything at once

TEST_F(http_server_test, withstands_all_kinds_of_clients_at_once) {
  skip = cancel_scope{};  // by the real clock
  ASSERT_FALSE(start({.limits = {.body_bytes = 1 << 20}}));
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::atomic<int> good = 0;
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t != 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random{seed + t};
      for (int i = 0; i != 150; ++i) {
        auto client = connect();
        const auto body = std::string(random() % 100'000, 'b');
        switch (random() % 7) {
          case 0:
            client.send(wait_here);
            break;  // and goes
          case 1:
            client.send(post(body).substr(0, random() % (body.size() + 80)));
            break;
          case 2:
            client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
            client.skim(1 + random() % 100'000);
            client.reset();
            break;
          case 3:
            client.send(chunked("ffffffffffffffffff\r\n"));
            EXPECT_EQ(client.receive().result_int(), 400u);
            break;
          case 4:
            client.send(post(body) + post(body) + std::string{hello});
            EXPECT_EQ(client.receive().body(), body);
            EXPECT_EQ(client.receive().body(), body);
            EXPECT_EQ(client.receive().body(), "hello");
            ++good;
            break;
          default:
            for (int n = 0; n != 5; ++n, ++good)
              EXPECT_EQ(client.ask(post(body)).body(), body);
        }
      }
    });
  threads.clear();
  EXPECT_GT(good, 0);
  await_http([&] { return count("open_connections") == 0; });
  EXPECT_EQ(running, 0);
  EXPECT_EQ(connect().ask(hello).body(), "hello");
  stop();
}

TEST_F(http_server_test, may_be_stopped_in_the_middle) {
  skip = cancel_scope{};
  for (int round = 0; round != 5; ++round) {
    ASSERT_FALSE(start({.drain = 5ms, .grace = 5ms}));
    std::atomic<bool> over = false;
    std::vector<std::jthread> threads;
    for (int t = 0; t != 3; ++t)
      threads.emplace_back([&, t] {
        while (!over) {
          auto client = connect();
          if (t == 0)
            client.send("GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
          else if (t == 1)
            client.send(wait_here);
          else
            client.send(post("abc"));
          client.skim(10);
        }
      });
    await_http([&] { return count("requests_total", "2xx") > 10 * (round + 1); });
    stop();
    over = true;
  }
}

}  // namespace
}  // namespace troupe
