#include "actors/gateway/http/api_keys.hpp"

#include "actors/concurrency/log.hpp"

#include <openssl/crypto.h>
#include <boost/beast/core/string.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe {

/// What a key has used, whatever its line says next. Under the mutex of all, but for what runs.
struct api_keys::usage {
  /// Takes one of the requests of a minute; otherwise how long it is until there is one. What is not used adds up to
  /// those of one minute.
  std::chrono::nanoseconds take(std::uint32_t per_minute, steady_clock::time_point now) {
    if (per_minute == 0)
      return {};
    const std::chrono::nanoseconds each = std::chrono::nanoseconds{std::chrono::minutes{1}} / per_minute;
    spent = std::max(spent, now - std::chrono::minutes{1});
    if (spent + each > now)
      return spent + each - now;
    spent += each;
    return {};
  }

  steady_clock::time_point spent =
      steady_clock::time_point::min();  // up to when the requests that time brings are used up
  std::atomic<std::uint32_t> running = 0;
};

struct api_keys::holder {
  const api_key key;
  const std::shared_ptr<usage> used;
};

namespace {

error unauthenticated(std::string cause) {
  return make_error(status_code::unauthenticated, std::move(cause),
                    "send 'Authorization: Bearer KEY' with a key of this node");
}

error too_many(std::string cause, std::chrono::nanoseconds wait) {
  auto why = make_error(status_code::resource_exhausted, std::move(cause), "try again later");
  why.retry_after = std::chrono::ceil<std::chrono::milliseconds>(wait);
  return why;
}

}  // namespace

api_keys::pass::~pass() {
  if (whose_)
    --whose_->used->running;
}

const std::string& api_keys::pass::name() const noexcept {
  return whose_->key.name;
}

std::uint64_t api_keys::pass::number() const noexcept {
  std::uint64_t number = 0;
  std::memcpy(&number, whose_->key.hash.data(), sizeof number);
  return number;
}

api_keys::api_keys(std::filesystem::path file, std::vector<api_key> keys, clock& by)
    : file_(std::move(file)), clock_(by), watched_({file_}, by) {
  take_over(std::move(keys));
}

expected<api_keys::pass> api_keys::admit(std::string_view authorization) {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() <= scheme.size() ||
      !boost::beast::iequals(boost::beast::string_view{authorization.data(), scheme.size()}, "Bearer "))
    return unauthenticated("the request has no API key");
  const auto hash = hash_api_key(authorization.substr(scheme.size()));
  const std::lock_guard lock{mutex_};
  look_again();
  const auto who = find(hash);
  if (!who)
    return unauthenticated("the request's API key is not known");
  if (const auto most = who->key.concurrent; most > 0 && who->used->running >= most)
    return too_many("the API key '" + who->key.name + "' has " + std::to_string(most) + " requests running",
                    std::chrono::seconds{1});
  if (const auto wait = who->used->take(who->key.per_minute, clock_.now()); wait.count() > 0)
    return too_many("the API key '" + who->key.name + "' has made its " + std::to_string(who->key.per_minute) +
                        " requests of this minute",
                    wait);
  ++who->used->running;
  return pass{who};
}

/// Every key is looked at to its end, so that the time it takes tells nothing.
std::shared_ptr<const api_keys::holder> api_keys::find(const api_key_hash& hash) const {
  std::shared_ptr<const holder> found;
  for (const auto& who : holders_)
    if (CRYPTO_memcmp(who->key.hash.data(), hash.data(), hash.size()) == 0)
      found = who;
  return found;
}

void api_keys::look_again() {
  if (!watched_.have_changed())
    return;
  auto keys = read_api_keys(file_);
  if (!keys) {
    log_event(spdlog::level::err, "API keys stay as they were", {{"reason", keys.error().message()}});
    return;
  }
  log_event(spdlog::level::info, "API keys read", {{"file", file_.string()}, {"keys", keys->size()}});
  take_over(*std::move(keys));
}

/// What keys that stay have used up stays with them.
void api_keys::take_over(std::vector<api_key> keys) {
  std::vector<std::shared_ptr<const holder>> holders;
  for (auto& key : keys) {
    const auto before = find(key.hash);
    auto used = before ? before->used : std::make_shared<usage>();
    holders.push_back(std::make_shared<holder>(holder{std::move(key), std::move(used)}));
  }
  holders_ = std::move(holders);
}

}  // namespace troupe
