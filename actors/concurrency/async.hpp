#pragma once

#include "actors/concurrency/async_wait.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace troupe {

namespace detail {

/// The waits whose handlers belong to one execution context, such as an io_context: when that is destroyed, they leave
/// the queues they stand in before the context and the coroutines go, and nobody completes them any more.
class context_waits final : public boost::asio::execution_context::service {
 public:
  using key_type = context_waits;
  static inline boost::asio::execution_context::id id;

  class entry {
   public:
    virtual ~entry() = default;
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;

   protected:
    entry() = default;

   private:
    friend class context_waits;

    /// As `async_wait::forget()`.
    virtual bool leave_queue() = 0;

    entry* next_ = nullptr;
    entry* previous_ = nullptr;
    bool resumed_ = false;
  };

  explicit context_waits(boost::asio::execution_context& owner) : service(owner) {}

  void add(entry& wait) {
    const std::lock_guard lock{mutex_};
    wait.next_ = std::exchange(first_, &wait);
    if (wait.next_)
      wait.next_->previous_ = &wait;
  }

  /// Calls `post` for a wait that has its result; unless the context is going, which then destroys the wait. The
  /// context can't go while `post` runs.
  template <class Post>
  void resume(entry& wait, Post post) {
    const std::lock_guard lock{mutex_};
    if (shut_down_) {
      wait.resumed_ = true;
      resumed_.notify_all();
      return;
    }
    (wait.previous_ ? wait.previous_->next_ : first_) = wait.next_;
    if (wait.next_)
      wait.next_->previous_ = wait.previous_;
    post();
  }

 private:
  void shutdown() override {
    std::vector<std::unique_ptr<entry>> all;
    {
      const std::lock_guard lock{mutex_};
      shut_down_ = true;
      for (auto* wait = std::exchange(first_, nullptr); wait; wait = wait->next_)
        all.emplace_back(wait);
    }
    // All of them first: what the coroutines hold goes with them, and is passed on to others.
    for (auto& wait : all)
      if (!wait->leave_queue()) {
        std::unique_lock lock{mutex_};
        resumed_.wait(lock, [&] { return wait->resumed_; });
      }
  }

  std::mutex mutex_;
  std::condition_variable resumed_;
  bool shut_down_ = false;
  entry* first_ = nullptr;
};

/// A wait whose result goes to an Asio handler, on the handler's executor. Belongs to the executor's context while it
/// waits, and to the executor afterwards.
template <class Operation, class Handler>
class handled_wait final : public async_wait<Operation>, private context_waits::entry {
 public:
  handled_wait(Operation&& operation, cancel_token token, Handler handler)
      : async_wait<Operation>(std::forward<Operation>(operation), std::move(token)),
        executor_(boost::asio::prefer(boost::asio::get_associated_executor(handler),
                                      boost::asio::execution::outstanding_work.tracked)),
        handler_(std::move(handler)),
        all_(boost::asio::use_service<context_waits>(context())) {
    all_.add(*this);
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected())
      slot.assign([this](boost::asio::cancellation_type) {
        auto why = make_error(status_code::cancelled, "the coroutine was cancelled");
        why.cancellation = true;
        this->abandon(std::move(why));
      });
  }

  /// The operation may be part of the coroutine, which goes with the handler.
  ~handled_wait() override { this->discard(); }

 private:
  using executor_type = std::decay_t<decltype(boost::asio::prefer(
      std::declval<boost::asio::associated_executor_t<Handler>>(), boost::asio::execution::outstanding_work.tracked))>;

  boost::asio::execution_context& context() const {
    return boost::asio::query(executor_, boost::asio::execution::context);
  }

  bool leave_queue() override { return this->forget(); }

  void resume() noexcept override {
    all_.resume(*this, [this] {
      boost::asio::post(executor_,
                        [self = std::unique_ptr<handled_wait>{this}]() mutable { complete(std::move(self)); });
    });
  }

