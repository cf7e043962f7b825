#include "actors/gateway/http/tls_files.hpp"

#include "actors/concurrency/log.hpp"

#include <openssl/ssl.h>

#include <string>

namespace troupe {
namespace {

namespace ssl = boost::asio::ssl;

/// HTTP/1.1, of what the client offers; one that offers other protocols alone finds out by itself.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                    unsigned int size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* match = nullptr;
  if (SSL_select_next_proto(&match, length, ours, sizeof ours - 1, offered, size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

error unusable(const std::string& what, const std::filesystem::path& file, const boost::system::error_code& why) {
  return make_error(status_code::invalid_argument, what + " '" + file.string() + "' can't be used: " + why.message(),
                    "name files in PEM that belong together");
}

}  // namespace

tls_files::tls_files(std::filesystem::path certificate, std::filesystem::path key, clock& by)
    : certificate_(std::move(certificate)), key_(std::move(key)), watched_({certificate_, key_}, by) {}

expected<std::unique_ptr<tls_files>> tls_files::read(std::filesystem::path certificate, std::filesystem::path key,
                                                     clock& by) {
  // What changes while it is read is seen to have changed afterwards.
  std::unique_ptr<tls_files> files{new tls_files{std::move(certificate), std::move(key), by}};
  auto context = files->read_files();
  if (!context)
    return context.error();
  files->context_ = *std::move(context);
  return files;
}

std::shared_ptr<ssl::context> tls_files::current() {
  const std::lock_guard lock{mutex_};
  look_again();
  return context_;
}

expected<std::shared_ptr<ssl::context>> tls_files::read_files() const {
  auto tls = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(tls->native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_alpn_select_cb(tls->native_handle(), choose_protocol, nullptr);
  boost::system::error_code failed;
  tls->use_certificate_chain_file(certificate_, failed);
  if (failed)
    return unusable("the certificate", certificate_, failed);
  tls->use_private_key_file(key_, ssl::context::pem, failed);
  if (failed)
    return unusable("the key", key_, failed);
  return tls;
}

void tls_files::look_again() {
  if (!watched_.have_changed())
    return;
  auto context = read_files();
  if (!context) {
    log_event(spdlog::level::err, "TLS certificate stays as it was", {{"reason", context.error().message()}});
    return;
  }
  log_event(spdlog::level::info, "TLS certificate read", {{"file", certificate_.string()}});
  context_ = *std::move(context);
}

}  // namespace troupe
