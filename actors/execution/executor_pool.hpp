#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

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
  bool queued_ = false;  // guarded by the pool's mutex
};

/// A job that calls `work` once.
std::shared_ptr<pool_job> make_job(std::function<void()> work);

/// The threads of one device, one for each slot, and the only place where blocking or model work runs: a slot is taken
/// from the moment its job begins until it has really ended. Jobs run in the order they came. Thread-safe. One of its
/// own jobs may be the last to let go of it.
class executor_pool {
 public:
  struct statistics {
    std::size_t slots;       ///< threads
    std::size_t busy;        ///< running a job right now
    std::size_t queued;      ///< waiting for a slot
    std::uint64_t finished;  ///< jobs since the pool began
  };

  /// Starts `slots` threads, at least 1, named after `name` (at most 12 characters of it show). Throws
  /// std::system_error when the system has no more threads.
  executor_pool(std::string name, std::size_t slots);

  /// Closes the pool and waits for what runs, leased slots included.
  ~executor_pool();

  executor_pool(const executor_pool&) = delete;
  executor_pool& operator=(const executor_pool&) = delete;

  /// Queues `job`, which stays alive until it has run. True when it is now in the queue, also when it was there
  /// already; false when the pool is closed. A running job may be queued again.
  bool submit(std::shared_ptr<pool_job> job);

  /// Takes a free slot for the calling thread, for work so short that handing it to another thread would cost more than
  /// doing it: the caller does it at once and gives the slot back by `release()`. False when no slot is free, jobs wait
  /// for one, or the pool is closed.
  bool try_lease();
  void release();

  /// Accepts no more jobs; those queued still run. `on_idle` is called once, from a pool thread, when all has ended and
  /// every leased slot is back. Only the first call counts.
  void close(std::function<void()> on_idle = {});

  /// True while a job waits for a slot: whoever could go on for long should queue itself again instead.
  bool contended() const noexcept;

  const std::string& name() const noexcept;
  statistics stats() const;

 private:
  struct core;
  static void work(const std::shared_ptr<core>& pool, std::size_t slot);

  // Held by each thread too, because a thread may outlive the pool.
  const std::shared_ptr<core> core_;
  std::vector<std::thread> threads_;
};

}  // namespace troupe
