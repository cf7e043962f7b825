#pragma once

#include "skillsets/sdk/host/host_item.hpp"

#include "troupe/host/v1/host.pb.h"

#include <atomic>
#include <deque>
#include <memory>

namespace troupe {

/// The requests of one Run on their way through an instance, with their answers written to the socket as they come.
/// Each has a scope of its own, so that a Cancel reaches it while the others go on. One thread runs the batch and
/// another may cancel in it.
class host_batch {
 public:
  /// Reads the requests where they lie in `message`, a Run. INVALID_ARGUMENT for a run of none, and for wrong words.
  static expected<std::shared_ptr<host_batch>> make(const std::shared_ptr<const host::v1::ToHost>& message,
                                                    const attachments& files, answer_writer& out);

  /// What the batch came to as a whole. Requests without a last word get none here.
  expected<void> run(instance& worker);

  /// Takes back one request, or all. What they answer from then on is dropped; when none is left, so is the batch.
  /// INVALID_ARGUMENT when there is no such request.
  expected<void> cancel(std::size_t item);
  void cancel();

 private:
  host_batch() = default;

  std::deque<host_item> items_;
  std::atomic<std::size_t> wanted_ = 0;
  cancel_scope scope_;  // cancelled once none of them is wanted
};

}  // namespace troupe
