#include "actors/gateway/http/gateway_test.hpp"

#include <gmock/gmock.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <cstdio>
#include <filesystem>

namespace troupe {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using testing_support::await_http;
using testing_support::http_client;

/// A key and a certificate of its own, for 127.0.0.1, in two files.
struct certificate {
  certificate() { renew(); }

  /// Writes another key, and a certificate for it, in place of those that are there.
  void renew() const {
    auto* pair = EVP_EC_gen("P-256");
    auto* x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, pair);
    auto* name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("node"), -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_sign(x509, pair, EVP_sha256());
    auto* to = std::fopen(chain.c_str(), "w");
    PEM_write_X509(to, x509);
    std::fclose(to);
    to = std::fopen(key.c_str(), "w");
    PEM_write_PrivateKey(to, pair, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(to);
    X509_free(x509);
    EVP_PKEY_free(pair);
  }
  ~certificate() {
    std::filesystem::remove(chain);
    std::filesystem::remove(key);
  }

  const std::filesystem::path chain{testing::TempDir() + "troupe-chain-" + std::to_string(getpid())};
  const std::filesystem::path key{testing::TempDir() + "troupe-key-" + std::to_string(getpid())};
};

struct tls_test : testing_support::http_gateway_test {
  tls_test() {
    routes.add("POST", "/echo", [](http_exchange& with) -> asio::awaitable<void> {
      http_response answer;
      answer.body = with.request().body;
      (void)co_await with.respond(std::move(answer));
    });
    routes.add("GET", "/wait", [this](http_exchange& with) -> asio::awaitable<void> {
      ++running;
      (void)co_await async(release.wait(), with.token(), asio::use_awaitable);
      --running;
    });
    settings.tls_certificate = files.chain;
    settings.tls_key = files.key;
    trust_files();
    trust.set_verify_mode(asio::ssl::verify_peer);
  }

  /// Trusts nobody but whoever has the certificate that is in the file now.
  void trust_files() {
    X509_STORE* none = X509_STORE_new();
    SSL_CTX_set_cert_store(trust.native_handle(), none);
    trust.load_verify_file(files.chain);
  }

  ~tls_test() override { end(); }

  using client = asio::ssl::stream<tcp::socket>;

  std::unique_ptr<client> connect_tls() {
    auto made = std::make_unique<client>(context, trust);
    const auto port = static_cast<unsigned short>(std::stoi(address.substr(address.rfind(':') + 1)));
    made->next_layer().connect({asio::ip::address_v4::loopback(), port});
    made->handshake(asio::ssl::stream_base::client);
    return made;
  }

  static std::string echo(client& by, const std::string& body) {
    http::request<http::string_body> request{http::verb::post, "/echo", 11};
    request.set(http::field::host, "h");
    request.body() = body;
    request.prepare_payload();
    http::write(by, request);
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> response;
    response.body_limit(boost::none);
    http::read(by, buffer, response);
    return response.release().body();
  }

