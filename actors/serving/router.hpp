#pragma once

#include "actors/concurrency/error.hpp"
#include "actors/serving/served_model.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// Finds the model that a request names. The model actors enter what they serve; the gateways look it up. Thread-safe.
class router {
 public:
  /// The model called `name`, at `version` unless that is empty. NOT_FOUND says which of the two is unknown.
  expected<std::shared_ptr<served_model>> find(std::string_view name, std::string_view version) const;

  /// Lets a request in to that model. NOT_FOUND, or UNAVAILABLE when the model lets nobody in; whoever comes while
  /// another load of it takes its place is let in there.
  expected<served_model::visit> enter(std::string_view name, std::string_view version) const;

  /// Every model, in the order of their names.
  std::vector<std::shared_ptr<served_model>> all() const;

  /// True when there is nothing left to wait for: each model is ready, or somebody unloaded it, or it is unavailable
  /// and allowed to be.
  bool settled() const;

  /// Enters a model, in place of one of the same name.
  void insert(std::shared_ptr<served_model> model);

  /// Has `watch` called after every change of any model's state, from the thread that made it, until
  /// `unsubscribe` with the number returned. It must not block, nor call subscribe or unsubscribe.
  std::size_t subscribe(std::function<void()> watch);
  void unsubscribe(std::size_t subscription);

  /// Calls every watch.
  void notify() const;

 private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<served_model>, std::less<>> models_;
  mutable std::mutex watch_mutex_;
  std::map<std::size_t, std::function<void()>> watches_;
  std::size_t next_watch_ = 0;
};

}  // namespace troupe
