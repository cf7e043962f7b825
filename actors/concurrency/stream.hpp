#pragma once

#include "actors/concurrency/brief_mutex.hpp"
#include "actors/concurrency/pending.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace troupe {

/// The capacity of a stream that never refuses: to be spelled out by whoever knows what bounds it otherwise.
struct unbounded_t {};
inline constexpr unbounded_t unbounded;

inline constexpr std::int64_t default_stream_capacity = 128;

/// What a stream is at, to be told from either side.
struct stream_statistics {
  std::size_t buffered;
  std::size_t capacity;           ///< SIZE_MAX: unbounded
  std::size_t open_senders;       ///< handles
  std::size_t open_receivers;     ///< handles
  std::size_t waiting_senders;    ///< sends that wait for room
  std::size_t waiting_receivers;  ///< receives that wait for an item

  friend bool operator==(const stream_statistics&, const stream_statistics&) = default;
};

namespace detail {

// What is closed without having been anything: a half that was moved from.
inline error closed_sender() {
  return closed_resource("this sender of the stream is closed");
}
inline error closed_receiver() {
  return closed_resource("this receiver of the stream is closed");
}

/// The state of a stream, which its handles share.
template <class T>
class stream_core {
 public:
  /// One handle's own part. It keeps the core, so that whoever waits on the handle keeps this alone: what all tasks
  /// count on together is what they would wait for each other at.
  struct handle {
    const std::shared_ptr<stream_core> core;
    bool closed = false;  // guarded by the core's mutex
  };

  /// How an item gets to a receiver that waits: the operation knows what it made the receiver wait for.
  using deliver = void (*)(waiter& receiver, expected<T> item, wake_list& woken);

  explicit stream_core(std::size_t capacity) : capacity_(capacity) {}

  /// Null for `who`: without waiting. Nothing is returned when it would have to wait, or does.
  std::optional<expected<void>> send(const handle& from, T& item, pending<void>* who) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (auto refused = refuse_send(from))
      return *std::move(refused);
    if (put(item, woken))
      return expected<void>{};
    if (!who)
      return std::nullopt;
    who->owner = &from;
    who->subject = &item;
    senders_.push_back(*who);
    return std::nullopt;
  }

