#pragma once

#include "skillsets/sdk/host/attachments.hpp"
#include "skillsets/sdk/host/segments.hpp"
#include "skillsets/sdk/skillset.hpp"

#include "troupe/host/v1/host.pb.h"

#include <cstdint>
#include <memory>

/// Between the contract's types and their messages (host.proto). What comes from the other process is checked: wrong
/// words are INVALID_ARGUMENT.
namespace troupe::host {

namespace wire = v1;

/// Of what both sides speak, as Hello says it. A node refuses a host with another one.
inline constexpr std::uint32_t contract = 1;

void to_wire(const parameter& value, wire::Parameter& to);
expected<parameter> from_wire(const wire::Parameter& from);

void to_wire(const error& why, wire::Failure& to);
error from_wire(const wire::Failure& from);

void to_wire(const option_spec& option, wire::Option& to);
expected<option_spec> from_wire(const wire::Option& from);

void to_wire(const runtime_device& device, wire::Device& to);
runtime_device from_wire(const wire::Device& from);

void to_wire(const model_settings& settings, wire::Load& to);
expected<model_settings> from_wire(const wire::Load& from);

void to_wire(const signature& what, wire::Signature& to);
expected<signature> from_wire(const wire::Signature& from);

/// Limits and linear cost; a cost that is a function stays where it is.
void to_wire(const batch_policy& policy, wire::Loaded& to);
batch_policy batching_of(const wire::Loaded& from);

void to_wire(const segment_notes& notes, wire::Segments& to);
segment_notes from_wire(const wire::Segments& from);

/// Has a message say what the other side is to know of segments.
template <class Message>
void tell(shared_segments& segments, Message& to) {
  if (const auto notes = segments.tell(); !notes.empty())
    to_wire(notes, *to.mutable_segments());
}

/// The bytes of tensors are copied into the message, or where they are many and the other side can take it, into one of
/// `files`, which may be a segment. They are viewed where they arrive: `owner` keeps the message alive, and `segments`
/// are those that the other side may use. DATA_LOSS for a file or a segment that can't be used, RESOURCE_EXHAUSTED when
/// that is too much.
void to_wire(const inference_request& request, wire::Request& to, attachments* files = nullptr);
expected<inference_request> from_wire(const wire::Request& from, const std::shared_ptr<const void>& owner,
                                      const attachments& files = {}, segment_views* segments = nullptr);
/// INTERNAL for names and texts that are no UTF-8.
expected<void> to_wire(const inference_response& response, wire::Response& to, attachments* files = nullptr);
expected<inference_response> from_wire(const wire::Response& from, const std::shared_ptr<const void>& owner,
                                       const attachments& files = {}, segment_views* segments = nullptr);

}  // namespace troupe::host
