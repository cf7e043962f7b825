#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace troupe {

/// A socket, with TLS on it or without.
class transport {
 public:
  /// `tls` may be null.
  transport(boost::asio::ip::tcp::socket socket, std::shared_ptr<boost::asio::ssl::context> tls)
      : socket_(std::move(socket)), context_(std::move(tls)) {
    if (context_)
      tls_.emplace(socket_, *context_);
  }
  transport(const transport&) = delete;
  transport& operator=(const transport&) = delete;

  template <class CompletionToken>
  auto async_handshake(CompletionToken&& token) {
    return tls_->async_handshake(boost::asio::ssl::stream_base::server, std::forward<CompletionToken>(token));
  }

  /// Tells the peer that nothing more comes, and waits for it to say the same.
  template <class CompletionToken>
  auto async_shutdown(CompletionToken&& token) {
    return tls_->async_shutdown(std::forward<CompletionToken>(token));
  }

  template <class Buffer, class CompletionToken>
  auto async_read_some(const Buffer& to, CompletionToken&& token) {
    return tls_ ? tls_->async_read_some(to, std::forward<CompletionToken>(token))
                : socket_.async_read_some(to, std::forward<CompletionToken>(token));
  }

  template <class Buffers, class CompletionToken>
  auto async_write_some(const Buffers& from, CompletionToken&& token) {
    return tls_ ? tls_->async_write_some(from, std::forward<CompletionToken>(token))
                : socket_.async_write_some(from, std::forward<CompletionToken>(token));
  }

  bool secure() const noexcept { return tls_.has_value(); }
  boost::asio::ip::tcp::socket& socket() noexcept { return socket_; }
  const boost::asio::ip::tcp::socket& socket() const noexcept { return socket_; }

 private:
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<boost::asio::ssl::context> context_;
  std::optional<boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>> tls_;
};

}  // namespace troupe
