#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/gateway/http/exchange.hpp"
#include "actors/gateway/http/http_context.hpp"
#include "actors/gateway/http/peer_stream.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

/// One request of a connection, and its answer on the way to the client.
class served_exchange final : public http_exchange {
 public:
  /// How far the answer is.
  enum class stage : std::uint8_t { none, begun, complete, broken };

  /// `scope` is the connection's, and cancelled when the client can't be answered.
  served_exchange(peer_stream& peer, http_context& context, cancel_scope& scope);
  ~served_exchange() override;

  const http_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return scope_.token(); }
  boost::asio::awaitable<expected<void>> respond(http_response answer) override;
  boost::asio::awaitable<expected<void>> begin(int status, http_fields fields) override;
  boost::asio::awaitable<expected<void>> write(std::string_view bytes) override;
  boost::asio::awaitable<expected<void>> end() override;

  /// To be filled by the connection.
  http_request& incoming() noexcept { return request_; }

  /// What HTTP is spoken: whether the client wants the connection to go on, and whether it knows chunks.
  void speak(bool keep_alive, bool chunks) noexcept;
  void close_afterwards() noexcept { keep_alive_ = false; }

  /// Whose key came with the request, for the log.
  void asked_by(const std::string& key) { key_ = key; }

  /// True when the connection goes on after this.
  bool keeps_alive() const noexcept { return keep_alive_ && stage_ == stage::complete; }

  stage how_far() const noexcept { return stage_; }
  int status() const noexcept { return status_; }

  /// Says what became of the request.
  void log(const error* failure) const;

 private:
  std::string make_head(int status, http_fields fields, std::string_view framing, std::string_view value);
  template <class Buffers>
  boost::asio::awaitable<expected<void>> send(const Buffers& buffers);
  bool has_body(int status) const noexcept;

  peer_stream& peer_;
  http_context& context_;
  cancel_scope& connection_scope_;
  cancel_scope scope_;
  http_request request_;
  std::string key_;
  const steady_clock::time_point began_ = steady_clock::now();
  bool keep_alive_ = false;
  bool chunks_ = true;
  stage stage_ = stage::none;
  int status_ = 0;
};

}  // namespace troupe
