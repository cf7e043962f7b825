#include "actors/gateway/http/peer_stream.hpp"

#include "actors/gateway/http/http_metrics.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>

#include <string_view>
#include <utility>

namespace troupe {
namespace {

namespace asio = boost::asio;

constexpr auto wait_here = asio::as_tuple(asio::use_awaitable);

}  // namespace

peer_stream::peer_stream(asio::ip::tcp::socket socket, std::shared_ptr<asio::ssl::context> tls, clock& by,
                         http_metrics& counts)
    : wire_(std::move(socket), std::move(tls)), counts_(counts), alarm_(by, [this] {
        // The clock's thread: this lives at least until the alarm is disarmed.
        asio::post(wire_.socket().get_executor(), [weak = weak_from_this()] {
          if (const auto self = weak.lock())
            self->on_alarm();
        });
      }) {}

peer_stream::~peer_stream() = default;

std::string peer_stream::address() const {
  boost::system::error_code failed;
  const auto peer = wire_.socket().remote_endpoint(failed);
  return failed ? std::string{} : peer.address().to_string();
}

void peer_stream::skip_empty_lines() noexcept {
  const auto bytes = buffer_.cdata();
  const std::string_view text{static_cast<const char*>(bytes.data()), bytes.size()};
  std::size_t skipped = 0;
  while (text.substr(skipped, 2) == "\r\n")
    skipped += 2;
  buffer_.consume(skipped);
}

asio::awaitable<bool> peer_stream::handshake(milliseconds time) {
  if (!wire_.secure())
    co_return true;
  writing_ = true;
  alarm_.set(time);
  const auto [failed] = co_await wire_.async_handshake(wait_here);
  alarm_.clear();
  writing_ = false;
  co_return !failed;
}

template <class CompletionToken>
auto peer_stream::async_wait_for_input(CompletionToken&& token) {
  return asio::async_initiate<CompletionToken, void()>(
      [this](auto handler) {
        struct resumes final : waiting {
          explicit resumes(decltype(handler) which) : handler_(std::move(which)) {}
          void resume() override { std::move(handler_)(); }
          decltype(handler) handler_;
        };
        waiting_ = std::make_unique<resumes>(std::move(handler));
      },
      token);
}

asio::awaitable<peer_stream::received> peer_stream::receive(std::size_t most) {
  on_end_ = nullptr;
  ahead_ = 0;
  const auto before = buffer_.size();
  // What a large body needed is not kept while the client idles.
  if (before == 0 && most == few && buffer_.capacity() > many)
    buffer_.shrink_to_fit();
  if (!reading_ && !ended_)
    start_reading(most);
  if (reading_)
    co_await async_wait_for_input(asio::use_awaitable);
  if (std::exchange(late_, false))
    co_return received::late;
  co_return buffer_.size() > before ? received::bytes : received::end;
}

void peer_stream::read_ahead(std::size_t most, std::function<void()> on_end) {
  on_end_ = std::move(on_end);
  ahead_ = most;
  if (ended_)
    std::exchange(on_end_, nullptr)();
  else if (!reading_ && buffer_.size() < ahead_)
    start_reading(few);
}

void peer_stream::ignore_end() noexcept {
  on_end_ = nullptr;
}

void peer_stream::start_reading(std::size_t most) {
  reading_ = true;
  if (room_ != most) {
    incoming_ = std::make_unique_for_overwrite<char[]>(most);
    room_ = most;
  }
  wire_.async_read_some(asio::buffer(incoming_.get(), room_),
                        [self = shared_from_this()](const boost::system::error_code& failed, std::size_t bytes) {
                          self->on_read(failed, bytes);
                        });
}

void peer_stream::on_read(const boost::system::error_code& failed, std::size_t bytes) {
  reading_ = false;
  asio::buffer_copy(buffer_.prepare(bytes), asio::buffer(incoming_.get(), bytes));
  buffer_.commit(bytes);
  ended_ = ended_ || failed;
  if (waiting_)
    wake();
  else if (ended_ && on_end_)
    std::exchange(on_end_, nullptr)();
  else if (!ended_ && buffer_.size() < ahead_)
    start_reading(few);
  counts_.received(bytes);
}

void peer_stream::wake() {
  if (const auto who = std::move(waiting_))
    who->resume();
}

void peer_stream::on_alarm() {
  if (!alarm_.passed())
    return;
  if (waiting_) {
    late_ = true;
    wake();
  } else if (writing_) {
    stalled_ = true;
    close();
  }
}

void peer_stream::count_sent(std::size_t bytes) noexcept {
  counts_.sent(bytes);
}

error peer_stream::why_unsent() const {
  if (stalled_)
    return make_error(status_code::deadline_exceeded, "the client does not read its answer");
  return make_error(status_code::unavailable, "the client has gone");
}

asio::awaitable<void> peer_stream::finish(milliseconds time) {
  boost::system::error_code ignored;
  alarm_.set(time);
  if (wire_.secure()) {
    writing_ = true;
    // A read that is under way would get in the way of TLS' own, and takes part in this one.
    co_await wire_.async_shutdown(wait_here);
    writing_ = false;
  }
  if (!closed_)
    wire_.socket().shutdown(asio::socket_base::shutdown_send, ignored);
  while (!ended_ && !closed_) {
    const auto came = co_await receive();
    buffer_.consume(buffer_.size());
    if (came != received::bytes)
      break;
  }
  close();
}

void peer_stream::close() noexcept {
  if (std::exchange(closed_, true))
    return;
  boost::system::error_code ignored;
  // What a client does not read must not stay in the kernel.
  if (stalled_)
    wire_.socket().set_option(asio::socket_base::linger{true, 0}, ignored);
  wire_.socket().close(ignored);
  alarm_.clear();
}

}  // namespace troupe
