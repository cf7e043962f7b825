#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/deadline_alarm.hpp"
#include "actors/gateway/http/transport.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/buffers_prefix.hpp>
#include <boost/beast/core/buffers_suffix.hpp>
#include <boost/beast/core/flat_buffer.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace troupe {

class http_metrics;

/// The bytes of one client, both ways, under a deadline. It reads while nobody asks, within a bound, so that a client
/// that goes is noticed while its request is worked on; and it cuts off those that take too long. Everything happens on
/// the strand of the socket's executor, and the coroutines that wait are ended by `close()`.
class peer_stream : public std::enable_shared_from_this<peer_stream> {
 public:
  using milliseconds = std::chrono::milliseconds;

  static constexpr std::size_t few = 4 << 10;    ///< enough for the head of a request
  static constexpr std::size_t many = 64 << 10;  ///< of a large body, or a large answer, at once

  /// What waiting for more came to.
  enum class received { bytes, end, late };

  /// Plain where `tls` is null.
  peer_stream(boost::asio::ip::tcp::socket socket, std::shared_ptr<boost::asio::ssl::context> tls, clock& by,
              http_metrics& counts);
  ~peer_stream();

  /// The client's, without the port; empty where it has gone already.
  std::string address() const;

  /// Agrees on keys with the client, where there is TLS. False when that fails or takes longer than `time`.
  boost::asio::awaitable<bool> handshake(milliseconds time);

  // -- Reading. What was received stays until it is consumed.

  boost::asio::const_buffer buffered() const noexcept { return buffer_.cdata(); }
  void consume(std::size_t bytes) noexcept { buffer_.consume(bytes); }

  /// Consumes line ends that some clients send behind a body.
  void skip_empty_lines() noexcept;

  /// Waits for bytes that are not there yet: a few, or as many as come with a body. `late` once the deadline has
  /// passed, by which nothing is lost; `end` when no more will come.
  boost::asio::awaitable<received> receive(std::size_t most = few);

  /// Goes on reading until `most` bytes are there, and calls `on_end` when the client has closed its side or is cut
  /// off, which may be at once. Until the next call, `receive`, or `ignore_end`.
  void read_ahead(std::size_t most, std::function<void()> on_end);
  void ignore_end() noexcept;

  /// True when no more will come but what is buffered.
  bool ended() const noexcept { return ended_; }

  /// Of `receive`. Sending clears it.
  void set_deadline(milliseconds time) { alarm_.set(time); }
  void clear_deadline() noexcept { alarm_.clear(); }

  // -- Writing

  /// Sends all of `buffers`. UNAVAILABLE when the client has gone; DEADLINE_EXCEEDED when it made no room for any more
  /// within `time`, by which it is cut off.
  template <class Buffers>
  boost::asio::awaitable<expected<void>> send(const Buffers& buffers, milliseconds time) {
    boost::beast::buffers_suffix<Buffers> rest{buffers};
    writing_ = true;
    while (boost::asio::buffer_size(rest) > 0) {
      alarm_.set(time);
      const auto piece = boost::beast::buffers_prefix(many, rest);
      const auto [failed, sent] =
          co_await wire_.async_write_some(piece, boost::asio::as_tuple(boost::asio::use_awaitable));
      count_sent(sent);
      rest.consume(sent);
      if (failed)
        break;
    }
    writing_ = false;
    alarm_.clear();
    if (boost::asio::buffer_size(rest) > 0)
      co_return why_unsent();
    co_return expected<void>{};
  }

  // -- Ending

  /// Says that nothing more comes, and waits for the client to have read it, for as long as `time`: a client that was
  /// still sending would otherwise not get to see the last answer.
  boost::asio::awaitable<void> finish(milliseconds time);

  /// Ends everything at once. What was sent and not read yet may be lost.
  void close() noexcept;

  /// True once `close()` was called.
  bool closed() const noexcept { return closed_; }

 private:
  /// A coroutine that waits for input.
  struct waiting {
    virtual ~waiting() = default;
    virtual void resume() = 0;
  };

  void start_reading(std::size_t most);
  void on_read(const boost::system::error_code& failed, std::size_t bytes);
  void on_alarm();
  void wake();
  void count_sent(std::size_t bytes) noexcept;
  error why_unsent() const;
  template <class CompletionToken>
  auto async_wait_for_input(CompletionToken&& token);

  transport wire_;
  http_metrics& counts_;
  deadline_alarm alarm_;
  boost::beast::flat_buffer buffer_;
  std::unique_ptr<char[]> incoming_;  // of the read that is under way
  std::size_t room_ = 0;              // of that
  std::unique_ptr<waiting> waiting_;
  std::function<void()> on_end_;
  std::size_t ahead_ = 0;
  bool reading_ = false;
  bool writing_ = false;
  bool ended_ = false;
  bool late_ = false;
  bool stalled_ = false;
  bool closed_ = false;
};

}  // namespace troupe
