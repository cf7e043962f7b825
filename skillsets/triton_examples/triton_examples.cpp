#include "skillsets/triton_examples/triton_examples.hpp"

#include "skillsets/triton_examples/tasks.hpp"

namespace troupe {
namespace {

class triton_examples_skillset final : public skillset {
 public:
  std::string_view name() const override { return "triton_examples"; }

  std::string_view platform() const override { return "troupe"; }
  std::string_view version() const override { return TROUPE_VERSION; }

  std::vector<option_spec> options() const override {
    return {{"task", std::string{"add_sub"}, {"add_sub", "identity", "repeat", "sleep", "accumulate", "mark_sequence"}},
            {"datatype", std::string{"ANY"}, {"ANY", "INT32", "INT8", "BYTES"}},
            {"stubborn", false, {}},
            {"add_id", false, {}}};
  }

  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token&) override {
    const auto& task = std::get<std::string>(settings.options.at("task"));
    const auto type = parse_datatype(std::get<std::string>(settings.options.at("datatype")));
    if (task == "identity")
      return triton_examples::make_pass(type.value_or(datatype::any));
    if (task == "repeat")
      return triton_examples::make_repeat();
    if (task == "sleep")
      return triton_examples::make_sleep(std::get<bool>(settings.options.at("stubborn")));
    if (task == "accumulate" || task == "mark_sequence")
      return triton_examples::make_sequences({task == "accumulate", std::get<bool>(settings.options.at("add_id"))});
    return triton_examples::make_add_sub(type.value_or(datatype::int32));
  }
};

}  // namespace

std::unique_ptr<skillset> make_triton_examples_skillset() {
  return std::make_unique<triton_examples_skillset>();
}

}  // namespace troupe
