#pragma once

#include "skillsets/sdk/host/answer_writer.hpp"
#include "skillsets/sdk/skillset.hpp"

#include "troupe/host/v1/host.pb.h"

#include <cstdint>
#include <utility>

namespace troupe {

/// A request of the node's: what it is answered is written to the socket as it comes, and dropped once the node has
/// taken the request back. Worked on by one thread; `cancel` may be called from another.
class host_item final : public work_item {
 public:
  host_item(std::uint32_t index, inference_request request, answer_writer& out)
      : index_(index), request_(std::move(request)), out_(out) {}

  const inference_request& request() const noexcept override { return request_; }
  cancel_token token() const noexcept override { return scope_.token(); }
  void send(inference_response response) override;
  void respond(expected<inference_response> answer) override;
  void complete() override;

  /// Whether it has had its last word, written or dropped. For the thread that works on it.
  bool ended() const noexcept { return ended_; }

  /// The node takes it back; false when it has done so before.
  bool cancel() { return scope_.cancel(make_error(status_code::cancelled, "the node takes the request back")); }

  std::uint32_t index() const noexcept { return index_; }

 private:
  host::v1::FromHost answer(bool last) const;
  expected<void> write(const inference_response& response, bool last);
  template <class Fill>
  void write_last(Fill fill);

  const std::uint32_t index_;
  const inference_request request_;
  answer_writer& out_;
  cancel_scope scope_;
  bool ended_ = false;
};

}  // namespace troupe
