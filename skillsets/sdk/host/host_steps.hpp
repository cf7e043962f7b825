#pragma once

#include "skillsets/sdk/continuous_work.hpp"
#include "skillsets/sdk/host/host_item.hpp"

#include "troupe/host/v1/host.pb.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace troupe {

/// The requests that the node has admitted to a continuous instance, and the steps that are done with them. What the
/// node says comes on one thread, and another one works.
class host_steps {
 public:
  host_steps(continuous_instance& engine, answer_writer& out) : engine_(engine), out_(out), in_(engine) {}

  /// Of the node's Admit, which is read where it lies. INVALID_ARGUMENT for a number that is taken, one request too
  /// many, and wrong words.
  expected<void> admit(const std::shared_ptr<const host::v1::ToHost>& message, const attachments& files);

  /// Takes back one, or all; that it isn't there means that it has ended.
  void cancel(std::optional<std::uint32_t> item);

  /// Another piece of work is about to begin; and it is to end early.
  void begin() noexcept { paused_ = false; }
  void pause() noexcept { paused_ = true; }

  /// Does steps until nothing is in, for so long, or until it is to end. After an error nothing is in.
  expected<void> work(std::chrono::milliseconds most);

  /// Evicts what was taken back, without a step.
  void sweep();

 private:
  void let_in();
  void forget_ended();

  continuous_instance& engine_;
  answer_writer& out_;
  std::atomic<bool> paused_ = false;
  std::mutex mutex_;
  std::vector<std::shared_ptr<host_item>> items_;      // guarded by mutex_; each goes once it has ended
  std::vector<std::shared_ptr<host_item>> newcomers_;  // guarded by mutex_; those of them who are not in yet
  continuous_work in_;
};

}  // namespace troupe
