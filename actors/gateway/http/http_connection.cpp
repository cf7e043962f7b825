#include "actors/gateway/http/http_connection.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/http/served_exchange.hpp"
#include "actors/gateway/shutting_down.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace troupe {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

/// How much of what a client sends on is kept while its request is worked on.
constexpr std::size_t most_ahead = 64 << 10;

/// A body that nobody wants is read to its end where it is no larger, which is cheaper for both than another
/// connection.
constexpr std::size_t most_discarded = 64 << 10;

/// How long a client may take to read the last answer, and to close.
constexpr std::chrono::seconds parting{2};

/// Of what a client named, in bytes.
constexpr std::size_t longest_shown = 256;

std::string_view view(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

http_refusal too_large(std::size_t most) {
  return {413,
          make_error(status_code::resource_exhausted,
                     "the body of the request has more than " + std::to_string(most) + " bytes", "send a smaller one"),
          {},
          false};
}

error client_gone() {
  return make_error(status_code::cancelled, "the client has gone");
}

/// What a handler threw, if it did.
error thrown(const std::exception_ptr& what) {
  try {
    std::rethrow_exception(what);
  } catch (const std::exception& e) {
    return make_error(status_code::internal, e.what());
  } catch (...) {
    return make_error(status_code::internal, "something unknown was thrown");
  }
}

}  // namespace

/// Held while a handler has the request, also when the handler goes with the server.
struct http_connection::work_guard {
  explicit work_guard(http_connection& of) : owner(of) { owner.working_ = true; }
  ~work_guard() {
    owner.working_ = false;
    owner.context_->exchanges.leave();
  }
  work_guard(const work_guard&) = delete;
  work_guard& operator=(const work_guard&) = delete;

  http_connection& owner;
};

http_connection::http_connection(asio::ip::tcp::socket socket, std::shared_ptr<http_context> context)
    : context_(std::move(context)),
      peer_(std::make_shared<peer_stream>(std::move(socket), context_->tls ? context_->tls->current() : nullptr,
                                          context_->time, *context_->counts)),
      address_(peer_->address()),
      scope_(no_deadline, context_->scope.token()) {
  context_->counts->connection_opened();
}

http_connection::~http_connection() {
  context_->body_bytes -= counted_;
  context_->counts->connection_closed();
}

void http_connection::drain() noexcept {
  if (idle_)
    close();
}

void http_connection::close() noexcept {
  peer_->close();
}

asio::awaitable<void> http_connection::run() {
  try {
    co_await serve_all();
  } catch (...) {
    log_event(spdlog::level::err, "connection failed",
              {{"gateway", "http"}, {"peer", address_}, {"reason", thrown(std::current_exception()).message()}});
  }
  close();
}

asio::awaitable<void> http_connection::serve_all() {
  if (!co_await peer_->handshake(context_->settings.limits.header_time))
    co_return;
  bool goes_on = true;
  while (goes_on && !context_->exchanges.closed())
    goes_on = co_await serve_one();
  co_await peer_->finish(parting);
}

/// False when there is no other request to be served.
asio::awaitable<bool> http_connection::serve_one() {
  begin_request();
  if (!co_await await_request())
    co_return false;
  served_exchange exchange{*peer_, *context_, scope_};
  const bool goes_on = co_await serve(exchange);
  pass_.reset();
  if (!goes_on)
    co_return false;
  co_return co_await discard_body();
}

asio::awaitable<bool> http_connection::serve(served_exchange& exchange) {
  auto came = co_await receive_head(exchange);
  if (came == progress::made)
    came = co_await receive_body(exchange);
  if (came == progress::gone) {
    const auto why = client_gone();
    exchange.log(&why);
    co_return false;
  }
  if (came == progress::refused)
    co_await refuse(exchange);
  else
    co_await answer(exchange);
  co_return exchange.keeps_alive();
}

void http_connection::begin_request() {
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(context_->settings.limits.header_bytes));
  parser_->body_limit(boost::none);  // which is counted here
  refusal_.reset();
  handler_ = nullptr;
  expects_ = false;
  if (counted_ > 0)
    context_->body_bytes -= std::exchange(counted_, 0);
}

/// Waits for the first byte of a request. False when none comes.
asio::awaitable<bool> http_connection::await_request() {
  idle_ = true;
  peer_->set_deadline(context_->settings.limits.idle_time);
  for (;;) {
    peer_->skip_empty_lines();
    if (peer_->buffered().size() > 0)
      break;
    const auto came = co_await peer_->receive();
    if (came == peer_stream::received::late)
      context_->counts->cut_off(http_cut_off::idle);
    if (came != peer_stream::received::bytes)
      co_return false;
  }
  idle_ = false;
  peer_->set_deadline(context_->settings.limits.header_time);
  co_return true;
}

http_connection::progress http_connection::refuse_as(http_refusal refusal) {
  refusal_ = std::move(refusal);
  return progress::refused;
}

std::size_t http_connection::next_read() const {
  if (!parser_->is_header_done())
    return peer_stream::few;
  const auto length = parser_->content_length_remaining();
  return length && *length <= peer_stream::few ? peer_stream::few : peer_stream::many;
}

