#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/wait.hpp"
#include "skillsets/triton_examples/elements.hpp"
#include "skillsets/triton_examples/simple_model.hpp"
#include "skillsets/triton_examples/tasks.hpp"

namespace troupe::triton_examples {
namespace {

using std::chrono::milliseconds;

class repeat_instance final : public instance {
 public:
  expected<void> run(std::span<work_item* const> batch, const cancel_token&) override {
    for (auto* item : batch)
      repeat(*item);
    return {};
  }

 private:
  static void repeat(work_item& item) {
    const auto token = item.token();
    const auto& inputs = item.request().inputs;
    const auto values = elements_of<std::int32_t>(inputs[0]);
    const auto delays = elements_of<std::uint32_t>(inputs[1]);
    const auto busy_until = after(milliseconds{elements_of<std::uint32_t>(inputs[2]).front()}, token);
    if (values.size() != delays.size())
      return item.respond(make_error(status_code::invalid_argument,
                                     "input 'DELAY' has " + std::to_string(delays.size()) + " elements",
                                     "give as many as 'IN' has, " + std::to_string(values.size())));
    for (std::size_t i = 0; i != values.size(); ++i) {
      if (const auto waited = wait(sleep_for(milliseconds{delays[i]}, token), token); !waited)
        return item.respond(waited.error());
      inference_response response;
      response.outputs.push_back(vector_tensor<std::int32_t>("OUT", datatype::int32, {values[i]}));
      response.outputs.push_back(
          vector_tensor<std::uint32_t>("IDX", datatype::uint32, {static_cast<std::uint32_t>(i)}));
      item.send(std::move(response));
    }
    item.complete();
    // The answer has been given; who cancels this gets the instance back.
    static_cast<void>(wait(sleep_until(busy_until, token), token));
  }
};

}  // namespace

std::unique_ptr<loaded_model> make_repeat() {
  signature what{{{"IN", datatype::int32, {-1}}, {"DELAY", datatype::uint32, {-1}}, {"WAIT", datatype::uint32, {1}}},
                 {{"OUT", datatype::int32, {1}}, {"IDX", datatype::uint32, {1}}}};
  what.decoupled = true;
  inference_request warm_up;
  warm_up.inputs = {vector_tensor<std::int32_t>("IN", datatype::int32, {1}),
                    vector_tensor<std::uint32_t>("DELAY", datatype::uint32, {0}),
                    vector_tensor<std::uint32_t>("WAIT", datatype::uint32, {0})};
  return make_simple_model(std::move(what), std::move(warm_up), [] { return std::make_unique<repeat_instance>(); });
}

}  // namespace troupe::triton_examples
