#include "skillsets/identity/identity.hpp"

#include "actors/concurrency/sleep.hpp"
#include "actors/concurrency/wait.hpp"

#include <algorithm>
#include <chrono>

namespace troupe {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t longest_delay_ms = 600'000;

/// The delay that a request asks for, 0 without one.
expected<milliseconds> delay_of(const inference_request& request) {
  const auto i = request.parameters.find("delay_ms");
  if (i == request.parameters.end())
    return milliseconds{0};
  const auto wrong = [](std::string cause) {
    return make_error(status_code::invalid_argument, "parameter 'delay_ms' " + std::move(cause),
                      "give an integer of 0 to " + std::to_string(longest_delay_ms));
  };
  std::int64_t value = -1;
  if (const auto* number = std::get_if<std::int64_t>(&i->second))
    value = *number;
  else if (const auto* natural = std::get_if<std::uint64_t>(&i->second))
    value = static_cast<std::int64_t>(std::min<std::uint64_t>(*natural, longest_delay_ms + 1));
  else
    return wrong("is not an integer");
  if (value < 0 || value > longest_delay_ms)
    return wrong("is out of range");
  return milliseconds{value};
}

class identity_instance final : public single_instance {
 public:
  using single_instance::run;

  expected<inference_response> run(const inference_request& request, const cancel_token& token) override {
    const auto delay = delay_of(request);
    if (!delay)
      return delay.error();
    if (delay->count() > 0)
      if (const auto waited = wait(sleep_for(*delay, token), token); !waited)
        return waited.error();
    inference_response response;
    response.outputs.push_back(request.inputs.front());
    response.outputs.front().name = "output";
    return response;
  }

  bool immediate(const inference_request& request) const noexcept override {
    return request.parameters.find("delay_ms") == request.parameters.end();
  }
};

class identity_model final : public loaded_model {
 public:
  explicit identity_model(datatype type)
      : signature_{{{"input", type, {}, true}}, {{"output", type, {}, true}}, false} {}

  const signature& describe() const override { return signature_; }

  expected<std::unique_ptr<instance>> make_instance() override {
    return std::unique_ptr<instance>{std::make_unique<identity_instance>()};
  }

  inference_request warm_up() const override {
    const auto type = signature_.inputs.front().type == datatype::any ? datatype::fp32 : signature_.inputs.front().type;
    return {{tensor{"input", type, {0}, {}}}, {}};
  }

 private:
  signature signature_;
};

class identity_skillset final : public skillset {
 public:
  std::string_view name() const override { return "identity"; }

  std::string_view platform() const override { return "troupe"; }
  std::string_view version() const override { return TROUPE_VERSION; }

  std::vector<option_spec> options() const override {
    std::vector<std::string> types;
    for (auto i = static_cast<int>(datatype::any); i <= static_cast<int>(datatype::bytes); ++i)
      types.emplace_back(to_string(static_cast<datatype>(i)));
    return {{"datatype", std::string{"ANY"}, std::move(types)}};
  }

  expected<std::unique_ptr<loaded_model>> load(const model_settings& settings, const cancel_token&) override {
    const auto& name = std::get<std::string>(settings.options.at("datatype"));
    return std::unique_ptr<loaded_model>{
        std::make_unique<identity_model>(parse_datatype(name).value_or(datatype::any))};
  }
};

}  // namespace

std::unique_ptr<skillset> make_identity_skillset() {
  return std::make_unique<identity_skillset>();
}

}  // namespace troupe
