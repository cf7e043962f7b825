#pragma once

#include "actors/concurrency/gate.hpp"
#include "actors/concurrency/thread_pool.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace troupe {

/// Work for an executor pool. A job is in the pool's queue at most once, so that the queue is bounded by the number of
/// jobs that exist: one for each instance, and one for each load under way.
class pool_job {
 public:
  virtual ~pool_job() = default;

  /// Does the work; may block. An exception that escapes ends the process, so none may.
  virtual void run() noexcept = 0;

 private:
  friend class executor_pool;
  std::atomic<bool> queued_ = false;
};

/// A job that calls `work` once.
std::shared_ptr<pool_job> make_job(std::function<void()> work);

/// The threads of one device, one for each slot, and the only place where blocking or model work runs: a slot is taken
/// from the moment its job begins until it has really ended. Jobs run in the order they came. Thread-safe. One of its
/// own jobs may be the last to let go of it.
class executor_pool {
  struct shared;

 public:
  struct statistics {
    std::size_t slots;       ///< threads
    std::size_t busy;        ///< slots that are taken right now
    std::size_t queued;      ///< jobs that wait for a slot
    std::uint64_t finished;  ///< jobs since the pool began
  };

  class lease;

  /// Starts `slots` threads, at least 1, named after `name` (15 bytes of it show). Throws std::system_error when the
  /// system has no more threads.
  executor_pool(std::string name, std::size_t slots);

  /// Closes the pool and waits for its jobs. A lease may outlive it.
  ~executor_pool();

  executor_pool(const executor_pool&) = delete;
  executor_pool& operator=(const executor_pool&) = delete;

  /// Queues `job`, which stays alive until it has run. True when it is now in the queue, also when it was there
  /// already; false when the pool is closed. A running job may be queued again.
  bool submit(std::shared_ptr<pool_job> job);

  /// Takes a free slot for work so short that handing it to another thread would cost more than doing it: the caller
  /// does it at once. None when no slot is free, jobs wait for one, or the pool is closed. `borrower` has one at most.
  std::optional<lease> try_lease(owner borrower);

  /// Accepts no more; jobs that are queued still run.
  void close();

  /// Waits until it is closed, all has ended and every leased slot is back.
  gate::drained_operation drained() const;

  /// True while a job waits for a slot: whoever could go on for long should queue itself again instead.
  bool contended() const noexcept;

  const std::string& name() const noexcept { return name_; }
  statistics stats() const;

 private:
  class job_work;

  const std::string name_;
  const std::size_t slots_;
  const std::shared_ptr<shared> shared_;
  thread_pool threads_;
};

/// A slot in the hands of somebody who is not of the pool; given back when this is destroyed. Move-only.
class executor_pool::lease {
 public:
  lease(lease&&) noexcept = default;
  lease& operator=(lease&&) = delete;
  ~lease();

 private:
  friend class executor_pool;
  lease(capacity_limiter::token slot, std::shared_ptr<shared> of) : slot_(std::move(slot)), shared_(std::move(of)) {}

  capacity_limiter::token slot_;
  std::shared_ptr<shared> shared_;
};

}  // namespace troupe
