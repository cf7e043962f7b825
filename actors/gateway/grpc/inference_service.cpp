#include "actors/gateway/grpc/inference_service.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/execution/device_actor.hpp"
#include "actors/gateway/grpc/device_messages.hpp"
#include "actors/gateway/grpc/log_settings.hpp"
#include "actors/gateway/grpc/model_config.hpp"
#include "actors/gateway/grpc/repository_call.hpp"
#include "actors/gateway/grpc/statistics.hpp"
#include "actors/gateway/grpc/status.hpp"
#include "actors/gateway/grpc/stream_infer.hpp"
#include "actors/gateway/grpc/trace_settings.hpp"
#include "actors/serving/router.hpp"
#include "actors/serving/served_model.hpp"

namespace troupe {
namespace {

using context_t = inference_service::context_t;
using reactor = inference_service::reactor;

reactor* finish(context_t* context, const grpc::Status& status = grpc::Status::OK) {
  auto* unary = context->DefaultReactor();
  unary->Finish(status);
  return unary;
}

reactor* finish(context_t* context, const error& e) {
  return finish(context, to_grpc(e));
}

reactor* finish(context_t* context, const expected<void>& done) {
  return done ? finish(context) : finish(context, done.error());
}

error not_implemented(const std::string& what, const std::string& remedy = "leave it out") {
  return make_error(status_code::unimplemented, what + " is not implemented by this server", remedy);
}

/// A model whose signature is known, which is so from its first READY on.
expected<std::shared_ptr<served_model>> described_model(const call_context& context, const std::string& name,
                                                        const std::string& version) {
  auto model = context.routes->find(name, version);
  if (model && !(*model)->describe())
    return (*model)->why_not_ready();
  return model;
}

expected<void> check_repository(const std::string& name) {
  if (name.empty())
    return {};
  return make_error(status_code::not_found, "there is no repository '" + name + "'",
                    "the node has one repository, which has no name");
}

expected<void> check_model_control(const call_context& context, const std::string& repository) {
  if (!context.controls_models)
    return make_error(status_code::failed_precondition, "models can't be loaded and unloaded on this node",
                      "set grpc.model_control in troupe.toml");
  return check_repository(repository);
}

void describe(const tensor_spec& spec, inference::ModelMetadataResponse::TensorMetadata& to) {
  to.set_name(spec.name);
  to.set_datatype(std::string{to_string(spec.type)});
  to.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
  if (spec.any_rank)
    to.add_shape(-1);
}

}  // namespace

inference_service::inference_service(std::shared_ptr<call_context> context) : context_(std::move(context)) {
  SetMessageAllocatorFor_ModelInfer(&allocator_);
}

reactor* inference_service::ServerLive(context_t* context, const inference::ServerLiveRequest*,
                                       inference::ServerLiveResponse* response) {
  response->set_live(true);
  return finish(context);
}

reactor* inference_service::ServerReady(context_t* context, const inference::ServerReadyRequest*,
                                        inference::ServerReadyResponse* response) {
  response->set_ready(!context_->calls.closed() && context_->routes->settled());
  return finish(context);
}

reactor* inference_service::ModelReady(context_t* context, const inference::ModelReadyRequest* request,
                                       inference::ModelReadyResponse* response) {
  const auto model = context_->routes->find(request->name(), request->version());
  if (!model)
    return finish(context, model.error());
  response->set_ready((*model)->ready());
  return finish(context);
}

reactor* inference_service::ServerMetadata(context_t* context, const inference::ServerMetadataRequest*,
                                           inference::ServerMetadataResponse* response) {
  response->set_name("troupe");
  response->set_version(TROUPE_VERSION);
  // Triton's names for those of its extensions that are there as a whole.
  for (const auto* extension :
       {"model_repository", "model_configuration", "parameters", "sequence", "statistics", "logging"})
    response->add_extensions(extension);
  if (context_->shares_memory)
    response->add_extensions("system_shared_memory");
  for (const auto& running : context_->devices->all())
    response->add_extensions(device_extension(running));
  return finish(context);
}

reactor* inference_service::ModelMetadata(context_t* context, const inference::ModelMetadataRequest* request,
                                          inference::ModelMetadataResponse* response) {
  const auto model = described_model(*context_, request->name(), request->version());
  if (!model)
    return finish(context, model.error());
  response->set_name((*model)->name());
  response->add_versions((*model)->version());
  response->set_platform(std::string{(*model)->folder().skills->platform()});
  for (const auto& spec : (*model)->describe()->inputs)
    describe(spec, *response->add_inputs());
  for (const auto& spec : (*model)->describe()->outputs)
    describe(spec, *response->add_outputs());
  return finish(context);
}

reactor* inference_service::ModelConfig(context_t* context, const inference::ModelConfigRequest* request,
                                        inference::ModelConfigResponse* response) {
  const auto model = described_model(*context_, request->name(), request->version());
  if (!model)
    return finish(context, model.error());
  describe_config(**model, *response->mutable_config());
  return finish(context);
}

reactor* inference_service::RepositoryIndex(context_t* context, const inference::RepositoryIndexRequest* request,
                                            inference::RepositoryIndexResponse* response) {
  if (const auto known = check_repository(request->repository_name()); !known)
    return finish(context, known);
  for (const auto& model : context_->routes->all()) {
    const auto [state, reason] = model->current();
    if (request->ready() && state != model_state::ready)
      continue;
    auto& entry = *response->add_models();
    entry.set_name(model->name());
    entry.set_version(model->version());
    entry.set_state(std::string{to_string(state)});
    entry.set_reason(reason);
  }
  return finish(context);
}

reactor* inference_service::ModelInfer(context_t* context, const inference::ModelInferRequest* request,
                                       inference::ModelInferResponse* response) {
  return infer_call::begin(context_, *context, *request, *response);
}

grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>*
inference_service::ModelStreamInfer(context_t* context) {
  return stream_infer::begin(context_, *context);
}

reactor* inference_service::ModelStatistics(context_t* context, const inference::ModelStatisticsRequest* request,
                                            inference::ModelStatisticsResponse* response) {
  if (request->name().empty()) {
    for (const auto& model : context_->routes->all())
      describe_statistics(*model, *response->add_model_stats());
    return finish(context);
  }
  const auto model = context_->routes->find(request->name(), request->version());
  if (!model)
    return finish(context, model.error());
  describe_statistics(**model, *response->add_model_stats());
  return finish(context);
}

reactor* inference_service::RepositoryModelLoad(context_t* context,
                                                const inference::RepositoryModelLoadRequest* request,
                                                inference::RepositoryModelLoadResponse*) {
  if (const auto allowed = check_model_control(*context_, request->repository_name()); !allowed)
    return finish(context, allowed);
  const auto current = context_->routes->find(request->model_name(), {});
  auto settings = settings_of(*request, current ? current->get() : nullptr);
  if (!settings)
    return finish(context, settings.error());
  return repository_call::begin(context_, *context, [&](model_repository::told on_done) {
    context_->loader->load(request->model_name(), *std::move(settings), std::move(on_done));
  });
}

reactor* inference_service::RepositoryModelUnload(context_t* context,
                                                  const inference::RepositoryModelUnloadRequest* request,
                                                  inference::RepositoryModelUnloadResponse*) {
  if (const auto allowed = check_model_control(*context_, request->repository_name()); !allowed)
    return finish(context, allowed);
  // The one parameter there is, `unload_dependents`, changes nothing: no model depends on another.
  return repository_call::begin(context_, *context, [&](model_repository::told on_done) {
    context_->loader->unload(request->model_name(), std::move(on_done));
  });
}

reactor* inference_service::SystemSharedMemoryStatus(context_t* context,
                                                     const inference::SystemSharedMemoryStatusRequest* request,
                                                     inference::SystemSharedMemoryStatusResponse* response) {
  const auto regions = context_->memory.describe(request->name());
  if (!regions)
    return finish(context, regions.error());
  for (const auto& region : *regions) {
    auto& status = (*response->mutable_regions())[region.name];
    status.set_name(region.name);
    status.set_key(region.key);
    status.set_offset(region.offset);
    status.set_byte_size(region.byte_size);
  }
  return finish(context);
}

reactor* inference_service::SystemSharedMemoryRegister(context_t* context,
                                                       const inference::SystemSharedMemoryRegisterRequest* request,
                                                       inference::SystemSharedMemoryRegisterResponse*) {
  if (!context_->shares_memory)
    return finish(context, make_error(status_code::failed_precondition, "shared memory is switched off on this node",
                                      "send raw contents, or set grpc.shared_memory in troupe.toml"));
  return finish(context,
                context_->memory.add({request->name(), request->key(), request->offset(), request->byte_size()}));
}

reactor* inference_service::SystemSharedMemoryUnregister(context_t* context,
                                                         const inference::SystemSharedMemoryUnregisterRequest* request,
                                                         inference::SystemSharedMemoryUnregisterResponse*) {
  if (request->name().empty())
    context_->memory.remove_all();
  else
    context_->memory.remove(request->name());
  return finish(context);
}

reactor* inference_service::CudaSharedMemoryStatus(context_t* context,
                                                   const inference::CudaSharedMemoryStatusRequest* request,
                                                   inference::CudaSharedMemoryStatusResponse*) {
  if (!request->name().empty())
    return finish(context, make_error(status_code::not_found,
                                      "there is no region '" + request->name() + "' of CUDA shared memory"));
  return finish(context);
}

reactor* inference_service::CudaSharedMemoryRegister(context_t* context,
                                                     const inference::CudaSharedMemoryRegisterRequest*,
                                                     inference::CudaSharedMemoryRegisterResponse*) {
  return finish(context, not_implemented("CUDA shared memory", "use system shared memory"));
}

reactor* inference_service::CudaSharedMemoryUnregister(context_t* context,
                                                       const inference::CudaSharedMemoryUnregisterRequest*,
                                                       inference::CudaSharedMemoryUnregisterResponse*) {
  // What can't be registered isn't; clients of Triton make sure of it before anything else.
  return finish(context);
}

reactor* inference_service::TraceSetting(context_t* context, const inference::TraceSettingRequest* request,
                                         inference::TraceSettingResponse* response) {
  if (!request->model_name().empty())
    if (const auto model = context_->routes->find(request->model_name(), {}); !model)
      return finish(context, model.error());
  if (const auto checked = check_trace_settings(*request); !checked)
    return finish(context, checked.error());
  describe_tracing(*response);
  return finish(context);
}

reactor* inference_service::LogSettings(context_t* context, const inference::LogSettingsRequest* request,
                                        inference::LogSettingsResponse* response) {
  const auto level = changed_level(log_level(), request->settings());
  if (!level)
    return finish(context, level.error());
  set_log_level(*level);
  describe_log(*response);
  return finish(context);
}

}  // namespace troupe
