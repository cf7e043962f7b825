#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/gate.hpp"
#include "actors/concurrency/thread_pool.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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
  std::atomic<bool> queued_ = false;
};

/// A job that calls `work` once.
std::shared_ptr<pool_job> make_job(std::function<void()> work);

/// What an executor pool has to give.
struct pool_capacity {
  std::size_t threads = 1;  ///< that work at once, 1 or more: the device's cores
  std::uint64_t bytes = 0;  ///< of memory for models; 0: not bounded
};

/// The threads and the memory of one device, and the only place where blocking or model work runs. A job takes as many
/// threads as its share says from the moment it begins until it has really ended, so that those of all jobs together
/// are never more than the device has. Thread-safe. One of its own jobs may be the last to let go of it.
///
/// The device's time is shared out by weight between those who want it (stride scheduling: whoever has had least for
/// its weight is next); a share that was idle gets no credit for that. What needs more threads than are free holds back
/// those behind it, so that it doesn't wait for ever.
class executor_pool {
  class core;

 public:
  struct statistics {
    std::size_t threads;
    std::size_t busy;              ///< threads that are taken right now
    std::size_t queued;            ///< jobs that wait
    std::uint64_t finished;        ///< jobs since the pool began
    std::uint64_t bytes;           ///< of memory there are; 0: not bounded
    std::uint64_t reserved_bytes;  ///< of these
  };

  /// What one model, or whoever else, gets of the pool.
  class share;
  class lease;
  class memory_lease;

  struct share_options {
    std::string name;
    double weight = 1;        ///< more than 0: twice the weight is twice the time
    std::size_t threads = 1;  ///< that each of its jobs takes; no more than the pool has count
  };

  struct share_statistics {
    std::string name;
    double weight;
    std::size_t threads;  ///< of each job
    std::size_t running;  ///< jobs
    std::size_t queued;   ///< jobs
    double seconds;       ///< of threads' time it has had
  };

  /// Starts the threads, named after `name` (15 bytes of it show). Throws std::system_error when the system has no more
  /// threads.
  executor_pool(std::string name, pool_capacity capacity, troupe::clock& time = real_clock());

  /// Closes the pool and waits for its jobs. Leases and shares may outlive it.
  ~executor_pool();

  executor_pool(const executor_pool&) = delete;
  executor_pool& operator=(const executor_pool&) = delete;

  /// A new share; what is left of it when the last handle goes still runs.
  std::shared_ptr<share> open_share(share_options options);

  /// Queues `job`, which stays alive until it has run. True when it is now in the queue, also when it was there
  /// already; false when the pool is closed. A running job may be queued again. Without a share it has one of weight 1
  /// together with all others that have none.
  bool submit(std::shared_ptr<pool_job> job, const std::shared_ptr<share>& of = {});

  /// Takes a free thread's place for work so short that handing it to another thread would cost more than doing it: the
  /// caller does it at once. None when none is free, jobs wait for one, or the pool is closed.
  std::optional<lease> try_lease();

  /// Takes memory for as long as the lease lives. RESOURCE_EXHAUSTED says what there is.
  expected<memory_lease> reserve(std::uint64_t bytes);

  /// Accepts no more; jobs that are queued still run.
  void close();

  /// Waits until it is closed, all has ended and every lease is back.
  gate::drained_operation drained() const;

  /// True while a job waits for threads: whoever could go on for long should queue itself again instead.
  bool contended() const noexcept;

  const std::string& name() const noexcept;
  statistics stats() const;
  std::vector<share_statistics> share_stats() const;

 private:
  class job_work;

  const std::shared_ptr<core> core_;
  thread_pool threads_;
};

/// A thread's place in the hands of somebody who is not of the pool; given back when this is destroyed. Move-only.
class executor_pool::lease {
 public:
  lease(lease&&) noexcept = default;
  lease& operator=(lease&&) = delete;
  ~lease();

 private:
  friend class executor_pool;
  explicit lease(std::shared_ptr<core> of) : core_(std::move(of)) {}

  std::shared_ptr<core> core_;
};

/// Memory of a device; given back when this is destroyed. Move-only.
class executor_pool::memory_lease {
 public:
  memory_lease(memory_lease&& other) noexcept : core_(std::move(other.core_)), bytes_(std::exchange(other.bytes_, 0)) {}
  memory_lease& operator=(memory_lease&&) = delete;
  ~memory_lease();

  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  friend class executor_pool;
  memory_lease(std::shared_ptr<core> of, std::uint64_t bytes) : core_(std::move(of)), bytes_(bytes) {}

  std::shared_ptr<core> core_;
  std::uint64_t bytes_;
};

}  // namespace troupe
