#pragma once

#include "actors/concurrency/error.hpp"

#include "inference/grpc_service.pb.h"

namespace troupe {

/// Triton's trace settings as they are here: those of a Triton that traces nothing.
void describe_tracing(inference::TraceSettingResponse& to);

/// Whether a request leaves the settings as they are, which a client may well say. INVALID_ARGUMENT for an unknown
/// setting, UNIMPLEMENTED for another value.
expected<void> check_trace_settings(const inference::TraceSettingRequest& request);

}  // namespace troupe
