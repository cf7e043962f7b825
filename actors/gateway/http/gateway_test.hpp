#pragma once

#include "actors/concurrency/async.hpp"
#include "actors/concurrency/event.hpp"
#include "actors/concurrency/virtual_clock.hpp"
#include "actors/gateway/http/http_gateway.hpp"
#include "actors/supervision/supervisor.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

/// What the tests of HTTP share.
namespace troupe::testing_support {

/// Only what hangs takes this long.
inline constexpr std::chrono::seconds http_patience{60};

/// Waits for what another thread brings about.
template <class Condition>
void await_http(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + http_patience;
  while (!condition() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  EXPECT_TRUE(condition());
}

using client_response = boost::beast::http::response<boost::beast::http::string_body>;

/// The other side of a connection, byte by byte.
class http_client {
 public:
  /// `address` as the gateway tells it, of 127.0.0.1. A small `receive_buffer` makes a slow reader noticed.
  explicit http_client(const std::string& address, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{http_patience.count(), 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (receive_buffer > 0)
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    connected_ = connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
  }
  http_client(http_client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
  http_client& operator=(http_client&&) = delete;
  ~http_client() { close(); }

  bool connected() const noexcept { return connected_; }

  /// False when the server has gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// Sends as much as goes without waiting; how much that was.
  std::size_t send_some(std::string_view bytes) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }

  /// The next answer; status 0 when there is none. Of HEAD without a body.
  client_response receive(bool head = false) {
    boost::beast::http::response_parser<boost::beast::http::string_body> parser;
    parser.body_limit(boost::none);
    parser.skip(head);
    parser.eager(true);
    for (;;) {
      boost::system::error_code failed;
      if (!buffer_.empty()) {
        buffer_.erase(0, parser.put(boost::asio::buffer(buffer_), failed));
        if (parser.is_done())
          return parser.release();
        EXPECT_TRUE(!failed || failed == boost::beast::http::error::need_more) << failed.message();
      }
      if (!more()) {
        if (parser.need_eof() && parser.is_header_done())
          return parser.release();
        client_response none;
        none.result(0u);
        return none;
      }
    }
  }

  /// Sends a request and gives its answer.
  client_response ask(std::string_view request) {
    send(request);
    return receive(request.starts_with("HEAD "));
  }

  /// Everything until the server ends the connection.
  std::string receive_all() {
    while (more()) {
    }
    return std::exchange(buffer_, {});
  }

  /// True when the server ends the connection and has nothing else to say.
  bool ends() { return buffer_.empty() && !more(); }

  /// Whether there is something to read, or the end, by now.
  bool readable() const {
    char byte = 0;
    const auto got = recv(socket_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  /// Reads so many bytes, if there are, and forgets them.
  void skim(std::size_t count) {
    while (buffer_.size() < count && more()) {
    }
    buffer_.erase(0, count);
  }

  void finish_sending() { shutdown(socket_, SHUT_WR); }

  void close() {
    if (socket_ >= 0)
      ::close(std::exchange(socket_, -1));
  }

  /// Ends the connection as a client that crashes.
  void reset() {
    const linger at_once{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

 private:
  /// False at the end.
  bool more() {
    char bytes[16384];
    const auto got = recv(socket_, bytes, sizeof bytes, 0);
    EXPECT_FALSE(got < 0 && errno == EAGAIN) << "the server says nothing";
    if (got <= 0)
      return false;
    buffer_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }

  int socket_;
  bool connected_;
  std::string buffer_;
};

/// A gateway whose routes are the test's, on a clock of the test.
struct http_gateway_test : testing::Test {
  caf::error start(http_settings settings = {}) {
    if (settings.listen == http_settings{}.listen)
      settings.listen = "127.0.0.1:0";
    std::promise<std::string> listening;
    gateway = spawn_http_gateway(system, std::move(settings), routes, counts, skip.token(),
                                 [&](std::string bound) { listening.set_value(std::move(bound)); });
    caf::error failure;
    self->request(gateway, caf::infinite, start_atom::value).receive([] {}, [&](const caf::error& e) { failure = e; });
    if (!failure)
      address = listening.get_future().get();
    return failure;
  }

  http_client connect() const { return http_client{address}; }

  /// The value of a metric without labels, or with this one.
  double count(const std::string& name, const std::string& label = {}) const {
    for (const auto& family : counts->registry()->Collect())
      for (const auto& metric : family.metric)
        if (family.name == "troupe_http_" + name && (label.empty() || metric.label.front().value == label))
          return metric.counter.value + metric.gauge.value;
    ADD_FAILURE() << "no metric " << name << " " << label;
    return 0;
  }

  /// Until the server has so many bytes, and has done with them what it does.
  void await_received(std::size_t bytes) const {
    await_http([&] { return count("received_bytes_total") >= static_cast<double>(bytes); });
  }

  void begin_stop() {
    self->monitor(gateway);
    self->send_exit(gateway, caf::exit_reason::user_shutdown);
  }

  void await_stop() {
    self->receive([&](const caf::down_msg& down) { EXPECT_EQ(down.reason, caf::exit_reason::user_shutdown); });
    gateway = nullptr;
  }

  void stop() {
    begin_stop();
    await_stop();
  }

  /// Ends the gateway. A test whose handlers use members of its own does so before these go.
  void end() {
    release.set();
    skip.cancel(make_error(status_code::unavailable, "the test has ended"));
    if (gateway) {
      self->send_exit(gateway, caf::exit_reason::user_shutdown);
      self->wait_for(gateway);
      gateway = nullptr;
    }
  }

  ~http_gateway_test() override {
    end();
    EXPECT_EQ(count("open_connections"), 0);
    EXPECT_EQ(count("running_requests"), 0);
  }

  event release;  // lets handlers that wait for it go on
  route_table routes;
  std::shared_ptr<http_metrics> counts = std::make_shared<http_metrics>();
  virtual_clock clock;
  cancel_scope skip{scope_options{.clock = &clock}};
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor gateway;
  std::string address;
};

}  // namespace troupe::testing_support
