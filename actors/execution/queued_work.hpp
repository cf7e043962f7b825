#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/execution/batch_shape.hpp"

#include <boost/intrusive/list_hook.hpp>
#include <boost/intrusive/set_hook.hpp>

#include <cstdint>
#include <memory>

namespace troupe {

/// A piece of work as its queue sees it: the scope that can stop it, what it costs, how urgent it is, and whose it is.
/// Owned by shared_ptr; in one queue at a time.
class queued_work {
 public:
  explicit queued_work(steady_clock::time_point deadline = no_deadline, const cancel_token& parent = {})
      : scope_(deadline, parent) {}
  explicit queued_work(const scope_options& options, const cancel_token& parent = {}) : scope_(options, parent) {}
  virtual ~queued_work() = default;

  queued_work(const queued_work&) = delete;
  queued_work& operator=(const queued_work&) = delete;

  // Set before it is queued, and not changed afterwards.
  work_cost cost;
  std::uint32_t priority = 0;  ///< what has less goes first, whatever else waits
  std::uint64_t client = 0;    ///< who shares the queue's room with others

  /// Something broke that had it, and it is queued for the second time: it shares no batch any more, so that it takes
  /// nobody along if it was its own fault.
  bool ran_before = false;

  cancel_scope& scope() noexcept { return scope_; }
  cancel_token token() const noexcept { return scope_.token(); }

  /// When it was admitted. Only once it was.
  steady_clock::time_point queued_at() const noexcept { return queued_at_; }

  /// The queue gives it up, and nobody else has it: it was cancelled, waited too long, or had to make room. From any
  /// thread; must not block.
  virtual void refuse(error why) = 0;

 private:
  friend class request_queue;

  cancel_scope scope_;

  // The queue's, guarded by its lock.
  boost::intrusive::set_member_hook<> in_order_;
  boost::intrusive::list_member_hook<> in_arrival_;
  boost::intrusive::list_member_hook<> in_client_;
  std::shared_ptr<queued_work> self_;  // while it is queued
  steady_clock::time_point queued_at_;
  steady_clock::time_point due_;
  std::uint64_t number_ = 0;
};

}  // namespace troupe
