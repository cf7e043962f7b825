#include "actors/gateway/http/openai/tasks.hpp"

namespace troupe::openai {
namespace {

bool is(const std::vector<tensor_spec>& specs, std::string_view name, datatype type) {
  return specs.size() == 1 && specs.front().name == name && specs.front().type == type && !specs.front().any_rank;
}

bool generates_text(const signature& model) {
  const std::vector<std::int64_t> one{1};
  return model.decoupled && !model.batches && !model.stateful && is(model.inputs, "text_input", datatype::bytes) &&
         is(model.outputs, "text_output", datatype::bytes) && model.inputs.front().shape == one &&
         model.outputs.front().shape == one;
}

bool embeds_text(const signature& model) {
  const std::vector<std::int64_t> any{-1};
  return model.batches && !model.decoupled && !model.stateful && is(model.inputs, "text", datatype::bytes) &&
         is(model.outputs, "embedding", datatype::fp32) && model.inputs.front().shape == any &&
         model.outputs.front().shape.size() == 2;
}

}  // namespace

bool does(const signature& model, model_task task) {
  return task == model_task::text_generation ? generates_text(model) : embeds_text(model);
}

}  // namespace troupe::openai
