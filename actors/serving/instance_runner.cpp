#include "actors/serving/instance_runner.hpp"

#include "actors/serving/batch_runner.hpp"
#include "actors/serving/continuous_runner.hpp"

namespace troupe {

std::shared_ptr<instance_runner> instance_runner::make(std::unique_ptr<instance> worker,
                                                       std::shared_ptr<served_model> model,
                                                       std::shared_ptr<executor_pool> pool,
                                                       std::shared_ptr<executor_pool::share> share) {
  if (worker->continuous())
    return std::make_shared<continuous_runner>(std::move(worker), std::move(model), std::move(pool), std::move(share));
  return std::make_shared<batch_runner>(std::move(worker), std::move(model), std::move(pool), std::move(share));
}

}  // namespace troupe
