#pragma once

#include "actors/concurrency/error.hpp"

#include "inference/grpc_service.pb.h"

#include <spdlog/common.h>

namespace troupe {

using log_changes = google::protobuf::Map<std::string, inference::LogSettingsRequest::SettingValue>;

/// Triton's logging extension on a log that has one level. Triton turns errors, warnings, information and verbosity on
/// and off one by one; here whatever is on brings along what is more serious. Verbosity 1 is `debug`, 2 and above
/// `trace`.
///
/// The level that is nearest to `level` and does all that is asked for. INVALID_ARGUMENT for a setting that is unknown
/// or of the wrong type, and for settings that no one level fulfils; UNIMPLEMENTED for another file or format.
expected<spdlog::level::level_enum> changed_level(spdlog::level::level_enum level, const log_changes& changes);

/// How the process logs, in Triton's words. `log_file` is empty, for standard error; `log_format` is one of our own.
void describe_log(inference::LogSettingsResponse& to);

}  // namespace troupe
