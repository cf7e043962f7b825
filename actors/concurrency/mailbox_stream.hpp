#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace troupe {

/// Somebody who waits for items without blocking: woken once, then on its own to come back and take.
class stream_waiter {
 public:
  /// An item may be there, or the stream was closed. Called from the sender's thread without the stream's lock: post
  /// a message or submit a job, and return. The waiter is no longer parked when this is called.
  virtual void wake() = 0;

 protected:
  ~stream_waiter() = default;
};

/// What became of an item that was offered to a stream.
enum class send_result : std::uint8_t {
  sent,    ///< the stream has it
  full,    ///< the sender still has it: there is no room
  closed,  ///< the sender still has it: nobody will receive any more
};

/// A bounded queue between stages: many senders, many receivers, first in first out, every item to exactly one
/// receiver. A full stream answers instead of growing, and an item leaves only by being taken. Receivers that find it
/// empty park a `stream_waiter` in the same step, so that no item can slip in between. Thread-safe.
template <class T>
class mailbox_stream {
 public:
  static constexpr std::size_t default_capacity = 128;

  struct statistics {
    std::size_t buffered;
    std::size_t capacity;
    std::size_t waiting;
    bool closed;
  };

  /// A stream for at most `capacity` items, at least 1.
  explicit mailbox_stream(std::size_t capacity = default_capacity) : capacity_(capacity) {}

  mailbox_stream(const mailbox_stream&) = delete;
  mailbox_stream& operator=(const mailbox_stream&) = delete;

  /// Offers `item`; it is moved from only when the answer is `sent`. Wakes one parked waiter.
  send_result try_send(T&& item) {
    stream_waiter* woken = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (closed_)
        return send_result::closed;
      if (items_.size() >= capacity_)
        return send_result::full;
      items_.push_back(std::move(item));
      woken = next_waiter();
    }
    if (woken)
      woken->wake();
    return send_result::sent;
  }

  /// The oldest item, if there is one.
  std::optional<T> try_receive() {
    const std::lock_guard lock{mutex_};
    return take();
  }

  /// The oldest item; where there is none and the stream is open, parks `waiter` until the next item or the closing.
  /// A waiter may be parked once at a time, and stays alive until it was woken or `unpark` returned true.
  std::optional<T> receive_or_park(stream_waiter& waiter) {
    const std::lock_guard lock{mutex_};
    auto item = take();
    if (!item && !closed_)
      waiters_.push_back(&waiter);
    return item;
  }

  /// Takes a parked waiter back; false when it was not parked, or is being woken. Whoever was woken and will not
  /// receive must call `pass_on()`, or an item may lie while others sleep.
  bool unpark(stream_waiter& waiter) {
    const std::lock_guard lock{mutex_};
    const auto i = std::find(waiters_.begin(), waiters_.end(), &waiter);
    if (i == waiters_.end())
      return false;
    waiters_.erase(i);
    return true;
  }

  /// Wakes the next waiter if there are items.
  void pass_on() {
    stream_waiter* woken = nullptr;
    {
      const std::lock_guard lock{mutex_};
      if (!items_.empty())
        woken = next_waiter();
    }
    if (woken)
      woken->wake();
  }

  /// Takes out every item that `unwanted(item)` holds of, in order, wherever it stands in the queue. `unwanted` runs
  /// under the stream's lock and must not call back into it.
  template <class Predicate>
  std::vector<T> take_if(Predicate unwanted) {
    std::vector<T> taken;
    const std::lock_guard lock{mutex_};
    for (auto i = items_.begin(); i != items_.end();) {
      if (unwanted(std::as_const(*i))) {
        taken.push_back(std::move(*i));
        i = items_.erase(i);
      } else {
        ++i;
      }
    }
    return taken;
  }

  /// No more items are accepted; what is buffered can still be received. Wakes every waiter. Closing twice is fine.
  void close() {
    std::vector<stream_waiter*> woken;
    {
      const std::lock_guard lock{mutex_};
      closed_ = true;
      woken.assign(waiters_.begin(), waiters_.end());
      waiters_.clear();
    }
    for (auto* waiter : woken)
      waiter->wake();
  }

  statistics stats() const {
    const std::lock_guard lock{mutex_};
    return {items_.size(), capacity_, waiters_.size(), closed_};
  }

 private:
  std::optional<T> take() {
    if (items_.empty())
      return std::nullopt;
    std::optional<T> item{std::move(items_.front())};
    items_.pop_front();
    return item;
  }

  stream_waiter* next_waiter() {
    if (waiters_.empty())
      return nullptr;
    auto* waiter = waiters_.front();
    waiters_.pop_front();
    return waiter;
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<T> items_;
  std::deque<stream_waiter*> waiters_;
  bool closed_ = false;
};

}  // namespace troupe