/// Parses what is there, or waits for more until something could be parsed.
asio::awaitable<http_connection::progress> http_connection::parse_on(http_cut_off slow) {
  for (;;) {
    if (const auto bytes = peer_->buffered(); bytes.size() > 0) {
      boost::system::error_code failed;
      const auto parsed = parser_->put(bytes, failed);
      peer_->consume(parsed);
      if (!failed)
        co_return progress::made;
      const bool has_line = parser_->is_header_done() || !parser_->get().method_string().empty();
      if (failed != http::error::need_more)
        co_return refuse_as(refuse_unreadable(static_cast<http::error>(failed.value()), has_line));
      // Fields of a trailer, or what stands behind the size of a chunk.
      if (peer_->buffered().size() >= context_->settings.limits.header_bytes)
        co_return refuse_as(refuse_unreadable(http::error::header_limit, has_line));
    }
    const auto came = co_await peer_->receive(next_read());
    if (came == peer_stream::received::end)
      co_return progress::gone;
    if (came == peer_stream::received::late) {
      context_->counts->cut_off(slow);
      co_return refuse_as({408, make_error(status_code::deadline_exceeded, "the request came too slowly"), {}, false});
    }
  }
}

asio::awaitable<http_connection::progress> http_connection::receive_head(served_exchange& exchange) {
  auto& request = exchange.incoming();
  request.peer = address_;
  while (!parser_->is_header_done())
    if (const auto came = co_await parse_on(http_cut_off::slow_header); came != progress::made) {
      request.id = request_id({});
      co_return came;
    }
  const auto& head = parser_->get().base();
  exchange.speak(parser_->keep_alive(), head.version() >= 11);
  expects_ = head.version() >= 11 && head.find(http::field::expect) != head.end();
  auto refused = read_head(head, parser_->chunked(), request);
  if (!refused)
    refused = admit(exchange);
  if (!refused)
    refused = find_route(exchange);
  if (!refused)
    refused = check_length();
  if (refused)
    co_return refuse_as(*std::move(refused));
  co_return progress::made;
}

/// Whether the client may ask at all.
std::optional<http_refusal> http_connection::admit(served_exchange& exchange) {
  auto& request = exchange.incoming();
  request.client = std::hash<std::string>{}(address_);
  if (context_->exchanges.closed())
    return http_refusal{503, shutting_down(), {}, false};
  // A browser asks without a key whether it may ask with one.
  if (!context_->keys || request.method == "OPTIONS")
    return std::nullopt;
  auto pass = context_->keys->admit(view(parser_->get()[http::field::authorization]));
  if (pass) {
    request.client = pass->number();
    exchange.asked_by(pass->name());
    pass_.emplace(*std::move(pass));
    return std::nullopt;
  }
  if (pass.error().code != status_code::unauthenticated)
    return http_refusal{429, std::move(pass).error()};
  http_refusal refusal{401, std::move(pass).error()};
  refusal.fields.set(http::field::www_authenticate, "Bearer");
  return refusal;
}

std::optional<http_refusal> http_connection::find_route(served_exchange& exchange) {
  auto& request = exchange.incoming();
  allowed_.clear();
  if (request.method == "OPTIONS" && request.path == "*")
    return std::nullopt;
  const auto path = parse_target(view(parser_->get().target()))->path;
  auto found = context_->routes.find(request.method, path);
  request.captures = std::move(found.captures);
  handler_ = found.handler;
  return handler_ ? std::nullopt : refuse_path(request, path);
}

/// Nothing, when it is only asked what may be asked.
std::optional<http_refusal> http_connection::refuse_path(const http_request& asked, std::string_view path) {
  const auto shown = "'" + shortened(asked.path, longest_shown) + "'";
  allowed_ = context_->routes.allowed(path);
  if (allowed_.empty())
    return http_refusal{404, make_error(status_code::not_found, "there is no " + shown,
                                        "see the node's documentation for what can be asked")};
  if (asked.method == "OPTIONS")
    return std::nullopt;
  http_refusal refusal{
      405, make_error(status_code::unimplemented, shown + " has no method " + shortened(asked.method, longest_shown),
                      "use one of " + allowed_)};
  refusal.fields.set(http::field::allow, allowed_);
  return refusal;
}

std::optional<http_refusal> http_connection::check_length() {
  const auto most = context_->settings.limits.body_bytes;
  if (const auto length = parser_->content_length(); length && *length > most)
    return too_large(most);
  return std::nullopt;
}

/// Counts what has come of the body.
std::optional<http_refusal> http_connection::count_body() {
  const auto& limits = context_->settings.limits;
  const auto size = parser_->get().body().size();
  if (size > limits.body_bytes)
    return too_large(limits.body_bytes);
  const auto more = size - counted_;
  counted_ = size;
  if (context_->body_bytes.fetch_add(more) + more <= limits.bodies_bytes)
    return std::nullopt;
  auto why =
      make_error(status_code::resource_exhausted, "the bodies of all requests take too much memory", "try again later");
  why.retry_after = std::chrono::seconds{1};
  return http_refusal{503, std::move(why), {}, false};
}