  static void complete(std::unique_ptr<handled_wait> self) {
    auto slot = boost::asio::get_associated_cancellation_slot(self->handler_);
    if (slot.is_connected())
      slot.clear();
    auto taken = self->take();
    auto handler = std::move(self->handler_);
    self.reset();
    std::move(handler)(std::move(taken));
  }

  executor_type executor_;
  Handler handler_;
  context_waits& all_;
};

/// How many operations in a row a thread completes for coroutines at once. After that one goes by way of the executor,
/// so that a coroutine that never has to wait doesn't keep others from running.
inline constexpr unsigned most_at_once = 64;

/// False when it is another's turn.
inline bool may_complete_at_once() noexcept {
  static thread_local unsigned completed = 0;
  if (++completed < most_at_once)
    return true;
  completed = 0;
  return false;
}

/// Starts the wait in any case. What it brings goes by way of the handler's executor.
template <class Operation, class CompletionToken>
auto initiate(Operation&& operation, cancel_token token, CompletionToken&& completion) {
  using result = expected<typename std::remove_reference_t<Operation>::result_type>;
  // Asio copies what it passes on, so that a reference has to go as a pointer.
  if constexpr (std::is_lvalue_reference_v<Operation>)
    return boost::asio::async_initiate<CompletionToken, void(result)>(
        [](auto handler, auto* what, cancel_token under) {
          using wait = handled_wait<Operation, decltype(handler)>;
          (new wait{*what, std::move(under), std::move(handler)})->start();
        },
        completion, &operation, std::move(token));
  else
    return boost::asio::async_initiate<CompletionToken, void(result)>(
        [](auto handler, std::remove_reference_t<Operation> what, cancel_token under) {
          using wait = handled_wait<Operation, decltype(handler)>;
          (new wait{std::move(what), std::move(under), std::move(handler)})->start();
        },
        completion, std::move(operation), std::move(token));
}

/// What a coroutine waits for when it may not have to: then it goes on at once, without its executor.
template <class Operation, class Executor>
boost::asio::awaitable<expected<typename std::remove_reference_t<Operation>::result_type>, Executor> attempt_or_wait(
    Operation operation, cancel_token token) {
  if (may_complete_at_once()) {
    if (is_refusable<std::remove_reference_t<Operation>>() && token.cancelled())
      co_return token.reason();
    if (auto done = operation.attempt())
      co_return *std::move(done);
  }
  co_return co_await initiate(operation, std::move(token), boost::asio::deferred);
}

/// The executor of a coroutine that waits, by its completion token; void for other completions.
template <class CompletionToken>
struct coroutine_executor {
  using type = void;
};
template <class Executor>
struct coroutine_executor<boost::asio::use_awaitable_t<Executor>> {
  using type = Executor;
};

}  // namespace detail

/// Starts an operation such as `stream.receiver.receive()` for a coroutine, or for whatever else Asio can complete:
/// `auto item = co_await async(stream.receiver.receive(), token, boost::asio::use_awaitable)`. The completion is
/// `void(expected<T>)`, on the executor that belongs to it. Cancelled by `token` and by Asio's own cancellation alike.
/// A named operation stays with the caller, who keeps it until the completion: a refused item is still in there. When
/// the executor's context is destroyed the wait goes with it; nothing is taken then, and nothing lost.
template <class Operation, class CompletionToken>
auto async(Operation&& operation, cancel_token token, CompletionToken&& completion) {
  using executor = typename detail::coroutine_executor<std::decay_t<CompletionToken>>::type;
  if constexpr (!std::is_void_v<executor> && requires { operation.attempt(); })
    return detail::attempt_or_wait<Operation, executor>(std::forward<Operation>(operation), std::move(token));
  else
    return detail::initiate(std::forward<Operation>(operation), std::move(token),
                            std::forward<CompletionToken>(completion));
}

}  // namespace troupe
