#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/concurrency/stream.hpp"
#include "apps/node/exit_code.hpp"
#include "apps/node/node_config.hpp"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace troupe {

class device_table;
class http_metrics;
class model_repository;
class node_metrics;
class router;
class skillset_catalog;
struct model_folder;

/// One line for whoever started the node, whatever the log's settings; returns `code`.
int fail(const error& e, exit_code code);

/// Where a node can be asked, each as host:port.
struct node_addresses {
  std::string grpc;
  std::string http;  ///< empty: not at all
};

/// A node from its start to its end, as the main thread sees it: it starts the tree, says when it is ready, and turns
/// signals and fatal errors into an orderly stop. Whatever happens elsewhere is brought to the main thread by a stream.
class node_process {
 public:
  /// `ready_file`, unless empty, is written with the node's addresses once it is ready. `command_line` is how the
  /// reader of the announcement calls the program `troupe`.
  node_process(node_config config, std::string ready_file, std::string command_line);
  ~node_process();

  /// Runs the node until it ends; the exit code.
  int run();

 private:
  void start(caf::actor_system& system, std::vector<model_folder> models, std::shared_ptr<skillset_catalog> catalog);
  void post(std::function<void()> event);
  void handle_events();
  caf::actor spawn_grpc(caf::actor_system& system);
  caf::actor spawn_http(caf::actor_system& system);
  void on_started();
  void on_change();
  void on_signal();
  void on_failed(const error& e);
  void on_down(const error& reason);
  int log_stopped() const;
  void stop();
  void skip_drain(const error& why);
  void bound_stop(std::chrono::milliseconds drain);
  void on_stuck();

  // Not bounded by a number but by what there is: each part of the tree changes its state now and then.
  stream<std::function<void()>> events_ = make_stream<std::function<void()>>(unbounded);
  cancel_scope patience_;  // its deadline is when the stop must be complete
  const node_config config_;
  const std::string ready_file_;
  const std::string command_line_;
  const std::shared_ptr<router> routes_;
  const std::shared_ptr<model_repository> loader_;
  const std::shared_ptr<device_table> devices_;
  const std::shared_ptr<node_metrics> metrics_;
  const std::shared_ptr<http_metrics> http_counts_;
  std::shared_ptr<skillset_catalog> catalog_;  // from the start on
  cancel_scope skip_drain_;
  caf::actor root_;
  caf::actor watcher_;  // asks the root to start, and hears of its end
  std::size_t subscription_ = 0;
  node_addresses addresses_;
  bool started_ = false;
  bool announced_ = false;
  bool ended_ = false;
  bool stopping_ = false;
  bool stuck_ = false;
  int code_ = exit_ok;
};

}  // namespace troupe
