#pragma once

#include "actors/concurrency/clock.hpp"
#include "actors/concurrency/error.hpp"
#include "actors/gateway/http/watched_files.hpp"

#include <boost/asio/ssl/context.hpp>

#include <filesystem>
#include <memory>
#include <mutex>

namespace troupe {

/// What a server shows of itself over TLS: a certificate and its key, which are read again when one of their files has
/// changed. Files that can't be used, or don't belong together, leave what was there, and are told of in the log.
/// Connections keep what they began with. Thread-safe.
class tls_files {
 public:
  /// Both in PEM; the certificate may be a chain. INVALID_ARGUMENT names the file that can't be used.
  static expected<std::unique_ptr<tls_files>> read(std::filesystem::path certificate, std::filesystem::path key,
                                                   clock& by);

  /// For one more connection.
  std::shared_ptr<boost::asio::ssl::context> current();

 private:
  tls_files(std::filesystem::path certificate, std::filesystem::path key, clock& by);

  expected<std::shared_ptr<boost::asio::ssl::context>> read_files() const;
  void look_again();

  const std::filesystem::path certificate_;
  const std::filesystem::path key_;
  std::mutex mutex_;
  std::shared_ptr<boost::asio::ssl::context> context_;  // guarded by mutex_, as is the next
  watched_files watched_;
};

}  // namespace troupe
