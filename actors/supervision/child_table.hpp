#pragma once

#include "actors/supervision/child_spec.hpp"

#include <caf/actor_addr.hpp>
#include <caf/error.hpp>

#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

namespace troupe {

/// Where a child is in its life.
enum class child_phase : std::uint8_t {
  stopped,     ///< known, and not running
  starting,    ///< spawned, and has not answered yet
  running,     ///< said that it runs
  exited,      ///< ended by itself; what that means is still to be decided
  stopping,    ///< was asked to stop, or killed
  restarting,  ///< not running, and will be started again
};

/// A child and what is under way with it.
struct child {
  std::uint64_t serial = 0;  ///< for ever its own
  std::uint64_t order = 0;   ///< its place: children start in this order
  std::shared_ptr<const child_spec> spec;
  std::any arguments;  ///< of a dynamic child
  caf::actor instance;
  caf::actor_addr address;  ///< of the instance, or of the last one
  child_phase phase = child_phase::stopped;
  std::uint64_t incarnation = 0;  ///< counts the starts, so that late news of an earlier one is known
  std::uint64_t failures = 0;     ///< in a row
  std::chrono::steady_clock::time_point up_since;

  // Of the start or the stop that is under way.
  std::any info;
  std::optional<cancel_scope> scope;
  std::optional<caf::error> start_failure;  ///< why the start was given up
  std::optional<caf::error> ended;          ///< why the instance ended, while that is not dealt with
  bool ignored = false;
  bool given_up = false;  ///< the start was called off: it is not tried again
  bool killed = false;
  bool abandoned = false;  ///< killed, and has not ended
};

/// A supervisor's children: by place, by name and by address, none of which takes longer the more there are of them
/// (but for a logarithm), and without invalidating a pointer to another child.
class child_table {
 public:
  /// From now on children are told apart by address only.
  void without_ids() { named_ = false; }

  child& add(std::shared_ptr<const child_spec> spec, std::any arguments);
  void drop(child& c);

  child* find(std::uint64_t serial);
  child* find(const std::string& id);
  const child* find(const std::string& id) const;
  child* find(const caf::actor_addr& address);

  /// The first child at or behind a place, and the last one before it; null when there is none.
  child* at_or_after(std::uint64_t order);
  child* before(std::uint64_t order);

  /// Gives the child an instance, by whose address it is found from now on. False when it is another child's.
  bool attach(child& c, caf::actor instance);

  void set_phase(child& c, child_phase phase);

  /// Gives the child another specification of the same id.
  void set_spec(child& c, std::shared_ptr<const child_spec> spec);

  /// Puts these children in front of all others' ends, in this order.
  void move_to_end(const std::vector<child*>& children);

  std::size_t size() const noexcept { return by_order_.size(); }

  /// Significant children that are not stopped.
  std::size_t significant_alive() const noexcept { return significant_alive_; }

  /// All of them in order.
  const std::map<std::uint64_t, child*>& in_order() const noexcept { return by_order_; }

 private:
  static bool counts(const child& c) { return c.spec->significant && c.phase != child_phase::stopped; }

  std::unordered_map<std::uint64_t, child> children_;
  std::map<std::uint64_t, child*> by_order_;
  std::unordered_map<std::string, child*> by_id_;  // a dynamic supervisor's children have none
  std::unordered_map<caf::actor_addr, child*> by_address_;
  std::uint64_t last_ = 0;
  std::size_t significant_alive_ = 0;
  bool named_ = true;
};

}  // namespace troupe
