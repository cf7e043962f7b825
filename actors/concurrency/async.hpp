#pragma once

#include "actors/concurrency/async_wait.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <memory>
#include <utility>

namespace troupe {

namespace detail {

/// A wait whose result goes to an Asio handler, on the handler's executor. Owns itself while it waits, and belongs to
/// the executor afterwards.
template <class Operation, class Handler>
class handled_wait final : public async_wait<Operation> {
 public:
  handled_wait(Operation operation, cancel_token token, Handler handler)
      : async_wait<Operation>(std::move(operation), std::move(token)),
        executor_(boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                      boost::asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected())
      slot.assign([this](boost::asio::cancellation_type) {
        auto why = make_error(status_code::cancelled, "the coroutine was cancelled");
        why.cancellation = true;
        this->abandon(std::move(why));
      });
  }

 private:
  using executor_type = std::decay_t<decltype(boost::asio::prefer(
      std::declval<boost::asio::associated_executor_t<Handler>>(), boost::asio::execution::outstanding_work.tracked))>;

  void resume() noexcept override {
    boost::asio::post(executor_, [self = std::unique_ptr<handled_wait>{this}]() mutable {
      auto slot = boost::asio::get_associated_cancellation_slot(self->handler_);
      if (slot.is_connected())
        slot.clear();
      auto taken = self->take();
      auto handler = std::move(self->handler_);
      self.reset();
      std::move(handler)(std::move(taken));
    });
  }

  executor_type executor_;
  Handler handler_;
};

}  // namespace detail

/// Starts an operation such as `stream.receiver.receive()` for a coroutine, or for whatever else Asio can complete:
/// `auto item = co_await async(stream.receiver.receive(), token, boost::asio::use_awaitable)`. The completion is
/// `void(expected<T>)`, on the executor that belongs to it. Cancelled by `token` and by Asio's own cancellation alike.
template <class Operation, class CompletionToken>
auto async(Operation operation, cancel_token token, CompletionToken&& completion) {
  using result = expected<typename Operation::result_type>;
  return boost::asio::async_initiate<CompletionToken, void(result)>(
      [](auto handler, Operation what, cancel_token under) {
        using wait = detail::handled_wait<Operation, decltype(handler)>;
        (new wait{std::move(what), std::move(under), std::move(handler)})->start();
      },
      completion, std::move(operation), std::move(token));
}

}  // namespace troupe