  const certificate files;
  http_settings settings;
  std::atomic<int> running = 0;
  asio::io_context context;
  asio::ssl::context trust{asio::ssl::context::tls_client};
};

TEST_F(tls_test, answers_over_tls) {
  ASSERT_FALSE(start(settings));
  const auto one = connect_tls();
  EXPECT_EQ(echo(*one, "abc"), "abc");
  const std::string large(2 << 20, 'x');
  EXPECT_EQ(echo(*one, large), large);
  boost::system::error_code ended;
  one->shutdown(ended);
  EXPECT_FALSE(ended) << "the node says its farewell, too: " << ended.message();
}

TEST_F(tls_test, whoever_closes_cancels_the_request) {
  ASSERT_FALSE(start(settings));
  for (const bool in_order : {true, false}) {
    auto one = connect_tls();
    asio::write(*one, asio::buffer(std::string_view{"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"}));
    await_http([&] { return running == 1; });
    boost::system::error_code ignored;
    if (in_order)
      one->shutdown(ignored);
    one.reset();
    await_http([&] { return running == 0; });
  }
}

TEST_F(tls_test, a_handshake_has_its_time) {
  ASSERT_FALSE(start(settings));
  http_client silent{address};
  await_http([&] { return count("open_connections") == 1; });
  await_http([&] {
    clock.advance(std::chrono::seconds{1});
    return silent.readable();
  });
  EXPECT_TRUE(silent.ends());
}

TEST_F(tls_test, who_speaks_something_else_is_not_understood) {
  ASSERT_FALSE(start(settings));
  http_client plain{address};
  plain.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_THAT(plain.receive_all(), testing::Not(testing::HasSubstr("HTTP/1.1")));
  EXPECT_EQ(echo(*connect_tls(), "abc"), "abc");
  EXPECT_EQ(running, 0);
}

TEST_F(tls_test, stops_with_connections_of_all_kinds) {
  ASSERT_FALSE(start(settings));
  const auto idle = connect_tls();
  EXPECT_EQ(echo(*idle, "abc"), "abc");
  http_client silent{address};
  const auto busy = connect_tls();
  asio::write(*busy, asio::buffer(std::string_view{"GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"}));
  await_http([&] { return running == 1 && count("open_connections") == 3; });
  skip.cancel(make_error(status_code::unavailable, "asked twice"));
  stop();
  EXPECT_EQ(running, 0);
}

TEST_F(tls_test, a_renewed_certificate_is_shown_to_those_who_come_then) {
  ASSERT_FALSE(start(settings));
  const auto before = connect_tls();
  files.renew();
  EXPECT_EQ(echo(*connect_tls(), "abc"), "abc") << "the files are looked at once a second, and not for everybody";
  trust_files();
  EXPECT_THROW(connect_tls(), boost::system::system_error);
  clock.advance(std::chrono::seconds{2});
  EXPECT_EQ(echo(*connect_tls(), "abc"), "abc");
  EXPECT_EQ(echo(*before, "abc"), "abc") << "who was there stays";
}

TEST_F(tls_test, files_that_can_no_longer_be_used_leave_what_was_there) {
  ASSERT_FALSE(start(settings));
  const auto old_key = testing::TempDir() + "troupe-old-key-" + std::to_string(getpid());
  std::filesystem::copy_file(files.key, old_key, std::filesystem::copy_options::overwrite_existing);
  files.renew();
  std::filesystem::rename(files.key, old_key + "-new");
  std::filesystem::copy_file(old_key, files.key);
  for (int i = 0; i != 2; ++i) {
    clock.advance(std::chrono::seconds{2});
    EXPECT_EQ(echo(*connect_tls(), "abc"), "abc") << "certificate and key don't belong together";
  }
  std::filesystem::remove(files.key);
  clock.advance(std::chrono::seconds{2});
  EXPECT_EQ(echo(*connect_tls(), "abc"), "abc") << "there is no key";
  std::filesystem::rename(old_key + "-new", files.key);
  trust_files();
  clock.advance(std::chrono::seconds{2});
  EXPECT_EQ(echo(*connect_tls(), "abc"), "abc") << "and now they do";
  std::filesystem::remove(old_key);
}

TEST_F(tls_test, files_that_are_no_certificate_are_named) {
  settings.tls_key = settings.tls_certificate;
  const auto failure = check(settings);
  ASSERT_FALSE(failure);
  EXPECT_EQ(failure.error().code, status_code::invalid_argument);
  EXPECT_THAT(failure.error().cause, testing::HasSubstr("the key '" + settings.tls_key.string() + "' can't be used"));
  settings.tls_certificate = "/nowhere";
  EXPECT_THAT(check(settings).error().cause, testing::HasSubstr("the certificate '/nowhere' can't be used"));
}

}  // namespace
}  // namespace troupe
