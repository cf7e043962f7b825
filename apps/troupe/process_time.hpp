#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <vector>

namespace troupe {

/// CPU time that all threads of a process have had so far, user and system; nothing when there is no such process.
std::optional<std::chrono::nanoseconds> cpu_time_of(pid_t process);

/// The processes that its threads have started and not waited for; none when it is gone.
std::vector<pid_t> children_of(pid_t process);

}  // namespace troupe
