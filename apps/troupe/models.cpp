#include "apps/troupe/models.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "inference/grpc_service.pb.h"
#include "skillsets/sdk/tensor.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace troupe::cli {
namespace {

namespace wire = inference;
using json = nlohmann::ordered_json;
using wire_tensors = google::protobuf::RepeatedPtrField<wire::ModelMetadataResponse::TensorMetadata>;

/// A model as the index has it, and what it takes and gives once that is known.
struct listed_model {
  wire::RepositoryIndexResponse::ModelIndex entry;
  wire::ModelMetadataResponse what;
};

expected<std::vector<listed_model>> list(client& node) {
  const auto index = node.index();
  if (!index)
    return index.error();
  std::vector<listed_model> result;
  for (const auto& entry : index->models()) {
    result.push_back({entry, {}});
    if (entry.state() != "READY")
      continue;
    auto what = node.metadata(entry.name(), entry.version());
    // It may have become unavailable meanwhile, which is no failure of the listing.
    if (!what && what.error().code != status_code::unavailable)
      return what.error();
    if (what)
      result.back().what = *std::move(what);
  }
  return result;
}

std::string tensors_to_text(const wire_tensors& tensors) {
  std::vector<std::string> words;
  for (const auto& tensor : tensors)
    words.push_back(one_line(tensor.name()) + ":" + tensor.datatype() +
                    shape_to_string({tensor.shape().data(), static_cast<std::size_t>(tensor.shape_size())}));
  return join(words, " ");
}

json tensors_to_json(const wire_tensors& tensors) {
  auto list = json::array();
  for (const auto& tensor : tensors)
    list.push_back({{"name", tensor.name()},
                    {"datatype", tensor.datatype()},
                    {"shape", std::vector<std::int64_t>{tensor.shape().begin(), tensor.shape().end()}}});
  return list;
}

std::string to_text(const std::vector<listed_model>& models) {
  std::vector<std::vector<std::string>> rows{{"MODEL", "VERSION", "STATE", "PLATFORM", "INPUTS", "OUTPUTS", "REASON"}};
  for (const auto& [entry, what] : models)
    rows.push_back({one_line(entry.name()), one_line(entry.version()), entry.state(), one_line(what.platform()),
                    tensors_to_text(what.inputs()), tensors_to_text(what.outputs()), one_line(entry.reason())});
  return format_table(rows);
}

std::string to_json(const std::vector<listed_model>& models) {
  json document{{"models", json::array()}};
  for (const auto& [entry, what] : models)
    document["models"].push_back({{"name", entry.name()},
                                  {"version", entry.version()},
                                  {"state", entry.state()},
                                  {"reason", entry.reason()},
                                  {"platform", what.platform()},
                                  {"inputs", tensors_to_json(what.inputs())},
                                  {"outputs", tensors_to_json(what.outputs())}});
  return document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace

expected<void> models(session& with) {
  const auto found = list(with.node);
  if (!found)
    return found.error();
  with.out.print(with.json ? to_json(*found) : to_text(*found));
  return {};
}

}  // namespace troupe::cli