  /// The same. `how` lives as long as the wait.
  std::optional<expected<T>> receive(const handle& to, waiter* who, const deliver* how) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (auto refused = refuse_receive(to))
      return *std::move(refused);
    if (auto item = take(woken))
      return *std::move(item);
    if (open_senders_ == 0)
      return end_of_stream();
    if (who)
      queue_receiver(to, *who, *how);
    return std::nullopt;
  }

  /// The same for what is there, up to `most`.
  std::optional<expected<std::vector<T>>> receive(const handle& to, std::size_t most, waiter* who, const deliver* how) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (auto refused = refuse_receive(to))
      return *std::move(refused);
    std::vector<T> items;
    take_more(items, most, woken);
    if (!items.empty())
      return items;
    if (open_senders_ == 0)
      return end_of_stream();
    if (who)
      queue_receiver(to, *who, *how);
    return std::nullopt;
  }

  /// Adds what is there to `items`, until they are `most`.
  void take_more(std::vector<T>& items, std::size_t most) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    take_more(items, most, woken);
  }

  template <class Result>
  bool abandon_send(pending<Result>& who, error why) {
    return abandon(senders_, who, std::move(why));
  }
  template <class Result>
  bool abandon_receive(pending<Result>& who, error why) {
    return abandon(receivers_, who, std::move(why));
  }

  /// Takes back items that were given to a receiver who was gone before it could have them: they are the next again.
  void give_back(std::span<T> items) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    buffer_.insert(buffer_.begin(), std::move_iterator{items.begin()}, std::move_iterator{items.end()});
    while (!buffer_.empty() && !receivers_.empty()) {
      auto item = std::move(buffer_.front());
      buffer_.pop_front();
      hand_over(*receivers_.pop_front(), std::move(item), woken);
    }
  }

  void open_sender() { open(open_senders_); }
  void open_receiver() { open(open_receivers_); }

  void close_sender(handle& which) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (std::exchange(which.closed, true))
      return;
    fail_waiting(senders_, which, woken);
    if (--open_senders_ == 0)
      while (auto* receiver = receivers_.pop_front())
        hand_over(*receiver, end_of_stream(), woken);
  }

  /// The number of items that nobody can receive any more because of this: 0, unless it was the last receiver.
  std::size_t close_receiver(handle& which) {
    wake_list woken;
    const std::lock_guard lock{mutex_};
    if (std::exchange(which.closed, true))
      return 0;
    fail_waiting(receivers_, which, woken);
    if (--open_receivers_ > 0)
      return 0;
    while (auto* sender = senders_.pop_front())
      complete(static_cast<pending<void>&>(*sender), expected<void>{nobody_receives()}, woken);
    return buffer_.size();
  }

  bool closed(const handle& which) const {
    const std::lock_guard lock{mutex_};
    return which.closed;
  }

  stream_statistics statistics() const {
    const std::lock_guard lock{mutex_};
    return {buffer_.size(), capacity_, open_senders_, open_receivers_, senders_.size(), receivers_.size()};
  }

  /// Takes out every buffered item that `unwanted(item)` holds of, wherever it stands. Senders that wait move up.
  /// `unwanted` runs under the lock and must not call back into the stream.
  template <class Predicate>
  std::vector<T> take_if(Predicate unwanted) {
    wake_list woken;
    std::vector<T> taken;
    const std::lock_guard lock{mutex_};
    auto end_of_kept = buffer_.begin();
    for (auto i = buffer_.begin(); i != buffer_.end(); ++i) {
      if (unwanted(std::as_const(*i))) {
        taken.push_back(std::move(*i));
        continue;
      }
      if (end_of_kept != i)
        *end_of_kept = std::move(*i);
      ++end_of_kept;
    }
    buffer_.erase(end_of_kept, buffer_.end());
    while (buffer_.size() < capacity_ && !senders_.empty())
      buffer_.push_back(take_from(*senders_.pop_front(), woken));
    return taken;
  }

 private:
  static error nobody_receives() { return broken_resource("nobody receives from the stream any more"); }

  std::optional<error> refuse_send(const handle& from) const {
    if (from.closed)
      return closed_sender();
    if (open_receivers_ == 0)
      return nobody_receives();
    return std::nullopt;
  }

  std::optional<error> refuse_receive(const handle& to) const {
    if (to.closed)
      return closed_receiver();
    return std::nullopt;
  }

  /// Gives an item to a receiver that waits, or to the buffer; false, and nothing moved, where there is no room.
  bool put(T& item, wake_list& woken) {
    if (auto* receiver = receivers_.pop_front()) {
      hand_over(*receiver, std::move(item), woken);
      return true;
    }
    if (buffer_.size() >= capacity_)
      return false;
    buffer_.push_back(std::move(item));
    return true;
  }

  /// The next item: of the buffer, into which the first sender that waits then moves up, or straight from that sender.
  std::optional<T> take(wake_list& woken) {
    auto* sender = buffer_.size() <= capacity_ ? senders_.pop_front() : nullptr;
    if (buffer_.empty())
      return sender ? std::optional<T>{take_from(*sender, woken)} : std::nullopt;
    std::optional<T> item{std::move(buffer_.front())};
    buffer_.pop_front();
    if (sender)
      buffer_.push_back(take_from(*sender, woken));
    return item;
  }

  void take_more(std::vector<T>& items, std::size_t most, wake_list& woken) {
    if (items.size() < most)
      items.reserve(std::min(most, items.size() + buffer_.size()));
    while (items.size() < most) {
      auto item = take(woken);
      if (!item)
        return;
      items.push_back(*std::move(item));
    }
  }

  void queue_receiver(const handle& to, waiter& who, const deliver& how) {
    who.owner = &to;
    who.subject = const_cast<void*>(static_cast<const void*>(&how));
    receivers_.push_back(who);
  }

  static T take_from(waiter& sender, wake_list& woken) {
    T item = std::move(*static_cast<T*>(sender.subject));
    complete(static_cast<pending<void>&>(sender), expected<void>{}, woken);
    return item;
  }

  static void hand_over(waiter& receiver, expected<T> item, wake_list& woken) {
    (*static_cast<const deliver*>(receiver.subject))(receiver, std::move(item), woken);
  }

  /// Ends the waits on a handle that is being closed; those on its clones go on.
  void fail_waiting(wait_queue& queue, const handle& which, wake_list& woken) {
    for (auto* who = queue.front(); who;) {
      auto* next = wait_queue::behind(*who);
      if (who->owner == &which) {
        queue.erase(*who);
        auto why = closed_resource("the handle was closed while it was waited on");
        if (&queue == &receivers_)
          hand_over(*who, std::move(why), woken);
        else
          complete(static_cast<pending<void>&>(*who), expected<void>{std::move(why)}, woken);
      }
      who = next;
    }
  }

  template <class Result>
  bool abandon(wait_queue& queue, pending<Result>& who, error why) {
    const std::lock_guard lock{mutex_};
    return queue.withdraw(who, std::move(why));
  }

  void open(std::size_t& count) {
    const std::lock_guard lock{mutex_};
    ++count;
  }

  const std::size_t capacity_;
  mutable brief_mutex mutex_;
  std::deque<T> buffer_;
  wait_queue senders_;
  wait_queue receivers_;
  std::size_t open_senders_ = 0;
  std::size_t open_receivers_ = 0;
};

