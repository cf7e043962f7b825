#pragma once

#include "actors/concurrency/async_wait.hpp"
#include "actors/concurrency/event.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <type_traits>
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
///
/// GCC 12 destroys twice what a lambda holds, or an aggregate that is written with braces, when it stands within a
/// `co_await` expression. References and numbers don't mind. Name an operation that is made from anything else:
/// `auto work = pool.run([file] { … }, token); co_await async(std::move(work), token, use_awaitable)`.
template <class Operation, class CompletionToken>
auto async(Operation&& operation, cancel_token token, CompletionToken&& completion) {
  using executor = typename detail::coroutine_executor<std::decay_t<CompletionToken>>::type;
  if constexpr (!std::is_void_v<executor> && requires { operation.attempt(); })
    return detail::attempt_or_wait<Operation, executor>(std::forward<Operation>(operation), std::move(token));
  else
    return detail::initiate(std::forward<Operation>(operation), std::move(token),
                            std::forward<CompletionToken>(completion));
}

namespace detail {

using asio_signal = std::shared_ptr<boost::asio::cancellation_signal>;

/// Where a coroutine and the signal that cancels it run one after the other, on executors of several threads, too.
template <class Executor>
Executor one_after_the_other(const Executor& executor) {
  if constexpr (std::is_constructible_v<Executor, boost::asio::strand<Executor>>)
    return Executor{boost::asio::make_strand(executor)};
  else
    return executor;
}

/// What Asio makes of an operation that was cancelled: a result that begins with the error code, or an exception.
template <class T>
T operation_aborted() {
  const boost::system::error_code why = boost::asio::error::operation_aborted;
  if constexpr (requires { requires std::same_as<std::tuple_element_t<0, T>, boost::system::error_code>; }) {
    T result;
    std::get<0>(result) = why;
    return result;
  } else {
    throw boost::system::system_error{why};
  }
}

/// Has `stop` emitted when the token is cancelled, for as long as this lives; on the executor.
class emit_when_cancelled {
 public:
  template <class Executor>
  emit_when_cancelled(const cancel_token& token, const Executor& executor, asio_signal stop) {
    async(over_.wait(), token,
          boost::asio::bind_executor(executor, [stop = std::move(stop)](const expected<void>& over) {
            if (!over)
              stop->emit(boost::asio::cancellation_type::terminal);
          }));
  }
  emit_when_cancelled(const emit_when_cancelled&) = delete;
  emit_when_cancelled& operator=(const emit_when_cancelled&) = delete;
  ~emit_when_cancelled() { over_.set(); }

 private:
  event over_;
};

template <class T, class Executor, class Keep>
boost::asio::awaitable<void, Executor> watched(boost::asio::awaitable<T, Executor> work, cancel_token token,
                                               asio_signal stop, Keep keep) {
  const emit_when_cancelled watch{token, co_await boost::asio::this_coro::executor, std::move(stop)};
  if constexpr (std::is_void_v<T>)
    co_await std::move(work);
  else
    keep(co_await std::move(work));
}

}  // namespace detail

/// Asio's own operations, such as timers and sockets, know nothing of our tokens. This puts one, or a whole coroutine
/// of them, under a token: `co_await under(token, timer.async_wait(boost::asio::use_awaitable))`. When the token is
/// cancelled, its deadline included, what `work` waits for gets Asio's terminal cancellation, and this ends as `work`
/// does: usually by `operation_aborted`, thrown, or returned with `as_tuple`; or well, where the end was there before.
/// Under a token that is cancelled already nothing is started, which is told in the same way. Asio's cancellation of
/// the awaiting coroutine goes through to `work`.
///
/// `work` runs on the coroutine's executor, in a strand of its own. On an executor type of no `any_io_executor` there
/// is none: give such a one a strand where several threads run it.
template <class T, class Executor>
boost::asio::awaitable<T, Executor> under(cancel_token token, boost::asio::awaitable<T, Executor> work) {
  if (token.cancelled())
    co_return detail::operation_aborted<T>();
  const Executor executor = detail::one_after_the_other(co_await boost::asio::this_coro::executor);
  const auto stop = std::make_shared<boost::asio::cancellation_signal>();
  const boost::asio::cancellation_state cancellation = co_await boost::asio::this_coro::cancellation_state;
  auto outer = cancellation.slot();
  if (outer.is_connected())
    outer.assign([stop, executor](boost::asio::cancellation_type how) {
      boost::asio::dispatch(executor, [stop, how] { stop->emit(how); });
    });
  const auto spawn = [&](auto keep) {
    return boost::asio::co_spawn(
        executor, detail::watched(std::move(work), std::move(token), stop, std::move(keep)),
        boost::asio::bind_cancellation_slot(stop->slot(), boost::asio::use_awaitable_t<Executor>{}));
  };
  if constexpr (std::is_void_v<T>) {
    co_await spawn(nullptr);
  } else {
    // Asio would want to make one itself to go with an exception.
    std::optional<T> result;
    co_await spawn([&result](T value) { result.emplace(std::move(value)); });
    co_return *std::move(result);
  }
}

}  // namespace troupe
