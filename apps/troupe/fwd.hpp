#pragma once

namespace inference {

class InferParameter;
class ModelConfigResponse;
class ModelInferRequest;
class ModelInferResponse;
class ModelMetadataRequest;
class ModelMetadataResponse;
class RepositoryIndexResponse;
class ServerMetadataResponse;

}  // namespace inference

namespace troupe::node::v1 {

class DevicesResponse;
class MetricsResponse;
class SkillsetsResponse;

}  // namespace troupe::node::v1

namespace troupe::cli {

class client;
class interrupt;
class interruption;
class line_reader;
class output;
struct session;

}  // namespace troupe::cli
