#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <array>
#include <cstddef>
#include <memory>

namespace troupe {

/// Why a client was cut off.
enum class http_cut_off : std::uint8_t {
  idle,         ///< no request for too long
  slow_header,  ///< the head of a request took too long
  slow_body,    ///< so did its body
  slow_reader,  ///< it made no room for its answer
};

/// What an HTTP server counts. Thread-safe.
class http_metrics {
 public:
  http_metrics();

  void connection_opened();
  void connection_closed();
  void connection_refused();
  void request_began();
  void request_ended(int status);  ///< 0: without an answer
  void cut_off(http_cut_off cause);
  void received(std::size_t bytes);
  void sent(std::size_t bytes);

  /// Of the families; may outlive this.
  std::shared_ptr<prometheus::Registry> registry() const noexcept { return registry_; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Gauge& open_;
  prometheus::Counter& opened_;
  prometheus::Counter& refused_;
  prometheus::Gauge& running_;
  prometheus::Counter& received_;
  prometheus::Counter& sent_;
  std::array<prometheus::Counter*, 4> requests_;  // by the first digit of the status, from 2 on
  std::array<prometheus::Counter*, 4> cut_offs_;  // by cause
};

}  // namespace troupe
