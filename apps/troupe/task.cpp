#include "apps/troupe/task.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "inference/grpc_service.pb.h"

#include <algorithm>
#include <vector>

namespace troupe::cli {
namespace {

template <class Tensors>
bool has(const Tensors& tensors, std::string_view name, std::string_view type) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [&](const auto& tensor) { return tensor.name() == name && tensor.datatype() == type; });
}

}  // namespace

expected<std::string> find_model(client& node, const task& wanted) {
  const auto index = node.index();
  if (!index)
    return index.error();
  const std::string does{wanted.does};
  std::vector<std::string> found;
  std::string loading;
  for (const auto& model : index->models()) {
    if (model.state() != "READY") {
      loading = model.state() == "LOADING" ? model.name() : loading;
      continue;
    }
    const auto what = node.metadata(model.name(), model.version());
    if (!what)
      return what.error();
    if (has(what->inputs(), wanted.input, wanted.input_type) && has(what->outputs(), wanted.output, wanted.output_type))
      found.push_back(model.name());
  }
  if (found.size() == 1)
    return found.front();
  if (found.empty() && !loading.empty())
    return make_error(status_code::unavailable, "no model is ready yet that " + does + "; '" + loading + "' is loading",
                      "wait for it with 'troupe status --wait 60'");
  if (found.empty())
    return make_error(status_code::not_found, "the node has no ready model that " + does,
                      "'troupe models' lists what it has");
  return make_error(status_code::invalid_argument, "more than one model " + does + ": " + join(found, ", "),
                    std::string{wanted.choice});
}

}  // namespace troupe::cli
