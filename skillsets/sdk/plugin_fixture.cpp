#include "skillsets/sdk/plugin.hpp"

#include <cstdlib>

namespace troupe {
namespace {

/// Shows whether any of a plug-in's code has run.
[[gnu::constructor]] void mark() {
  setenv("TROUPE_PLUGIN_FIXTURE_RAN", "1", 1);
}

/// A plug-in for the tests, with nothing in it.
class plugin_fixture final : public skillset {
 public:
  std::string_view name() const override { return "plugin_fixture"; }
  std::string_view platform() const override { return "test"; }
  std::vector<option_spec> options() const override { return {}; }
  expected<std::unique_ptr<loaded_model>> load(const model_settings&, const cancel_token&) override {
    return make_error(status_code::unimplemented, "there are no models of this");
  }
};

}  // namespace
}  // namespace troupe

/// What a library inside a plug-in may say of itself.
extern "C" [[gnu::visibility("default"), gnu::used]] void plugin_fixture_inside() {}

TROUPE_SKILLSET(troupe::plugin_fixture)
