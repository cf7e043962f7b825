#pragma once

#include "actors/execution/device_probe.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace troupe {

class executor_pool;

/// A device and what works on it.
struct running_device {
  device what;
  std::shared_ptr<executor_pool> pool;
};

/// The devices that run right now, and which executor pool belongs to which. Thread-safe.
class device_table {
 public:
  /// The pool of a device; null when there is no such device, or its actor does not run.
  std::shared_ptr<executor_pool> find(const std::string& device) const;

  /// The names of all devices that run.
  std::vector<std::string> names() const;

  /// All devices that run, in the order of their names.
  std::vector<running_device> all() const;

  void insert(device what, std::shared_ptr<executor_pool> pool);
  void erase(const std::string& device);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, running_device> running_;
};

/// Spawns the owner of one device: it starts the device's executor pool, enters it in `table`, and when it is stopped
/// ends only after all that ran in the pool has ended.
caf::actor spawn_device(caf::actor_system& system, device what, std::shared_ptr<device_table> table);

}  // namespace troupe
