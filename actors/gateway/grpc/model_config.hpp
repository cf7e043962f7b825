#pragma once

#include "actors/concurrency/error.hpp"

#include "inference/grpc_service.pb.h"
#include "inference/model_config.pb.h"

#include <string>

namespace troupe {

class served_model;

/// A model in Triton's words, as far as it is known: what it takes and gives once it was READY.
void describe_config(const served_model& model, inference::ModelConfig& config);

/// The settings, as those of a model.toml, that a RepositoryModelLoad asks for; empty when it asks for none. They are
/// either in `settings`, a text of TOML, or in Triton's `config`, a ModelConfig in JSON, of which the scheduling, the
/// number of instances, the parameters and the greatest batch size may differ from what ModelConfig tells of `current`;
/// null: the model is not known yet. INVALID_ARGUMENT names what can't be had, UNIMPLEMENTED a parameter of Triton's.
expected<std::string> settings_of(const inference::RepositoryModelLoadRequest& request, const served_model* current);

}  // namespace troupe
