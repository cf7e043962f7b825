#pragma once

#include "skillsets/sdk/host/exit_code.hpp"
#include "skillsets/sdk/host/frames.hpp"
#include "skillsets/sdk/host/host_item.hpp"
#include "skillsets/sdk/skillset.hpp"

#include "troupe/host/v1/host.pb.h"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

namespace troupe {

class host_batch;
class host_steps;

/// The host's side of host.proto: one model of a skillset, and one instance of it, worked by the thread that calls
/// `serve`. A second thread reads, so that a Cancel arrives while work runs; a third does nothing but wait for the
/// node's end of the socket to close, and then ends the process: whatever a plug-in does, on whichever thread, can't
/// keep it from that.
class host_server {
 public:
  using end_function = std::function<void(host_exit)>;

  /// From here on the process ends when the socket closes. `end` is called once, as the last thing; a test gives one
  /// that returns, after which `serve` does, too.
  explicit host_server(int socket, end_function end = end_process);

  /// Closes the conversation. The socket stays the caller's.
  ~host_server();

  /// Says Hello and does what the node asks for. Returns only where `end` does: when the conversation is over, and the
  /// work that runs as well.
  host_exit serve(skillset& skills);

  /// Ends the process without another step: no destructor and no exit handler of a plug-in runs.
  [[noreturn]] static void end_process(host_exit how);

 private:
  /// How far the conversation has come, which says what the node may ask for.
  enum class stage { fresh, loading, ready, busy, failed };

  void watch() noexcept;
  void read_all() noexcept;
  void end(host_exit how) noexcept;
  void fail(const error& why, host_exit how);

  expected<void> take(const std::shared_ptr<const host::v1::ToHost>& message, const attachments& files);
  expected<void> take_load(const std::shared_ptr<const host::v1::ToHost>& message);
  expected<void> check_ready(const char* what, bool continuous) const;
  expected<void> take_run(const std::shared_ptr<const host::v1::ToHost>& message, const attachments& files);
  expected<void> take_admit(const std::shared_ptr<const host::v1::ToHost>& message, const attachments& files);
  expected<void> take_work(const host::v1::Work& what);
  expected<void> take_pause();
  expected<void> take_cancel(const host::v1::Cancel& what);
  expected<void> cancel_steps(host_steps& steps, const host::v1::Cancel& what);

  std::function<void()> next_task();
  host_exit how_it_ended();
  expected<void> give(stage next, host::v1::FromHost& message);
  void load(skillset& skills, const host::v1::Load& what);
  expected<host::v1::FromHost> make_ready(skillset& skills, const host::v1::Load& what);
  void end_work(const expected<void>& came_to);

  const int socket_;
  const end_function end_;
  answer_writer writer_;
  cancel_scope load_scope_;
  skillset* skills_ = nullptr;  // once it serves
  std::unique_ptr<loaded_model> model_;
  std::unique_ptr<instance> worker_;

  std::mutex mutex_;
  std::condition_variable changed_;
  stage stage_ = stage::fresh;         // guarded by mutex_
  std::function<void()> task_;         // guarded by mutex_; what the thread that serves is to do next
  std::shared_ptr<host_batch> batch_;  // guarded by mutex_; until its Done
  std::unique_ptr<host_steps> steps_;  // guarded by mutex_; of a continuous model, and stays
  std::optional<host_exit> over_;      // guarded by mutex_

  std::thread reader_;
  std::thread watcher_;
};

}  // namespace troupe
