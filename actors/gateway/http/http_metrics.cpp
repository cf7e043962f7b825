#include "actors/gateway/http/http_metrics.hpp"

#include <algorithm>

namespace troupe {
namespace {

prometheus::Counter& counter(prometheus::Registry& in, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(in).Add({});
}

prometheus::Gauge& gauge(prometheus::Registry& in, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(in).Add({});
}

/// The counters of one family, one for each value of a label.
std::array<prometheus::Counter*, 4> counters(prometheus::Registry& in, const char* name, const char* help,
                                             const char* label, const std::array<const char*, 4>& values) {
  auto& family = prometheus::BuildCounter().Name(name).Help(help).Register(in);
  std::array<prometheus::Counter*, 4> all{};
  std::transform(values.begin(), values.end(), all.begin(), [&](const char* value) {
    return &family.Add({{label, value}});
  });
  return all;
}

}  // namespace

http_metrics::http_metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      open_(gauge(*registry_, "troupe_http_open_connections", "Connections of HTTP clients")),
      opened_(counter(*registry_, "troupe_http_connections_total", "Connections that HTTP clients made")),
      refused_(counter(*registry_, "troupe_http_connections_refused_total", "Connections beyond the most at once")),
      running_(gauge(*registry_, "troupe_http_running_requests", "HTTP requests that are worked on")),
      received_(counter(*registry_, "troupe_http_received_bytes_total", "Bytes from HTTP clients, without TLS")),
      sent_(counter(*registry_, "troupe_http_sent_bytes_total", "Bytes to HTTP clients, without TLS")),
      requests_(counters(*registry_, "troupe_http_requests_total", "HTTP requests that were answered", "status",
                         {"2xx", "3xx", "4xx", "5xx"})),
      cut_offs_(counters(*registry_, "troupe_http_cut_off_total", "HTTP clients that took too long, and over what",
                         "cause", {"idle", "header", "body", "reading"})) {}

void http_metrics::connection_opened() {
  opened_.Increment();
  open_.Increment();
}

void http_metrics::connection_closed() {
  open_.Decrement();
}

void http_metrics::connection_refused() {
  refused_.Increment();
}

void http_metrics::request_began() {
  running_.Increment();
}

void http_metrics::request_ended(int status) {
  running_.Decrement();
  if (status > 0)
    requests_.at(static_cast<std::size_t>(std::clamp(status / 100, 2, 5) - 2))->Increment();
}

void http_metrics::cut_off(http_cut_off cause) {
  cut_offs_.at(static_cast<std::size_t>(cause))->Increment();
}

void http_metrics::received(std::size_t bytes) {
  received_.Increment(static_cast<double>(bytes));
}

void http_metrics::sent(std::size_t bytes) {
  sent_.Increment(static_cast<double>(bytes));
}

}  // namespace troupe
