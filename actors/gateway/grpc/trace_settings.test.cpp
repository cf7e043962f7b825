#include "actors/gateway/grpc/trace_settings.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

struct trace_settings : testing::Test {
  inference::TraceSettingRequest::SettingValue& setting(const std::string& name) {
    return (*request.mutable_settings())[name];
  }

  status_code code() const {
    const auto checked = check_trace_settings(request);
    return checked ? status_code::ok : checked.error().code;
  }

  inference::TraceSettingRequest request;
};

TEST_F(trace_settings, may_be_set_to_what_they_are) {
  EXPECT_EQ(code(), status_code::ok);
  inference::TraceSettingResponse are;
  describe_tracing(are);
  EXPECT_EQ(are.settings_size(), 6);
  for (const auto& [name, value] : are.settings())
    setting(name).add_value(value.value(0));
  EXPECT_EQ(code(), status_code::ok);
}

TEST_F(trace_settings, may_be_set_back_to_their_defaults) {
  setting("trace_level");
  EXPECT_EQ(code(), status_code::ok);
}

TEST_F(trace_settings, may_not_be_changed) {
  setting("trace_level").add_value("TIMESTAMPS");
  EXPECT_EQ(code(), status_code::unimplemented);
  setting("trace_level").set_value(0, "OFF");
  EXPECT_EQ(code(), status_code::ok);
  setting("trace_level").add_value("TENSORS");
  EXPECT_EQ(code(), status_code::unimplemented);
}

TEST_F(trace_settings, have_names) {
  setting("trace_levels").add_value("OFF");
  EXPECT_EQ(code(), status_code::invalid_argument);
}

}  // namespace
}  // namespace troupe
