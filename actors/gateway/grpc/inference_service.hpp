#pragma once

#include "actors/gateway/grpc/infer_call.hpp"
#include "actors/gateway/grpc/infer_messages.hpp"

#include "inference/grpc_service.grpc.pb.h"

#include <memory>

namespace troupe {

/// The Open Inference Protocol v2 over the node's router: ModelInfer goes to the models, the questions about them are
/// answered here, and what Troupe does not do is UNIMPLEMENTED with a reason. Never blocks. Thread-safe.
class inference_service final : public inference::GRPCInferenceService::CallbackService {
 public:
  explicit inference_service(std::shared_ptr<call_context> context);

  using context_t = grpc::CallbackServerContext;
  using reactor = grpc::ServerUnaryReactor;

  reactor* ServerLive(context_t*, const inference::ServerLiveRequest*, inference::ServerLiveResponse*) override;
  reactor* ServerReady(context_t*, const inference::ServerReadyRequest*, inference::ServerReadyResponse*) override;
  reactor* ModelReady(context_t*, const inference::ModelReadyRequest*, inference::ModelReadyResponse*) override;
  reactor* ServerMetadata(context_t*, const inference::ServerMetadataRequest*,
                          inference::ServerMetadataResponse*) override;
  reactor* ModelMetadata(context_t*, const inference::ModelMetadataRequest*,
                         inference::ModelMetadataResponse*) override;
  reactor* ModelConfig(context_t*, const inference::ModelConfigRequest*, inference::ModelConfigResponse*) override;
  reactor* RepositoryIndex(context_t*, const inference::RepositoryIndexRequest*,
                           inference::RepositoryIndexResponse*) override;
  reactor* ModelInfer(context_t*, const inference::ModelInferRequest*, inference::ModelInferResponse*) override;

  grpc::ServerBidiReactor<inference::ModelInferRequest, inference::ModelStreamInferResponse>* ModelStreamInfer(
      context_t*) override;
  reactor* ModelStatistics(context_t*, const inference::ModelStatisticsRequest*,
                           inference::ModelStatisticsResponse*) override;
  reactor* RepositoryModelLoad(context_t*, const inference::RepositoryModelLoadRequest*,
                               inference::RepositoryModelLoadResponse*) override;
  reactor* RepositoryModelUnload(context_t*, const inference::RepositoryModelUnloadRequest*,
                                 inference::RepositoryModelUnloadResponse*) override;
  reactor* SystemSharedMemoryStatus(context_t*, const inference::SystemSharedMemoryStatusRequest*,
                                    inference::SystemSharedMemoryStatusResponse*) override;
  reactor* SystemSharedMemoryRegister(context_t*, const inference::SystemSharedMemoryRegisterRequest*,
                                      inference::SystemSharedMemoryRegisterResponse*) override;
  reactor* SystemSharedMemoryUnregister(context_t*, const inference::SystemSharedMemoryUnregisterRequest*,
                                        inference::SystemSharedMemoryUnregisterResponse*) override;
  reactor* CudaSharedMemoryStatus(context_t*, const inference::CudaSharedMemoryStatusRequest*,
                                  inference::CudaSharedMemoryStatusResponse*) override;
  reactor* CudaSharedMemoryRegister(context_t*, const inference::CudaSharedMemoryRegisterRequest*,
                                    inference::CudaSharedMemoryRegisterResponse*) override;
  reactor* CudaSharedMemoryUnregister(context_t*, const inference::CudaSharedMemoryUnregisterRequest*,
                                      inference::CudaSharedMemoryUnregisterResponse*) override;
  reactor* TraceSetting(context_t*, const inference::TraceSettingRequest*, inference::TraceSettingResponse*) override;
  reactor* LogSettings(context_t*, const inference::LogSettingsRequest*, inference::LogSettingsResponse*) override;

 private:
  const std::shared_ptr<call_context> context_;
  infer_allocator allocator_;
};

}  // namespace troupe
