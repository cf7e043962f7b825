#pragma once

#include <memory>

namespace troupe {

class device_table;
class model_repository;
class node_metrics;
class router;
class skillset_catalog;

/// What a gateway has of the node.
struct gateway_links {
  std::shared_ptr<router> routes;
  std::shared_ptr<model_repository> loader;  ///< null: models can't be loaded and unloaded
  std::shared_ptr<device_table> devices;
  std::shared_ptr<const node_metrics> metrics;
  std::shared_ptr<skillset_catalog> skillsets = nullptr;  ///< null: the node tells of none
};

}  // namespace troupe
