#pragma once

#include <cstdint>

namespace troupe {

enum class restart_strategy : std::uint8_t;
enum class restart_type : std::uint8_t;
struct child_spec;
struct supervisor_flags;

}  // namespace troupe
