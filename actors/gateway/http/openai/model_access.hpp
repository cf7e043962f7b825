#pragma once

#include "actors/gateway/http/openai/json_document.hpp"
#include "actors/gateway/http/openai/tasks.hpp"
#include "actors/serving/router.hpp"

#include <string>

namespace troupe::openai {

/// Lets a request in to the model that it names. NOT_FOUND; INVALID_ARGUMENT when the model's task is another;
/// UNAVAILABLE while it is not known what the model does, or it lets nobody in.
expected<served_model::visit> enter_model(const router& routes, const std::string& name, model_task task);

/// Every model that an endpoint serves and that is ready: `{"object":"list","data":[…]}`.
json list_models(const router& routes);

/// One of them, ready or not. NOT_FOUND, also for a model that no endpoint serves; UNAVAILABLE while it is not known
/// what it does.
expected<json> describe_model(const router& routes, const std::string& name);

}  // namespace troupe::openai