template <class T>
using core_ptr = std::shared_ptr<stream_core<T>>;

template <class T>
using handle_ptr = std::shared_ptr<typename stream_core<T>::handle>;

template <class T>
handle_ptr<T> make_handle(core_ptr<T> core) {
  using handle = typename stream_core<T>::handle;
  return std::make_shared<handle>(handle{std::move(core)});
}

/// Says that the last receiver of a stream was dropped, and `items` with it.
void report_unreceived(std::size_t items);

}  // namespace detail

// -- Operations that may have to wait: what `wait`, `async` and `await` take
// -------------------------------------------

/// Sends one item. Until it is sent the item stays in here, and `item` gives it back to a sender who was refused.
template <class T>
class send_operation {
 public:
  using result_type = void;

  send_operation(detail::handle_ptr<T> from, T what) : item(std::move(what)), from_(std::move(from)) {}

  std::optional<expected<void>> attempt() { return send(nullptr); }
  std::optional<expected<void>> begin(pending<void>& who) { return send(&who); }
  bool abandon(pending<void>& who, error why) { return from_->core->abandon_send(who, std::move(why)); }

  T item;

 private:
  std::optional<expected<void>> send(pending<void>* who) {
    return from_ ? from_->core->send(*from_, item, who) : expected<void>{detail::closed_sender()};
  }

  detail::handle_ptr<T> from_;
};

/// Receives one item. Should the owner of the wait be gone when the item comes, `undo` puts it back. Once it is done it
/// may be begun again, by whoever receives for a living.
template <class T>
class receive_operation {
 public:
  using result_type = T;

  explicit receive_operation(detail::handle_ptr<T> to) : to_(std::move(to)) {}

  std::optional<expected<T>> attempt() { return receive(nullptr); }
  std::optional<expected<T>> begin(pending<T>& who) { return receive(&who); }
  bool abandon(pending<T>& who, error why) { return to_->core->abandon_receive(who, std::move(why)); }
  void undo(T item) { to_->core->give_back({&item, 1}); }

 private:
  std::optional<expected<T>> receive(pending<T>* who) {
    return to_ ? to_->core->receive(*to_, who, &how) : expected<T>{detail::closed_receiver()};
  }

  static constexpr typename detail::stream_core<T>::deliver how = [](waiter& who, expected<T> item, wake_list& woken) {
    complete(static_cast<pending<T>&>(who), std::move(item), woken);
  };

  detail::handle_ptr<T> to_;
};

/// Receives what is there, waiting for the first item only: one wake-up for many.
template <class T>
class receive_batch_operation {
 public:
  using result_type = std::vector<T>;

  receive_batch_operation(detail::handle_ptr<T> to, std::size_t most) : to_(std::move(to)), most_(most) {}

  std::optional<expected<result_type>> attempt() { return receive(nullptr); }
  std::optional<expected<result_type>> begin(pending<result_type>& who) { return receive(&who); }
  bool abandon(pending<result_type>& who, error why) { return to_->core->abandon_receive(who, std::move(why)); }

  /// Called by the owner with what the wait brought: what has come since goes along.
  expected<result_type> finish(expected<result_type> items) {
    if (items)
      to_->core->take_more(*items, most_);
    return items;
  }

  void undo(result_type items) { to_->core->give_back(items); }

 private:
  std::optional<expected<result_type>> receive(pending<result_type>* who) {
    return to_ ? to_->core->receive(*to_, most_, who, &how) : expected<result_type>{detail::closed_receiver()};
  }

  static expected<result_type> batch(expected<T> item) {
    if (!item)
      return std::move(item).error();
    result_type items;
    items.push_back(*std::move(item));
    return items;
  }

  static constexpr typename detail::stream_core<T>::deliver how = [](waiter& who, expected<T> item, wake_list& woken) {
    complete(static_cast<pending<result_type>&>(who), batch(std::move(item)), woken);
  };

  detail::handle_ptr<T> to_;
  std::size_t most_;
};

// -- Handles ----------------------------------------------------------------------------------------------------------

/// The sending side of a mailbox stream. Move-only: `clone()` makes one more, and the stream ends for its receivers
/// when the last is closed or destroyed. One that was moved from is a closed one. Thread-safe, but for being moved.
template <class T>
class send_half {
 public:
  explicit send_half(detail::core_ptr<T> core) : handle_(detail::make_handle<T>(std::move(core))) {
    handle_->core->open_sender();
  }
  send_half(send_half&&) noexcept = default;
  send_half& operator=(send_half&& other) noexcept {
    send_half replaced{std::move(*this)};
    handle_ = std::move(other.handle_);
    return *this;
  }
  ~send_half() { close(); }

