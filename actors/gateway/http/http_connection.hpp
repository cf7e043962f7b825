#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/http/http_context.hpp"
#include "actors/gateway/http/peer_stream.hpp"
#include "actors/gateway/http/request_head.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

class served_exchange;

/// One client's connection: reads its requests one after the other, has each answered, and ends. On one strand.
class http_connection {
 public:
  http_connection(boost::asio::ip::tcp::socket socket, std::shared_ptr<http_context> context);
  ~http_connection();

  /// Serves the client until it leaves, is cut off, or the server stops.
  boost::asio::awaitable<void> run();

  /// Ends the connection, if no request is under way; otherwise it ends after that.
  void drain() noexcept;

  /// Ends it at once.
  void close() noexcept;

  /// True while a handler has the request: nothing but the handler ends that.
  bool working() const noexcept { return working_; }

 private:
  struct work_guard;
  using request_parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  template <class T>
  using awaitable = boost::asio::awaitable<T>;

  /// What parsing came to.
  enum class progress { made, gone, refused };

  awaitable<void> serve_all();
  awaitable<bool> serve_one();
  awaitable<bool> serve(served_exchange& exchange);
  awaitable<bool> await_request();
  awaitable<progress> parse_on(http_cut_off slow);
  awaitable<progress> receive_head(served_exchange& exchange);
  awaitable<progress> receive_body(served_exchange& exchange);
  awaitable<bool> discard_body();
  awaitable<void> answer(served_exchange& exchange);
  awaitable<void> refuse(served_exchange& exchange);
  awaitable<void> work(served_exchange& exchange, const http_handler& handler);

  void begin_request();
  std::optional<http_refusal> admit(served_exchange& exchange);
  std::optional<http_refusal> find_route(served_exchange& exchange);
  std::optional<http_refusal> refuse_path(const http_request& asked, std::string_view path);
  std::optional<http_refusal> check_length();
  std::optional<http_refusal> count_body();
  progress refuse_as(http_refusal refusal);
  http_response describe(const http_request& asked, const http_refusal& refusal) const;
  http_response options(const http_request& asked) const;
  std::size_t next_read() const;

  const std::shared_ptr<http_context> context_;
  const std::shared_ptr<peer_stream> peer_;
  const std::string address_;
  cancel_scope scope_;
  bool idle_ = true;
  bool working_ = false;

  // Of the request that is being served.
  std::optional<request_parser> parser_;
  std::optional<http_refusal> refusal_;
  std::optional<api_keys::pass> pass_;
  const http_handler* handler_ = nullptr;
  std::string allowed_;      // methods of the path, where it is asked for them
  bool expects_ = false;     // a word before it sends the body
  std::size_t counted_ = 0;  // bytes of its body, in those of all
};

}  // namespace troupe
