#pragma once

#include "actors/concurrency/pending.hpp"
#include "actors/execution/queued_work.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace troupe {

/// How a queue admits, and how it puts batches together.
struct queue_options {
  std::size_t capacity = 128;                                   ///< pieces of work that wait
  steady_clock::duration max_wait = std::chrono::seconds{5};    ///< in the queue; what would wait longer is refused
  steady_clock::duration max_delay = steady_clock::duration{};  ///< how long a batch waits to become fuller
  batch_limits batch = {};
  std::size_t workers = 1;  ///< that work on what they took from it at once
};

/// Where work waits for one of several workers: admission and batcher of a model. Thread-safe.
///
/// **Admission.** Refused at once, with how long to wait before another try: what finds the queue full, and what
/// would wait longer than `max_wait` or past its own deadline, as foretold from how fast the queue moves. Where clients
/// compete for a queue that is full, the one that has most in it makes room: its newest piece of work is refused
/// instead. What waits longer than `max_wait` nevertheless is refused then.
///
/// **Order.** By priority, then by whose time is up first: the deadline, or `max_wait` after its coming. Nothing
/// starves within a priority.
///
/// **Batching.** A batch is the first in this order, and those that fit to it. It is ready when there is anything, or
/// with a `max_delay` when it is full or its first member has waited so long. Right after a batch it waits for a moment
/// for those who were answered, while these usually come again (see `anticipation`), and workers that are idle then
/// share what has come. What is cancelled never gets into one, and what ran before is one by itself. Of several idle
/// workers the one that worked last is told, because what it needs is still in the caches; of those with places the one
/// that waits longest, so that they share.
class request_queue {
 public:
  using batch = std::vector<std::shared_ptr<queued_work>>;

  /// Who tells a worker that a batch is ready, on his own thread: whoever brought work; or the clock or another worker,
  /// who must not be held up.
  enum class told_by : std::uint8_t { bringer, other };

  struct statistics {
    std::size_t queued;
    std::size_t idle_workers;
    std::uint64_t admitted;
    std::uint64_t refused;        ///< found no room, would have waited too long, or made room
    std::uint64_t expired;        ///< waited longer than allowed
    std::uint64_t withdrawn;      ///< cancelled while they waited
    steady_clock::duration wait;  ///< that somebody who comes now is foretold
  };

  class ready_operation;

  explicit request_queue(queue_options options, troupe::clock& time = real_clock());

  /// Gives up what still waits: UNAVAILABLE.
  ~request_queue();
  request_queue(const request_queue&) = delete;
  request_queue& operator=(const request_queue&) = delete;

  const queue_options& options() const noexcept;

  /// Admits `work`. RESOURCE_EXHAUSTED, with `retry_after`, or DEADLINE_EXCEEDED; then nobody else has it.
  expected<void> submit(std::shared_ptr<queued_work> work);

  /// Takes work back out, without a word to it; false when it isn't in. Counts as withdrawn.
  bool withdraw(queued_work& work);

  /// The same for all that `which` holds for, called under the queue's lock.
  batch withdraw_if(const std::function<bool(const queued_work&)>& which);

  /// Replaces `into` by the next batch; it is left empty when none is ready, or when the first in it is not what `head`
  /// asks for. Called under the queue's lock, `head` must be quick.
  void take(batch& into, const std::function<bool(const queued_work&)>& head = {});

  /// Takes work back that was taken and could not be done, through no fault of its own. It has the place in the order
  /// that it had, whatever the queue's capacity, and isn't counted again. Cancelled or late, it is refused as what
  /// waits.
  void put_back(std::shared_ptr<queued_work> work);

  /// Waits until there is a batch to take, which another worker may have taken by then.
  ready_operation ready();

  /// A worker that was told of a batch will not take it: somebody else is told.
  void pass_on();

  /// Tells how long `pieces` of work ran that were taken, a batch of so many units, for the estimates.
  void ran(std::int64_t units, steady_clock::duration took, std::size_t pieces = 1);

  /// A piece of work that was taken is about to be answered, after which its client may come again.
  void answered() noexcept;

  /// A worker that takes one piece of work after the other has room for so many at once, or, with a negative number, no
  /// longer. Who comes while there is a place is foretold no wait, although others run.
  void add_places(std::int64_t places);

  statistics stats() const;

 private:
  class core;

  const std::shared_ptr<core> core_;
};

class request_queue::ready_operation {
 public:
  using result_type = told_by;

  explicit ready_operation(std::shared_ptr<core> of) : core_(std::move(of)) {}

  std::optional<expected<told_by>> begin(pending<told_by>& who);
  bool abandon(pending<told_by>& who, error why);

 private:
  std::shared_ptr<core> core_;
};

}  // namespace troupe
