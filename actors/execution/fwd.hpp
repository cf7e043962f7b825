#pragma once

namespace troupe {

struct device;
class device_table;
class executor_pool;
class pool_job;

}  // namespace troupe
