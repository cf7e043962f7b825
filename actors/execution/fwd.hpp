#pragma once

namespace troupe {

struct device;
class device_table;
class executor_pool;
class pool_job;
struct running_device;
struct runtime_device;

}  // namespace troupe
