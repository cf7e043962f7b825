#include "skillsets/sdk/host/attachments.hpp"

#include "skillsets/sdk/host/memory_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace troupe {
namespace {

constexpr int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

error unusable(std::uint32_t number, const std::string& why) {
  return make_error(status_code::data_loss, "attachment " + std::to_string(number) + " of a message " + why);
}

}  // namespace

attachments::~attachments() {
  for (const int file : files_)
    close(file);
}

expected<std::uint32_t> attachments::add(std::span<const std::byte> bytes) {
  if (files_.size() >= most)
    return make_error(status_code::resource_exhausted, "a message has no more than " + std::to_string(most) + " files");
  const auto file = make_memory_file(bytes);
  if (!file)
    return file.error();
  if (fcntl(*file, F_ADD_SEALS, sealed) != 0) {
    const auto why = no_more("seal a file");
    close(*file);
    return why;
  }
  files_.push_back(*file);
  return static_cast<std::uint32_t>(files_.size() - 1);
}

expected<attachments::place> attachments::share(std::span<const std::byte> bytes) {
  // Any segment may turn out to be a new one.
  if (pool_ && files_.size() < most)
    if (auto lent = pool_->lend(bytes)) {
      place where{lent->number(), {}};
      if (const int file = lent->take_file(); file >= 0) {
        files_.push_back(file);
        where.file = static_cast<std::uint32_t>(files_.size() - 1);
      }
      loans_.push_back(*std::move(lent));
      return where;
    }
  const auto file = add(bytes);
  return file ? expected{place{{}, *file}} : expected<place>{file.error()};
}

void attachments::sent() noexcept {
  for (auto& loan : loans_)
    loan.sent();
  loans_.clear();
}

expected<buffer> attachments::view(std::uint32_t number, std::uint64_t size) const {
  if (number >= files_.size())
    return unusable(number, "is not there");
  const int file = files_[number];
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_WRITE) == 0)
    return unusable(number, "can still be changed");
  struct stat what {};
  if (fstat(file, &what) != 0 || static_cast<std::uint64_t>(what.st_size) < size)
    return unusable(number, "has " + std::to_string(what.st_size) + " bytes and not " + std::to_string(size));
  if (size == 0)
    return buffer{};
  const auto mapped = mapping::make(file, size, mapping::kind::sealed);
  return mapped ? expected{buffer{(*mapped)->bytes(), *mapped}} : expected<buffer>{mapped.error()};
}

}  // namespace troupe
