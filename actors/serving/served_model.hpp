#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/concurrency/stream.hpp"
#include "actors/serving/model_folder.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace troupe {

class inference_call;

/// Where a model is between its folder and its requests; the names are those of RepositoryIndex.
enum class model_state : std::uint8_t { loading, ready, unavailable };

/// `LOADING`, `READY` or `UNAVAILABLE`.
std::string_view to_string(model_state state) noexcept;

/// What the gateways see of a model: its state, its signature, and the bounded queue that admits requests to it. Its
/// model actor changes the state; its instances take from the queue. Thread-safe.
class served_model {
 public:
  using queue = stream<std::shared_ptr<inference_call>>;

  struct status {
    model_state state;
    std::string reason;  ///< why it is unavailable
  };

  struct counters {
    std::atomic<std::uint64_t> admitted = 0;   ///< entered the queue
    std::atomic<std::uint64_t> refused = 0;    ///< found the queue full
    std::atomic<std::uint64_t> withdrawn = 0;  ///< left the queue cancelled, and never ran
    std::atomic<std::uint64_t> executed = 0;   ///< ran in an instance
  };

  /// `on_change` is called after every change of state, from the thread that made it.
  served_model(model_folder folder, std::function<void()> on_change);

  const model_folder& folder() const noexcept { return folder_; }
  const std::string& name() const noexcept { return folder_.name; }
  const std::string& version() const noexcept { return folder_.version; }

  status current() const;
  bool ready() const noexcept { return ready_.load(std::memory_order_acquire); }

  /// Null until the model was ready for the first time; then always the same.
  const signature* describe() const noexcept { return signature_.load(std::memory_order_acquire); }

  /// Admits a call whose input was validated. UNAVAILABLE when the model is not ready, RESOURCE_EXHAUSTED when the
  /// queue is full; then nobody else has the call.
  expected<void> submit(std::shared_ptr<inference_call> call);

  /// Takes a call back out of the queue; false when it is not there, because it runs or has ended.
  bool withdraw(const inference_call& call);

  /// Takes every cancelled call out of the queue and answers it with the reason.
  void withdraw_cancelled();

  /// For the model's instances: where they take from. Open, on both sides, for as long as the model is there.
  receive_half<std::shared_ptr<inference_call>>& calls() noexcept { return calls_.receiver; }
  counters& counts() noexcept { return counts_; }

  /// For the model's actor: what it takes and gives is known and instances run.
  void set_ready(const signature& what);
  void set_loading();
  /// Answers everything queued with the reason, too.
  void set_unavailable(const error& reason);

 private:
  void change(model_state state, std::string reason);

  const model_folder folder_;
  const std::function<void()> on_change_;
  queue calls_;
  counters counts_;
  std::atomic<bool> ready_ = false;
  std::atomic<const signature*> signature_ = nullptr;
  std::unique_ptr<const signature> owned_signature_;
  mutable std::mutex mutex_;
  status status_{model_state::loading, {}};
};

}  // namespace troupe
