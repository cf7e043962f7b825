#include "actors/gateway/http/openai/text_exchange.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace troupe::openai {
namespace {

http_fields stream_fields() {
  http_fields fields;
  fields.set(boost::beast::http::field::content_type, "text/event-stream; charset=utf-8");
  fields.set(boost::beast::http::field::cache_control, "no-cache");
  fields.set("X-Accel-Buffering", "no");  // or nginx would keep events back
  return fields;
}

}  // namespace

text_exchange::text_exchange(http_exchange& exchange, const text_request& request, text_format& format,
                             inference_calls& calls, std::chrono::milliseconds keep_alive)
    : exchange_(exchange),
      request_(request),
      format_(format),
      calls_(calls),
      keep_alive_(keep_alive),
      choices_(request.size()),
      left_(request.size()) {}

boost::asio::awaitable<expected<void>> text_exchange::run() {
  if (auto submitted = submit(); !submitted)
    co_return submitted;
  if (request_.stream)
    co_return co_await answer_in_pieces();
  co_return co_await answer_whole();
}

expected<void> text_exchange::submit() {
  for (std::size_t i = 0; i != choices_.size(); ++i)
    if (auto submitted = calls_.submit(request_.inference(i)); !submitted)
      return submitted;
  return {};
}

boost::asio::awaitable<expected<void>> text_exchange::answer_whole() {
  while (!finished()) {
    const auto received = co_await calls_.receive();
    if (!received)
      co_return received.error();
    if (auto taken = take(*received, nullptr); !taken)
      co_return taken;
  }
  const auto began = steady_clock::now();
  http_response answer;
  answer.fields.set(boost::beast::http::field::content_type, "application/json");
  answer.body = write_document(format_.whole(choices_));
  writing_ += steady_clock::now() - began;
  count_output();
  // Whoever can't be answered any more needs no other answer.
  static_cast<void>(co_await exchange_.respond(std::move(answer)));
  co_return expected<void>{};
}

boost::asio::awaitable<expected<void>> text_exchange::answer_in_pieces() {
  const auto first = co_await calls_.receive_within(keep_alive_);
  if (!first)
    co_return first.error();
  std::string events;
  format_.begin(events);
  if (auto taken = take(*first, &events); !taken)
    co_return taken;
  co_await stream(std::move(events));
  co_return expected<void>{};
}

/// Answers by events, whatever becomes of it.
boost::asio::awaitable<void> text_exchange::stream(std::string events) {
  if (!co_await exchange_.begin(200, stream_fields()))
    co_return;
  bool failed = false;
  for (;;) {
    if (finished())
      format_.end(choices_, events);
    if (events.empty())
      events = ": keep-alive\n\n";
    // Whoever can't be answered any more needs no other answer.
    if (!co_await exchange_.write(events))
      co_return;
    if (finished() || failed)
      break;
    events.clear();
    const auto next = co_await calls_.receive_within(keep_alive_);
    const auto taken = next ? take(*next, &events) : expected<void>{next.error()};
    failed = !taken;
    if (failed)
      format_.fail(to_api_error(taken.error(), request_.names), events);
  }
  if (finished())
    count_output();
  static_cast<void>(co_await exchange_.end());
}

/// Takes what calls were answered with; null for `events` when nobody wants any. The first error is the end of all.
expected<void> text_exchange::take(const answers& received, std::string* events) {
  const auto began = steady_clock::now();
  for (const auto& [call, response, last] : received) {
    if (!response)
      return response.error();
    auto piece = read_piece(*response);
    if (!piece)
      return piece.error();
    if (last != !piece->finish_reason.empty())
      return make_error(status_code::internal,
                        last ? "the model's last answer has no finish_reason" : "the model finished and went on",
                        "this is a mistake of its skillset");
    choices_[call].add(*piece);
    if (events)
      format_.add(call, *piece, *events);
    if (last)
      --left_;
  }
  writing_ += steady_clock::now() - began;
  return {};
}

void text_exchange::count_output() const {
  calls_.count_output(writing_);
}

}  // namespace troupe::openai
