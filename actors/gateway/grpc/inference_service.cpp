#include "actors/gateway/grpc/inference_service.hpp"

#include "actors/concurrency/log.hpp"
#include "actors/gateway/grpc/log_settings.hpp"
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
  if (model && !(*model)->describe()) {
    const auto [state, reason] = (*model)->current();
    return make_error(status_code::unavailable, "model '" + name + "' is " + std::string{to_string(state)} +
                                                    (reason.empty() ? "" : ": " + reason));
  }
  return model;
}

void describe(const tensor_spec& spec, inference::ModelMetadataResponse::TensorMetadata& to) {
  to.set_name(spec.name);
  to.set_datatype(std::string{to_string(spec.type)});
  to.mutable_shape()->Add(spec.shape.begin(), spec.shape.end());
  if (spec.any_rank)
    to.add_shape(-1);
}

/// Triton's TYPE_… of a datatype; TYPE_INVALID for `any`, which Triton has no word for.
inference::DataType config_type(datatype type) {
  const auto name = "TYPE_" + (type == datatype::bytes ? "STRING" : std::string{to_string(type)});
  inference::DataType value = inference::TYPE_INVALID;
  inference::DataType_Parse(name, &value);
  return value;
}

template <class Config>
void describe_config(const tensor_spec& spec, bool batches, Config& to) {
  to.set_name(spec.name);
  to.set_data_type(config_type(spec.type));
  // Triton leaves the batch axis out of the dimensions.
  for (std::size_t i = batches ? 1 : 0; i < spec.shape.size(); ++i)
    to.add_dims(spec.shape[i]);
  if (spec.any_rank || to.dims_size() == 0)
    to.add_dims(spec.any_rank ? -1 : 1);
}

/// How requests wait and are put together, in Triton's words.
void describe_batching(const served_model& model, inference::ModelConfig& config) {
  const auto& queue = model.folder().queue;
  const auto& limits = model.calls().options().batch;
  auto& batching = *config.mutable_dynamic_batching();
  batching.set_max_queue_delay_microseconds(
      static_cast<std::uint64_t>(std::chrono::microseconds{model.folder().batching.max_delay}.count()));
  batching.set_priority_levels(queue.priorities);
  batching.set_default_priority_level(queue.default_priority);
  auto& policy = *batching.mutable_default_queue_policy();
  policy.set_timeout_action(inference::ModelQueuePolicy::REJECT);
  policy.set_default_timeout_microseconds(
      static_cast<std::uint64_t>(std::chrono::microseconds{queue.max_wait}.count()));
  policy.set_allow_timeout_override(true);
  policy.set_max_queue_size(static_cast<std::uint32_t>(queue.capacity));
  if (limits.items > 1)
    batching.add_preferred_batch_size(static_cast<std::int32_t>(limits.items));
}

/// The same for a stateful model, where Triton has other words for it.
void describe_sequences(const served_model& model, inference::ModelConfig& config) {
  const auto& sequences = model.folder().sequences;
  auto& batching = *config.mutable_sequence_batching();
  batching.set_max_sequence_idle_microseconds(
      static_cast<std::uint64_t>(std::chrono::microseconds{sequences.max_idle}.count()));
  auto& strategy = *batching.mutable_oldest();
  strategy.set_max_candidate_sequences(static_cast<std::int32_t>(sequences.capacity));
  strategy.set_max_queue_delay_microseconds(
      static_cast<std::uint64_t>(std::chrono::microseconds{model.folder().batching.max_delay}.count()));
  if (const auto items = model.calls().options().batch.items; items > 1)
    strategy.add_preferred_batch_size(static_cast<std::int32_t>(items));
}

void describe_config(const served_model& model, inference::ModelConfig& config) {
  const auto& folder = model.folder();
  const auto& what = *model.describe();
  config.set_name(folder.name);
  config.set_backend(std::string{folder.skills->name()});
  config.set_platform(std::string{folder.skills->platform()});
  config.set_max_batch_size(what.batches ? static_cast<std::int32_t>(folder.limits.items) : 0);
  if (what.stateful)
    describe_sequences(model, config);
  else
    describe_batching(model, config);
  config.mutable_model_transaction_policy()->set_decoupled(what.decoupled);
  config.mutable_version_policy()->mutable_latest()->set_num_versions(1);
  for (const auto& spec : what.inputs)
    describe_config(spec, what.batches, *config.add_input());
  for (const auto& spec : what.outputs)
    describe_config(spec, what.batches, *config.add_output());
  auto& group = *config.add_instance_group();
  group.set_name(folder.name);
  group.set_kind(inference::ModelInstanceGroup::KIND_CPU);
  group.set_count(static_cast<std::int32_t>(folder.instances));
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
  for (const auto* extension : {"model_configuration", "parameters", "logging", "sequence"})
    response->add_extensions(extension);
  if (context_->shares_memory)
    response->add_extensions("system_shared_memory");
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
  if (!request->repository_name().empty())
    return finish(context,
                  make_error(status_code::not_found, "there is no repository '" + request->repository_name() + "'",
                             "the node has one repository, which has no name"));
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

reactor* inference_service::RepositoryModelLoad(context_t* context, const inference::RepositoryModelLoadRequest*,
                                                inference::RepositoryModelLoadResponse*) {
  return finish(context, not_implemented("RepositoryModelLoad", "models are loaded when the node starts"));
}

reactor* inference_service::RepositoryModelUnload(context_t* context, const inference::RepositoryModelUnloadRequest*,
                                                  inference::RepositoryModelUnloadResponse*) {
  return finish(context, not_implemented("RepositoryModelUnload", "models are unloaded when the node stops"));
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
