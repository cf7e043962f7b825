#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/clock.hpp"
#include "actors/serving/hosts/host_process.hpp"
#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/segments.hpp"
#include "skillsets/sdk/skillset.hpp"

#include "troupe/host/v1/host.pb.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe {

/// The conversation with one host (host.proto): what it is, a model for it, batches. For one thread at a time, not
/// always the same one. Whatever the host does, a call ends: what isn't answered in time, or isn't an answer, costs the
/// host its life. One that is merely late is asked to end before it is killed.
class host_connection {
 public:
  /// How long a host may take to say what it is, to load, to say the next thing of a batch, to end what was cancelled,
  /// and to end itself when it is asked to, or has closed its socket.
  struct patience {
    std::chrono::milliseconds hello = std::chrono::seconds{30};
    std::chrono::milliseconds load = std::chrono::minutes{5};
    std::chrono::milliseconds silence = std::chrono::minutes{1};  ///< 0: for ever
    std::chrono::milliseconds cancel = std::chrono::seconds{2};
    std::chrono::milliseconds end = std::chrono::milliseconds{200};
    std::chrono::milliseconds keep = std::chrono::seconds{10};  ///< segments, while there is no work for it
  };

  /// Starts a host and hears what it is. UNAVAILABLE with how it ended, DEADLINE_EXCEEDED, or FAILED_PRECONDITION for
  /// one with another contract.
  static expected<std::unique_ptr<host_connection>> start(const host_command& command, const std::string& whose,
                                                          const patience& limits, const cancel_token& token);

  ~host_connection();

  const host::v1::Hello& hello() const noexcept { return hello_; }

  /// Has it load a model. What loading says; UNAVAILABLE when it dies of it.
  expected<host::v1::Loaded> load(const model_settings& settings, const cancel_token& token);

  /// Runs a batch, as `instance::run`. Outputs that are not what the signature says are INTERNAL.
  expected<void> run(std::span<work_item* const> batch, const signature& what, const cancel_token& token);

  // -- Of a continuous model, as of `continuous_instance`

  /// Has the host told of a request, with the next step. RESOURCE_EXHAUSTED when it is too long to cross.
  expected<void> admit(work_item& item);

  /// Has the host do steps for a short while. Ends early when somebody is cancelled, and when it is interrupted.
  expected<void> step(const signature& what);

  void evict(work_item& item) noexcept;

  /// From any thread.
  void interrupt() noexcept;

  /// False once the host has ended, or had to be killed.
  bool usable() const noexcept { return !broken_.load(std::memory_order_acquire); }

  /// As `instance::watch`.
  void watch(std::function<void(error)> on_broken);

 private:
  class conversation;
  friend class conversation;

  host_connection(std::unique_ptr<host_process> process, const patience& limits, troupe::clock& time);

  /// A request that a continuous model has.
  struct admitted {
    std::uint32_t number;
    work_item* item;  ///< null: it has had its last word, and the host may not know yet
  };

  /// It is talked with, for as long as this lives.
  class turn;

  /// Due when it has not been talked with for a while.
  class idle_timer final : public timer {
   public:
    explicit idle_timer(host_connection& of) noexcept : of_(of) {}
    void fire() noexcept override { of_.give_up_segments(); }

   private:
    host_connection& of_;
  };

  void wake() const noexcept;
  error give_up(const error& why);
  expected<void> append(host::v1::ToHost& what, attachments files = {});
  void give_up_segments() noexcept;
  attachments files() noexcept { return attachments{hello_.segments() ? &segments_.own : nullptr}; }

  const patience limits_;
  troupe::clock& clock_;
  shared_segments segments_;
  std::unique_ptr<host_process> process_;
  frame_reader reader_;
  host::v1::Hello hello_;
  std::atomic<bool> broken_ = false;
  const int wake_;  // an eventfd: something was cancelled, or a step is to end
  outgoing_frames outgoing_;
  std::vector<admitted> admitted_;
  std::uint32_t last_number_ = 0;
  std::atomic<bool> interrupted_ = false;
  std::mutex mutex_;  // whoever talks with it has this, or its segments would be given up meanwhile
  idle_timer idle_{*this};
};

}  // namespace troupe