  /// Sends without waiting. The item is moved from only on success. RESOURCE_EXHAUSTED when there is no room,
  /// FAILED_PRECONDITION when this handle is closed, ABORTED when nobody receives any more.
  expected<void> try_send(T&& item) {
    if (!handle_)
      return detail::closed_sender();
    auto sent = core()->send(*handle_, item, nullptr);
    return sent ? *std::move(sent) : would_block("the stream is full");
  }

  /// Sends, waiting for room.
  send_operation<T> send(T item) const { return {handle_, std::move(item)}; }

  /// One more handle on this side. FAILED_PRECONDITION when this one is closed.
  expected<send_half> clone() const {
    if (!handle_ || core()->closed(*handle_))
      return detail::closed_sender();
    return send_half{core()};
  }

  /// Whoever waits on this handle gets FAILED_PRECONDITION. Closing twice is fine.
  void close() {
    if (handle_)
      core()->close_sender(*handle_);
  }

  stream_statistics statistics() const { return handle_ ? core()->statistics() : stream_statistics{}; }

 private:
  const detail::core_ptr<T>& core() const { return handle_->core; }

  detail::handle_ptr<T> handle_;
};

/// The receiving side of a mailbox stream; otherwise as `send_half`. When the last of them is destroyed, not closed,
/// while items are left, the log says so: they are lost.
template <class T>
class receive_half {
 public:
  explicit receive_half(detail::core_ptr<T> core) : handle_(detail::make_handle<T>(std::move(core))) {
    handle_->core->open_receiver();
  }
  receive_half(receive_half&&) noexcept = default;
  receive_half& operator=(receive_half&& other) noexcept {
    receive_half replaced{std::move(*this)};
    handle_ = std::move(other.handle_);
    return *this;
  }
  ~receive_half() {
    if (!handle_)
      return;
    if (const auto lost = core()->close_receiver(*handle_); lost > 0)
      detail::report_unreceived(lost);
  }

  /// Receives without waiting. RESOURCE_EXHAUSTED when there is nothing, OUT_OF_RANGE when there will never be again,
  /// FAILED_PRECONDITION when this handle is closed.
  expected<T> try_receive() {
    if (!handle_)
      return detail::closed_receiver();
    auto received = core()->receive(*handle_, nullptr, nullptr);
    return received ? *std::move(received) : would_block("the stream is empty");
  }

  /// Receives the next item, waiting for it.
  receive_operation<T> receive() const { return receive_operation<T>{handle_}; }

  /// Receives at least one item, and as many more, up to `most`, as are there by then.
  receive_batch_operation<T> receive_up_to(std::size_t most) const { return {handle_, most}; }

  expected<receive_half> clone() const {
    if (!handle_ || core()->closed(*handle_))
      return detail::closed_receiver();
    return receive_half{core()};
  }

  void close() {
    if (handle_)
      core()->close_receiver(*handle_);
  }

  /// Takes out every buffered item that `unwanted(item)` holds of, wherever it stands; senders that wait move up.
  /// `unwanted` runs under the stream's lock and must not call back into it.
  template <class Predicate>
  std::vector<T> take_if(Predicate unwanted) {
    return handle_ ? core()->take_if(std::move(unwanted)) : std::vector<T>{};
  }

  stream_statistics statistics() const { return handle_ ? core()->statistics() : stream_statistics{}; }

 private:
  const detail::core_ptr<T>& core() const { return handle_->core; }

  detail::handle_ptr<T> handle_;
};

/// Both sides of a new stream.
template <class T>
struct stream {
  send_half<T> sender;
  receive_half<T> receiver;
};

/// A bounded queue between tasks: many senders, many receivers, first in first out, every item to exactly one receiver,
/// none ever lost. A stream of capacity 0 hands over from hand to hand. INVALID_ARGUMENT for a negative capacity.
template <class T>
expected<stream<T>> make_stream(std::int64_t capacity) {
  if (capacity < 0)
    return make_error(status_code::invalid_argument, "the stream's capacity is " + std::to_string(capacity),
                      "give 0 or more, or spell out troupe::unbounded");
  auto core = std::make_shared<detail::stream_core<T>>(static_cast<std::size_t>(capacity));
  return stream<T>{send_half<T>{core}, receive_half<T>{core}};
}

/// A stream of the default capacity.
template <class T>
stream<T> make_stream() {
  return *make_stream<T>(default_stream_capacity);
}

/// A stream that never refuses.
template <class T>
stream<T> make_stream(unbounded_t) {
  auto core = std::make_shared<detail::stream_core<T>>(std::numeric_limits<std::size_t>::max());
  return stream<T>{send_half<T>{core}, receive_half<T>{core}};
}

}  // namespace troupe
