#include "actors/gateway/http/served_exchange.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/http/request_head.hpp"

#include <boost/beast/core/buffer_traits.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace troupe {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

boost::beast::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

error answered_twice() {
  return make_error(status_code::failed_precondition, "the request has its answer already");
}

/// Takes out what would end a field and begin another one: an answer must not be forged by what it quotes.
void drop_forged(http_fields& fields) {
  for (auto at = fields.begin(); at != fields.end();) {
    const auto value = at->value();
    const auto field = at++;
    if (std::none_of(value.begin(), value.end(), [](char c) { return c == '\r' || c == '\n' || c == '\0'; }))
      continue;
    log_event(spdlog::level::err, "field of an answer left out",
              {{"name", std::string{field->name_string()}}, {"value", std::string{value}}});
    fields.erase(field);
  }
}

std::string serialize(http::response<http::empty_body>& head) {
  std::string text;
  http::response_serializer<http::empty_body> serializer{head};
  serializer.split(true);
  boost::system::error_code failed;
  serializer.next(failed, [&](boost::system::error_code&, const auto& buffers) {
    text.reserve(boost::beast::buffer_bytes(buffers));
    for (const asio::const_buffer buffer : boost::beast::buffers_range(buffers))
      text.append(static_cast<const char*>(buffer.data()), buffer.size());
  });
  return text;
}

}  // namespace

served_exchange::served_exchange(peer_stream& peer, http_context& context, cancel_scope& scope)
    : peer_(peer), context_(context), connection_scope_(scope), scope_(no_deadline, scope.token()) {
  context_.counts->request_began();
}

served_exchange::~served_exchange() {
  context_.counts->request_ended(status_);
}

void served_exchange::speak(bool keep_alive, bool chunks) noexcept {
  keep_alive_ = keep_alive;
  chunks_ = chunks;
}

bool served_exchange::has_body(int status) const noexcept {
  return request_.method != "HEAD" && status != 204 && status != 304;
}

std::string served_exchange::make_head(int status, http_fields fields, std::string_view framing,
                                       std::string_view value) {
  status_ = status;
  keep_alive_ = keep_alive_ && !context_.exchanges.closed();
  drop_forged(fields);
  context_.cors.allow(request_, fields);
  http::response<http::empty_body> head;
  static_cast<http_fields&>(head.base()) = std::move(fields);
  head.result(static_cast<unsigned>(status));
  head.set(http::field::date, view(http_date()));
  head.set("x-request-id", request_.id);
  if (!framing.empty())
    head.set(view(framing), view(value));
  if (!keep_alive_)
    head.set(http::field::connection, "close");
  else if (!chunks_)
    head.set(http::field::connection, "keep-alive");
  return serialize(head);
}

template <class Buffers>
asio::awaitable<expected<void>> served_exchange::send(const Buffers& buffers) {
  auto sent = co_await peer_.send(buffers, context_.settings.limits.write_time);
  if (!sent) {
    stage_ = stage::broken;
    if (sent.error().code == status_code::deadline_exceeded)
      context_.counts->cut_off(http_cut_off::slow_reader);
    connection_scope_.cancel(sent.error());
  }
  co_return sent;
}

asio::awaitable<expected<void>> served_exchange::respond(http_response answer) {
  if (stage_ != stage::none)
    co_return answered_twice();
  stage_ = stage::complete;
  const bool framed = answer.status != 204 && answer.status >= 200;
  const auto length = std::to_string(answer.body.size());
  const auto head = make_head(answer.status, std::move(answer.fields), framed ? "Content-Length" : "", length);
  std::array<asio::const_buffer, 2> buffers{asio::buffer(head)};
  if (has_body(answer.status))
    buffers[1] = asio::buffer(answer.body);
  co_return co_await send(buffers);
}

asio::awaitable<expected<void>> served_exchange::begin(int status, http_fields fields) {
  if (stage_ != stage::none)
    co_return answered_twice();
  stage_ = stage::begun;
  // HTTP/1.0 knows no other end of an answer than that of the connection.
  if (!chunks_)
    keep_alive_ = false;
  const bool chunked = chunks_ && has_body(status);
  const auto head = make_head(status, std::move(fields), chunked ? "Transfer-Encoding" : "", "chunked");
  const auto buffers = asio::buffer(head);
  co_return co_await send(buffers);
}

asio::awaitable<expected<void>> served_exchange::write(std::string_view bytes) {
  if (stage_ != stage::begun)
    co_return stage_ == stage::broken ? connection_scope_.token().reason() : answered_twice();
  // A chunk without bytes would be the end.
  if (bytes.empty() || !has_body(status_))
    co_return expected<void>{};
  const auto text = asio::buffer(bytes);
  if (!chunks_)
    co_return co_await send(text);
  const http::chunk_body<asio::const_buffer> chunk{text};
  co_return co_await send(chunk);
}

asio::awaitable<expected<void>> served_exchange::end() {
  if (stage_ != stage::begun)
    co_return stage_ == stage::broken ? connection_scope_.token().reason() : answered_twice();
  stage_ = stage::complete;
  if (!chunks_ || !has_body(status_))
    co_return expected<void>{};
  const http::chunk_last<http::chunk_crlf> last;
  co_return co_await send(last);
}

void served_exchange::log(const error* failure) const {
  const auto level = failure || status_ >= 400 ? spdlog::level::info : spdlog::level::debug;
  if (!logs(level))
    return;
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - began_;
  if (failure)
    log_event(level, "request",
              {{"gateway", "http"},
               {"id", request_.id},
               {"peer", request_.peer},
               {"key", key_},
               {"method", request_.method},
               {"path", request_.path},
               {"status", status_},
               {"ms", took.count()},
               {"reason", failure->message()}});
  else
    log_event(level, "request",
              {{"gateway", "http"},
               {"id", request_.id},
               {"peer", request_.peer},
               {"key", key_},
               {"method", request_.method},
               {"path", request_.path},
               {"status", status_},
               {"ms", took.count()}});
}

}  // namespace troupe
