#include "actors/serving/file_hash.hpp"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <memory>
#include <vector>

namespace troupe {

expected<std::string> sha256_of(const std::filesystem::path& file, const cancel_token& token) {
  std::ifstream in{file, std::ios::binary};
  if (!in || !std::filesystem::is_regular_file(file))
    return make_error(status_code::not_found, "cannot read '" + file.string() + "'");
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  if (!context || EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) != 1)
    return make_error(status_code::internal, "OpenSSL offers no SHA-256");
  std::vector<char> block(1 << 20);
  while (in) {
    if (token.cancelled())
      return token.reason();
    in.read(block.data(), static_cast<std::streamsize>(block.size()));
    EVP_DigestUpdate(context.get(), block.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad())
    return make_error(status_code::data_loss, "reading '" + file.string() + "' failed");
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  std::string text;
  for (unsigned i = 0; i != length; ++i) {
    constexpr std::string_view digits = "0123456789abcdef";
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

}  // namespace troupe
