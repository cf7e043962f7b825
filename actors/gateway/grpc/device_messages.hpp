#pragma once

#include <string>

namespace troupe {

namespace node::v1 {
class Device;
}

struct running_device;

/// A device, and what its pool does at this moment, as troupe.node.v1 says it.
void describe_device(const running_device& running, node::v1::Device& to);

/// A device as one of ServerMetadata's extensions, for clients that know nothing else: what stays the same of it, as
/// in a URL's query, such as `troupe.device/CPU?slots=2&cores=2&capabilities=FP32,INT8`. What is not known is left out.
std::string device_extension(const running_device& running);

}  // namespace troupe
