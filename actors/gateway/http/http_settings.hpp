#pragma once

#include "actors/concurrency/error.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace troupe {

/// What a client may take of the server. Whoever wants more is told so, or cut off.
struct http_limits {
  std::size_t header_bytes = 32 << 10;              ///< of a request: its line and fields; more is 431, or 414
  std::size_t body_bytes = 64 << 20;                ///< of a request; more is 413
  std::size_t bodies_bytes = std::size_t{1} << 30;  ///< of all requests at once; what comes on top is 503
  std::size_t connections = 4096;                   ///< at once; one more is told 503 and closed

  std::chrono::milliseconds header_time = std::chrono::seconds{10};  ///< from a request's first byte to its body
  std::chrono::milliseconds body_time = std::chrono::seconds{30};    ///< for each 64 KiB of a body, or the rest of it
  std::chrono::milliseconds write_time = std::chrono::seconds{30};   ///< until a reader makes room for more
  std::chrono::milliseconds idle_time = std::chrono::seconds{75};    ///< without a request
};

/// How the HTTP gateway listens, whom it answers and how it ends.
struct http_settings {
  std::string listen = "127.0.0.1:8000";  ///< host:port, an IPv6 address in brackets; port 0 picks a free one
  http_limits limits = {};
  std::size_t threads = 2;                     ///< that read, answer and write
  std::vector<std::string> cors_origins = {};  ///< whose pages may ask, `*` for all; none: no page of another origin
  std::filesystem::path tls_certificate = {};  ///< chain, PEM; with `tls_key`, or neither
  std::filesystem::path tls_key = {};          ///< PEM
  std::filesystem::path api_keys = {};         ///< empty: whoever reaches the port may ask
  bool insecure = false;                       ///< whether that may be so beyond loopback

  std::chrono::milliseconds drain = std::chrono::seconds{10};  ///< for what runs when the gateway is stopped
  std::chrono::milliseconds grace = std::chrono::seconds{2};   ///< for what was cancelled after that
};

/// Where to listen: the first address of the host that `listen` names. UNAVAILABLE where it is no host:port, or its
/// host is not known.
expected<boost::asio::ip::tcp::endpoint> resolve_listen(const std::string& listen);

/// Whether a gateway may be started so. INVALID_ARGUMENT with the setting that is wrong: half of what TLS needs; an
/// address beyond loopback without API keys, unless `insecure`; or as `read_api_keys`.
expected<void> check(const http_settings& settings);

}  // namespace troupe
