#pragma once

#include "actors/concurrency/clock.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>

namespace troupe {

/// How often something happened and how long it took in all.
struct duration_total {
  std::uint64_t count = 0;
  std::uint64_t ns = 0;
};

/// By what waits are counted: one is counted with the first of these that is not less. What is longer comes last.
inline constexpr auto wait_bounds = [] {
  using namespace std::chrono_literals;
  return std::array<std::chrono::milliseconds, 14>{1ms,   2ms,   5ms,   10ms,   20ms,   50ms,   100ms,
                                                   150ms, 200ms, 500ms, 1000ms, 2000ms, 5000ms, 10000ms};
}();

/// Why a request was stopped, and where it was then.
enum class cancel_cause : std::uint8_t {
  client,    ///< cancelled, or went away
  deadline,  ///< the request's time was up
  unload,    ///< of the model
  stop,      ///< of the node, or of an instance
};
enum class cancel_stage : std::uint8_t { queued, running };

inline constexpr std::array all_cancel_causes{cancel_cause::client, cancel_cause::deadline, cancel_cause::unload,
                                              cancel_cause::stop};

std::string_view to_string(cancel_cause cause) noexcept;
std::string_view to_string(cancel_stage stage) noexcept;

/// What a model has done since it was loaded, with the meanings that Triton gives these counters (its "Statistics
/// Extension"). Thread-safe; counting takes no lock but for batches.
class model_statistics {
 public:
  struct snapshot {
    duration_total success;  ///< requests, from their admission to their last answer
    duration_total fail;
    duration_total cancel;
    duration_total queue;                            ///< requests that were executed, while they waited
    duration_total input;                            ///< their reading and checking
    duration_total infer;                            ///< their execution: the whole batch's, for each request in it
    duration_total output;                           ///< the writing of their answers
    std::uint64_t inferences = 0;                    ///< items
    std::uint64_t executions = 0;                    ///< batches, or steps
    std::uint64_t retried = 0;                       ///< of these that failed, and whose requests ran again
    std::uint64_t last_inference_ms = 0;             ///< since the epoch; 0: none
    std::map<std::int64_t, duration_total> batches;  ///< their execution, by items; of steps, by requests
    std::array<std::uint64_t, 2 * all_cancel_causes.size()> cancelled{};
    std::array<std::uint64_t, wait_bounds.size() + 1> waits{};  ///< those of `queue`, counted by `wait_bounds`

    std::uint64_t cancelled_at(cancel_cause cause, cancel_stage stage) const noexcept {
      return cancelled[index_of(cause, stage)];
    }
  };

  /// How a request ended.
  enum class outcome : std::uint8_t { success, fail, cancel };

  void request_ended(outcome how, steady_clock::duration took) noexcept;

  /// A request was stopped.
  void request_cancelled(cancel_cause cause, cancel_stage stage) noexcept {
    cancelled_[index_of(cause, stage)].fetch_add(1, std::memory_order_relaxed);
  }

  /// A request was taken out of its queue to be executed.
  void request_executed(steady_clock::duration queued, steady_clock::duration ran) noexcept;

  void input_read(steady_clock::duration took) noexcept { input_.add(took); }
  void output_written(steady_clock::duration took) noexcept { output_.add(took); }

  /// A batch of so many items ran.
  void batch_executed(std::int64_t items, steady_clock::duration took);

  /// A step with so many requests of a continuous model ran, after which requests of `finished` items had ended.
  void step_executed(std::int64_t requests, std::int64_t finished, steady_clock::duration took);

  /// A batch, or a step, failed, and its requests run again in smaller company.
  void batch_retried() noexcept { retried_.fetch_add(1, std::memory_order_relaxed); }

  snapshot read() const;

 private:
  static constexpr std::size_t index_of(cancel_cause cause, cancel_stage stage) noexcept {
    return static_cast<std::size_t>(cause) * 2 + static_cast<std::size_t>(stage);
  }

  struct total {
    void add(steady_clock::duration took) noexcept {
      count.fetch_add(1, std::memory_order_relaxed);
      ns.fetch_add(static_cast<std::uint64_t>(std::chrono::nanoseconds{took}.count()), std::memory_order_relaxed);
    }
    duration_total read() const noexcept {
      return {count.load(std::memory_order_relaxed), ns.load(std::memory_order_relaxed)};
    }
    std::atomic<std::uint64_t> count = 0;
    std::atomic<std::uint64_t> ns = 0;
  };

  void executed(std::int64_t size, std::int64_t finished, steady_clock::duration took);

  total success_, fail_, cancel_, queue_, input_, infer_, output_;
  std::array<std::atomic<std::uint64_t>, wait_bounds.size() + 1> waits_{};
  std::atomic<std::uint64_t> retried_ = 0;
  std::array<std::atomic<std::uint64_t>, 2 * all_cancel_causes.size()> cancelled_{};
  mutable std::mutex mutex_;
  std::uint64_t inferences_ = 0;
  std::uint64_t executions_ = 0;
  std::uint64_t last_inference_ms_ = 0;
  std::map<std::int64_t, duration_total> batches_;
};

}  // namespace troupe
