#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/concurrency/gate.hpp"
#include "actors/execution/request_queue.hpp"
#include "actors/serving/instance_metrics.hpp"
#include "actors/serving/model_folder.hpp"
#include "actors/serving/model_statistics.hpp"
#include "skillsets/sdk/skillset.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class inference_call;

/// Where a model is between its folder and its requests.
enum class model_state : std::uint8_t {
  loading,
  ready,
  unloading,    ///< those who are in get their answers, and nobody gets in
  unloaded,     ///< because somebody wanted it so
  unavailable,  ///< because something failed
};

/// The name in RepositoryIndex: `LOADING`, `READY`, `UNLOADING` or, for the last two, `UNAVAILABLE`.
std::string_view to_string(model_state state) noexcept;

/// Owns the sequences of a stateful model, and takes its requests to them. From any thread; nothing here blocks.
class sequence_owner {
 public:
  virtual ~sequence_owner() = default;

  /// Takes a request, which is answered whatever becomes of it. RESOURCE_EXHAUSTED when too many are on their way
  /// already; then nobody else has it.
  virtual expected<void> submit(std::shared_ptr<inference_call> call) = 0;

  /// Answers the cancelled requests of one sequence, or of all, that have not begun to run.
  virtual void withdraw_cancelled(std::optional<sequence_id> id) = 0;

  /// Ends all sequences, and answers whatever waits with the reason.
  virtual void end_all(error why) = 0;
};

/// What has become of a stateful model's sequences since it was loaded, whoever owned them.
struct sequence_counts {
  std::atomic<std::uint64_t> live = 0;  ///< begun, and not over
  std::atomic<std::uint64_t> started = 0;
  std::atomic<std::uint64_t> expired = 0;  ///< had no request for too long
  std::atomic<std::uint64_t> refused = 0;  ///< requests that were, for want of room
};

/// What the gateways see of a model: its state, its signature, and the queue that admits requests to it and puts them
/// together. Its model actor changes the state; its instances take from the queue. A model that is loaded again is
/// another one, which takes this one's place in the router. Owned by shared_ptr. Thread-safe.
class served_model : public std::enable_shared_from_this<served_model> {
 public:
  struct status {
    model_state state;
    std::string reason;  ///< why it is unavailable, or less than it could be
  };

  /// Instances that go on with work that was cancelled, longer than they may.
  struct stuck_instances {
    std::size_t now = 0;
    std::uint64_t ever = 0;
  };

  /// The stay of one request with a model, from before it is read until nobody has it any more.
  class visit;

  /// `on_change` is called after every change of state, from the thread that made it.
  served_model(model_folder folder, std::function<void()> on_change);
  ~served_model();

  const model_folder& folder() const noexcept { return folder_; }
  const std::string& name() const noexcept { return folder_.name; }
  const std::string& version() const noexcept { return folder_.version; }

  /// When this load of the model began.
  std::chrono::system_clock::time_point created_at() const noexcept { return created_at_; }

  status current() const;
  bool ready() const noexcept { return state_.load(std::memory_order_acquire) == model_state::ready; }

  /// Null until the model was ready for the first time; then always the same.
  const signature* describe() const noexcept;

  /// How requests run together. Only once the model was described.
  const batch_policy& batching() const noexcept;

  /// UNAVAILABLE, with the model's state and the reason for it.
  error why_not_ready() const;

  /// Lets a request in. UNAVAILABLE while the model was not ready yet, and once it is being unloaded.
  expected<visit> enter();

  /// Admits a call whose input was validated, and which entered before. UNAVAILABLE when nothing runs it, and what
  /// `request_queue::submit` says; then nobody else has the call. One that belongs to a sequence goes to the owner of
  /// that, which answers it if it can't be admitted.
  expected<void> submit(std::shared_ptr<inference_call> call);

  /// The same for a call that goes into the queue in any case: for the owner of sequences, when it has its turn.
  expected<void> enqueue(std::shared_ptr<inference_call> call);

  /// Takes a call back out of the queue; false when it is not there, because it runs or has ended. A cancelled one that
  /// waits for its turn in a sequence is answered there.
  bool withdraw(inference_call& call);

  /// Takes every cancelled call out of the queue, or its sequence, and answers it with the reason.
  void withdraw_cancelled();

  /// For the model's instances: where they take calls from. Only once the model was described.
  request_queue& calls() const noexcept;
  model_statistics& counts() noexcept { return counts_; }
  sequence_counts& of_sequences() noexcept { return of_sequences_; }

  /// What its instances measure themselves. Only once the model was described.
  instance_metrics& metrics() const noexcept;

  /// For its instances: one has not ended in time what was cancelled at `since`, and can't be made to; then it has.
  void instance_stuck(steady_clock::time_point since);
  void instance_free(steady_clock::time_point since);
  stuck_instances stuck() const;

  /// Counts a request that was stopped for that reason.
  void count_cancelled(const error& why, cancel_stage stage) noexcept;

  /// For the model's actor: it is known what the model takes and gives, how, and what it measures. Of its instances
  /// `most_at_once` find room on the device. To be called once, before instances are made.
  void set_described(signature what, batch_policy how,
                     std::size_t most_at_once = std::numeric_limits<std::size_t>::max(),
                     std::vector<metric_spec> metrics = {});

  /// For the owner of a stateful model's sequences: it has begun, in place of one that was there before.
  void set_sequences(std::shared_ptr<sequence_owner> owner);

  /// For the model's actor: instances run.
  void set_ready();
  void set_loading();
  /// Answers everything queued with the reason, too, and ends all sequences.
  void set_unavailable(const error& reason);

  /// Lets nobody in any more; those who are in may stay.
  void set_unloading();
  /// Waits, once it is being unloaded, until the last one is out.
  gate::drained_operation drained() const { return visits_.drained(); }
  /// Answers everything queued, too.
  void set_unloaded();

 private:
  bool takes_calls() const noexcept;
  std::shared_ptr<sequence_owner> sequences() const;
  expected<void> submit_to_sequence(std::shared_ptr<inference_call> call);
  void change(model_state state, std::string reason);
  void refuse_queued(const error& why);

  /// What is known once the model was loaded.
  struct description;

  const model_folder folder_;
  const std::chrono::system_clock::time_point created_at_ = std::chrono::system_clock::now();
  const std::function<void()> on_change_;
  model_statistics counts_;
  sequence_counts of_sequences_;
  gate visits_;
  std::unique_ptr<description> owned_description_;
  std::atomic<description*> description_ = nullptr;
  std::atomic<model_state> state_ = model_state::loading;
  mutable std::mutex mutex_;
  std::string reason_;  // with the state, guarded by mutex_, as are the next
  std::multiset<steady_clock::time_point> stuck_since_;
  std::uint64_t stuck_ever_ = 0;
  std::shared_ptr<sequence_owner> sequences_;
};

/// Move-only; empty when it was moved from, or made without a model.
class served_model::visit {
 public:
  visit() = default;
  visit(visit&&) noexcept = default;
  visit& operator=(visit&& other) noexcept {
    std::swap(model_, other.model_);
    return *this;
  }
  ~visit() {
    if (model_)
      model_->visits_.leave();
  }

  explicit operator bool() const noexcept { return model_ != nullptr; }
  served_model* operator->() const noexcept { return model_.get(); }
  served_model& operator*() const noexcept { return *model_; }

 private:
  friend class served_model;
  explicit visit(std::shared_ptr<served_model> of) : model_(std::move(of)) {}

  std::shared_ptr<served_model> model_;
};

}  // namespace troupe
