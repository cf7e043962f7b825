#pragma once

#include "actors/concurrency/cancel_scope.hpp"
#include "actors/concurrency/error.hpp"
#include "apps/troupe/fwd.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace troupe::cli {

/// Checks `HOST:PORT`, `[IPv6]:PORT` or `unix:PATH`; INVALID_ARGUMENT says what is wrong.
expected<void> check_target(std::string_view target);

/// One node, called over gRPC. Every call blocks until it is answered, its time is over or the token is cancelled.
/// Errors have the node's code and text; where nobody answers, or the time is over, the text says what to do.
/// The connection is made by the first call.
class client {
 public:
  /// `timeout` limits each call; `token` ends them all.
  client(std::string target, std::chrono::duration<double> timeout, cancel_token token);
  ~client();
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  expected<bool> ready();
  expected<inference::ServerMetadataResponse> server();
  expected<inference::RepositoryIndexResponse> index();
  expected<inference::ModelMetadataResponse> metadata(const std::string& model, const std::string& version);
  expected<inference::ModelConfigResponse> config(const std::string& model);
  expected<void> load(const std::string& model, const std::string& settings);
  expected<void> unload(const std::string& model);
  expected<inference::ModelInferResponse> infer(const inference::ModelInferRequest& request);

  /// Sends a request on a stream of its own, as decoupled models need it, and gives each response to `take` as it
  /// comes. Until `take` returns false, or `part` is cancelled, which both cancel the request; the first is no error. A
  /// call's time is here that until the next response.
  expected<void> stream(const inference::ModelInferRequest& request, const cancel_token& part,
                        const std::function<bool(const inference::ModelInferResponse&)>& take);

  /// Of a Troupe node alone: UNIMPLEMENTED says that what answers is none.
  expected<node::v1::DevicesResponse> devices();
  expected<node::v1::MetricsResponse> metrics();
  expected<node::v1::SkillsetsResponse> skillsets();

  const std::string& target() const noexcept;

  /// Waits; true when the time has passed, false when the token was cancelled meanwhile.
  bool pause(std::chrono::duration<double> time) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace troupe::cli
