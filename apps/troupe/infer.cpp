#include "apps/troupe/infer.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/encode.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/response.hpp"
#include "apps/troupe/session.hpp"
#include "inference/grpc_service.pb.h"

#include <algorithm>
#include <map>

namespace troupe::cli {
namespace {

namespace wire = inference;

/// What the model says of its inputs, by name; nothing is asked when the arguments say it all.
expected<std::map<std::string, declared_input>> declarations(client& node, const infer_options& options) {
  std::map<std::string, declared_input> declared;
  if (std::none_of(options.inputs.begin(), options.inputs.end(), needs_declaration))
    return declared;
  const auto what = node.metadata(options.model, options.version);
  if (!what)
    return what.error();
  for (const auto& input : what->inputs())
    declared[input.name()] = {parse_datatype(input.datatype()), {input.shape().begin(), input.shape().end()}};
  return declared;
}

}  // namespace

expected<wire::ModelInferRequest> make_request(client& node, const infer_options& options) {
  auto declared = declarations(node, options);
  if (!declared)
    return declared.error();
  wire::ModelInferRequest request;
  request.set_model_name(options.model);
  request.set_model_version(options.version);
  request.set_id(options.id);
  for (const auto& argument : options.inputs) {
    const auto encoded = encode(argument, (*declared)[argument.name]);
    if (!encoded)
      return encoded.error();
    auto& input = *request.add_inputs();
    input.set_name(encoded->name);
    input.set_datatype(std::string{to_string(encoded->type)});
    input.mutable_shape()->Add(encoded->shape.begin(), encoded->shape.end());
    request.add_raw_input_contents(encoded->data.view().data(), encoded->data.size());
  }
  for (const auto& name : options.outputs)
    request.add_outputs()->set_name(name);
  for (const auto& [key, value] : options.parameters)
    encode(value, (*request.mutable_parameters())[key]);
  return request;
}

expected<void> infer(session& with, const infer_options& options) {
  const auto request = make_request(with.node, options);
  if (!request)
    return request.error();
  const auto response = with.node.infer(*request);
  if (!response)
    return response.error();
  const auto outputs = read_outputs(*response);
  if (!outputs)
    return outputs.error();
  with.out.print(with.json ? response_to_json(*response, *outputs) : response_to_text(*response, *outputs));
  return {};
}

}  // namespace troupe::cli
