#include "actors/gateway/grpc/skillset_messages.hpp"

#include "actors/serving/skillset_catalog.hpp"

#include "troupe/node/v1/node.pb.h"

#include <string>
#include <variant>

namespace troupe {
namespace {

using wire = node::v1::Skillset;

wire::Kind to_wire(skillset_kind kind) {
  switch (kind) {
    case skillset_kind::built_in:
      return wire::BUILT_IN;
    case skillset_kind::shared_object:
      return wire::SHARED_OBJECT;
    case skillset_kind::program:
      return wire::PROGRAM;
  }
  return wire::KIND_UNSPECIFIED;
}

struct set_fallback {
  node::v1::Option& to;

  void operator()(bool value) const { to.set_bool_value(value); }
  void operator()(std::int64_t value) const { to.set_int64_value(value); }
  void operator()(std::uint64_t value) const { to.set_int64_value(static_cast<std::int64_t>(value)); }
  void operator()(double value) const { to.set_double_value(value); }
  void operator()(const std::string& value) const { to.set_string_value(value); }
};

void describe_option(const option_spec& option, node::v1::Option& to) {
  to.set_name(option.name);
  std::visit(set_fallback{to}, option.fallback);
  to.mutable_choices()->Add(option.choices.begin(), option.choices.end());
  if (option.least == 0 && option.most == 0)
    return;
  to.set_least(option.least);
  to.set_most(option.most);
}

void describe_device(const runtime_device& device, node::v1::RuntimeDevice& to) {
  to.set_name(device.name);
  to.mutable_runtime()->set_name(device.runtime);
  to.mutable_runtime()->set_version(device.version);
  to.mutable_runtime()->set_full_name(device.full_name);
  to.mutable_runtime()->mutable_capabilities()->Add(device.capabilities.begin(), device.capabilities.end());
}

}  // namespace

void describe_skillset(const skillset_listing& listing, node::v1::Skillset& to) {
  to.set_name(listing.file.name);
  to.set_kind(to_wire(listing.file.kind));
  to.set_file(listing.file.path.string());
  to.set_version(listing.version);
  to.set_platform(listing.platform);
  for (const auto& option : listing.options)
    describe_option(option, *to.add_options());
  for (const auto& device : listing.devices)
    describe_device(device, *to.add_devices());
  if (listing.refused)
    to.set_refused(to_string(*listing.refused));
  if (listing.shadowed_by)
    to.set_shadowed_by(listing.shadowed_by->path.empty() ? "built in" : listing.shadowed_by->path.string());
}

}  // namespace troupe