asio::awaitable<http_connection::progress> http_connection::receive_body(served_exchange& exchange) {
  if (!parser_->is_done()) {
    if (expects_ && peer_->buffered().size() == 0) {
      const auto go_on = asio::buffer(std::string_view{"HTTP/1.1 100 Continue\r\n\r\n"});
      if (!co_await peer_->send(go_on, context_->settings.limits.write_time))
        co_return progress::gone;
    }
    const auto time = context_->settings.limits.body_time;
    peer_->set_deadline(time);
    parser_->eager(true);
    std::size_t next_deadline = peer_stream::many;
    while (!parser_->is_done()) {
      if (const auto came = co_await parse_on(http_cut_off::slow_body); came != progress::made)
        co_return came;
      if (auto refused = count_body())
        co_return refuse_as(*std::move(refused));
      if (counted_ >= next_deadline) {
        peer_->set_deadline(time);
        next_deadline = counted_ + peer_stream::many;
      }
    }
  }
  peer_->clear_deadline();
  auto& message = parser_->get();
  auto& request = exchange.incoming();
  request.body = std::move(message.body());
  request.fields = std::move(static_cast<http_fields&>(message.base()));
  co_return progress::made;
}

/// Reads what is left of a request that was answered before it was there. False when that is too much.
asio::awaitable<bool> http_connection::discard_body() {
  if (parser_->is_done())
    co_return true;
  const auto length = parser_->content_length();
  if (expects_ || (length && *length > most_discarded))
    co_return false;
  peer_->set_deadline(context_->settings.limits.body_time);
  parser_->eager(true);
  while (!parser_->is_done()) {
    if (co_await parse_on(http_cut_off::slow_body) != progress::made)
      co_return false;
    if (parser_->get().body().size() > most_discarded)
      co_return false;
  }
  co_return true;
}

http_response http_connection::describe(const http_request& asked, const http_refusal& refusal) const {
  auto answer = context_->routes.describe_error(refusal.status, refusal.why, asked);
  answer.status = refusal.status;
  for (const auto& field : refusal.fields)
    answer.fields.set(field.name_string(), field.value());
  if (const auto wait = refusal.why.retry_after; wait.count() > 0)
    answer.fields.set(http::field::retry_after, std::to_string(std::chrono::ceil<std::chrono::seconds>(wait).count()));
  return answer;
}

asio::awaitable<void> http_connection::refuse(served_exchange& exchange) {
  const auto& refusal = *refusal_;
  peer_->clear_deadline();
  // Browsers, too, want to read why.
  if (parser_->is_header_done())
    exchange.incoming().fields = std::move(static_cast<http_fields&>(parser_->get().base()));
  if (!refusal.keeps_alive)
    exchange.close_afterwards();
  auto answer = describe(exchange.request(), refusal);
  (void)co_await exchange.respond(std::move(answer));
  exchange.log(&refusal.why);
}

http_response http_connection::options(const http_request& asked) const {
  http_response answer;
  answer.status = 204;
  if (!allowed_.empty())
    answer.fields.set(http::field::allow, allowed_);
  if (cors_policy::is_preflight(asked))
    context_->cors.allow_preflight(asked, allowed_, answer.fields);
  return answer;
}

/// Answers a request that was received wholly.
asio::awaitable<void> http_connection::answer(served_exchange& exchange) {
  if (!handler_) {
    auto answer = options(exchange.request());
    (void)co_await exchange.respond(std::move(answer));
    exchange.log(nullptr);
    co_return;
  }
  if (!context_->exchanges.enter()) {
    refusal_ = http_refusal{503, shutting_down(), {}, false};
    co_return co_await refuse(exchange);
  }
  const work_guard working{*this};
  peer_->read_ahead(most_ahead, [this] { scope_.cancel(client_gone()); });
  co_await work(exchange, *handler_);
  peer_->ignore_end();
}

asio::awaitable<void> http_connection::work(served_exchange& exchange, const http_handler& handler) {
  std::exception_ptr caught;
  try {
    co_await handler(exchange);
  } catch (...) {
    caught = std::current_exception();
  }
  using stage = served_exchange::stage;
  const auto how_far = exchange.how_far();
  if (how_far == stage::complete && !caught)
    co_return exchange.log(nullptr);
  if (how_far == stage::broken || (scope_.token().cancelled() && !caught)) {
    const auto why = scope_.token().reason();
    exchange.log(&why);
    co_return;
  }
  const auto why = caught ? thrown(caught) : make_error(status_code::internal, "the handler has no answer");
  log_event(spdlog::level::err, "handler failed",
            {{"gateway", "http"},
             {"id", exchange.request().id},
             {"path", exchange.request().path},
             {"reason", why.message()}});
  if (how_far == stage::none) {
    auto answer = describe(exchange.request(), {500, why});
    (void)co_await exchange.respond(std::move(answer));
  } else {
    // The client must not take what it has for all of it.
    peer_->close();
  }
  exchange.log(&why);
}

}  // namespace troupe
