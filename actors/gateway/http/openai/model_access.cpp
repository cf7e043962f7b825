#include "actors/gateway/http/openai/model_access.hpp"

#include <chrono>

namespace troupe::openai {
namespace {

constexpr std::size_t longest_name = 200;

error not_there(const std::string& name) {
  return make_error(status_code::not_found,
                    "parameter 'model' is '" + shortened(name, longest_name) + "', and there is no such model here",
                    "GET /v1/models lists the models");
}

/// An error of the router, as clients of this API have to read it.
error as_told(error why, const std::string& name) {
  if (why.code == status_code::not_found)
    return not_there(name);
  why.remedy = "try again";
  return why;
}

json describe(const served_model& model) {
  const auto since = std::chrono::duration_cast<std::chrono::seconds>(model.created_at().time_since_epoch());
  return {{"id", model.name()}, {"object", "model"}, {"created", since.count()}, {"owned_by", "troupe"}};
}

bool is_served(const signature& what) {
  return does(what, model_task::text_generation) || does(what, model_task::text_embedding);
}

}  // namespace

expected<served_model::visit> enter_model(const router& routes, const std::string& name, model_task task) {
  auto visit = routes.enter(name, "");
  if (!visit)
    return as_told(std::move(visit).error(), name);
  const auto& what = *(*visit)->describe();
  if (does(what, task))
    return visit;
  return make_error(status_code::invalid_argument,
                    "parameter 'model' is '" + shortened(name, longest_name) + "', which does not " +
                        (task == model_task::text_generation ? "generate" : "embed") + " text",
                    "GET /v1/models lists the models");
}

json list_models(const router& routes) {
  auto models = json::array();
  for (const auto& model : routes.all())
    if (model->ready() && is_served(*model->describe()))
      models.push_back(describe(*model));
  return {{"object", "list"}, {"data", std::move(models)}};
}

expected<json> describe_model(const router& routes, const std::string& name) {
  const auto model = routes.find(name, "");
  if (!model)
    return as_told(model.error(), name);
  const auto* what = (*model)->describe();
  if (!what)
    return as_told((*model)->why_not_ready(), name);
  if (!is_served(*what))
    return not_there(name);
  return describe(**model);
}

}  // namespace troupe::openai
