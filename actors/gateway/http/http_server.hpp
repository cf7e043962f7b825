#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/http_context.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

/// A port, the threads that serve it, and the connections to it. Each connection stays on one thread.
class http_server {
 public:
  /// Listens and serves. UNAVAILABLE when the address can't be had.
  static expected<std::unique_ptr<http_server>> start(std::shared_ptr<http_context> context);

  /// Ends all connections, and returns when their threads have ended. Handlers that still work are dropped where they
  /// wait.
  ~http_server();

  /// host:port
  const std::string& address() const noexcept { return address_; }

  /// Accepts nobody any more, and ends the connections that have no request under way. `http_context::exchanges` is to
  /// be closed before.
  void drain();

 private:
  struct loop;

  explicit http_server(std::shared_ptr<http_context> context);

  expected<void> listen();
  boost::asio::awaitable<void> accept();
  void serve(boost::asio::ip::tcp::socket socket, loop& on);
  void refuse(boost::asio::ip::tcp::socket socket);

  const std::shared_ptr<http_context> context_;
  std::vector<std::unique_ptr<loop>> loops_;
  std::unique_ptr<boost::asio::ip::tcp::acceptor> acceptor_;  // on the first loop
  std::size_t most_connections_ = 0;
  std::string address_;
};

}  // namespace troupe
