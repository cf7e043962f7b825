#include "skillsets/triton_examples/simple_model.hpp"
#include "skillsets/triton_examples/tasks.hpp"

namespace troupe::triton_examples {
namespace {

class pass_instance final : public single_instance {
 public:
  using single_instance::run;

  expected<inference_response> run(const inference_request& request, const cancel_token&) override {
    inference_response response;
    response.outputs.push_back(request.inputs.front());
    response.outputs.front().name = "OUTPUT0";
    return response;
  }

  bool immediate(const inference_request&) const noexcept override { return true; }
};

}  // namespace

std::unique_ptr<loaded_model> make_pass(datatype type) {
  const auto some = type == datatype::any ? datatype::fp32 : type;
  return make_simple_model({{{"INPUT0", type, {}, true}}, {{"OUTPUT0", type, {}, true}}},
                           {{tensor{"INPUT0", some, {0}, {}}}, {}}, [] { return std::make_unique<pass_instance>(); });
}

}  // namespace troupe::triton_examples
