#pragma once

#include <cstdint>

namespace troupe {

enum class auto_shutdown : std::uint8_t;
enum class child_type : std::uint8_t;
enum class report_context : std::uint8_t;
enum class restart_strategy : std::uint8_t;
enum class restart_type : std::uint8_t;
struct child_spec;
struct restart_backoff;
struct start_context;
struct supervisor_flags;
struct supervisor_report;

}  // namespace troupe
