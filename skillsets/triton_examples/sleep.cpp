#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/wait.hpp"
#include "skillsets/triton_examples/elements.hpp"
#include "skillsets/triton_examples/simple_model.hpp"
#include "skillsets/triton_examples/tasks.hpp"

#include <thread>

namespace troupe::triton_examples {
namespace {

class sleep_instance final : public single_instance {
 public:
  explicit sleep_instance(bool stubborn) : stubborn_(stubborn) {}

  using single_instance::run;

  expected<inference_response> run(const inference_request& request, const cancel_token& token) override {
    const auto delay = elements_of<std::uint32_t>(request.inputs.front()).front();
    const std::chrono::milliseconds time{delay};
    if (stubborn_)
      std::this_thread::sleep_for(time);
    else if (const auto waited = wait(sleep_for(time, token), token); !waited)
      return waited.error();
    inference_response response;
    response.outputs.push_back(vector_tensor<std::uint32_t>("SLEPT", datatype::uint32, {delay}));
    return response;
  }

 private:
  const bool stubborn_;
};

}  // namespace

std::unique_ptr<loaded_model> make_sleep(bool stubborn) {
  inference_request warm_up;
  warm_up.inputs.push_back(vector_tensor<std::uint32_t>("DELAY", datatype::uint32, {0}));
  return make_simple_model({{{"DELAY", datatype::uint32, {1}}}, {{"SLEPT", datatype::uint32, {1}}}}, std::move(warm_up),
                           [stubborn] { return std::make_unique<sleep_instance>(stubborn); });
}

}  // namespace troupe::triton_examples
