#include "actors/gateway/grpc/shared_memory.hpp"

#include "actors/concurrency/log.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <system_error>
#include <utility>

namespace troupe {
namespace {

std::string reason_of(int number) {
  return std::generic_category().message(number);
}

/// What shm_open takes: a slash and the name of a file, which is no other folder and no part of one.
expected<std::string> object_name(const std::string& key) {
  const auto file = !key.empty() && key.front() == '/' ? key.substr(1) : key;
  constexpr std::string_view impossible{"/\0", 2};
  if (file.empty() || file == "." || file == ".." || file.size() > NAME_MAX ||
      file.find_first_of(impossible) != std::string::npos)
    return make_error(status_code::invalid_argument, "'" + shortened(key, 64) + "' is no key of shared memory",
                      "give the name that shm_open takes: a slash, then up to " + std::to_string(NAME_MAX) +
                          " bytes without another one");
  return "/" + file;
}

error not_opened(const std::string& key, int number) {
  const auto what = "shared memory '" + key + "' can't be opened: " + reason_of(number);
  switch (number) {
    case ENOENT:
      return make_error(status_code::not_found, "there is no shared memory '" + key + "'",
                        "create it where the node runs, before it is registered");
    case EACCES:
    case EPERM:
      return make_error(status_code::permission_denied, what, "let the node's user read and write it");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return make_error(status_code::resource_exhausted, what, "unregister what is not used any more");
    default:
      return make_error(status_code::invalid_argument, what);
  }
}

/// The size of what is open as `descriptor`, in bytes; of a pipe and the like, which have none, INVALID_ARGUMENT.
expected<std::uint64_t> size_of(int descriptor, const std::string& key) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0)
    return make_error(status_code::internal, "shared memory '" + key + "' can't be looked at: " + reason_of(errno));
  if (!S_ISREG(status.st_mode))
    return make_error(status_code::invalid_argument, "'" + key + "' is no shared memory");
  return static_cast<std::uint64_t>(status.st_size);
}

/// Whether `size` bytes from `offset` on are within `whole`. Written so that no sum can overflow.
bool within(std::uint64_t offset, std::uint64_t size, std::uint64_t whole) {
  return offset <= whole && size <= whole - offset;
}

std::string bytes_from(std::uint64_t offset, std::uint64_t size) {
  return std::to_string(size) + " bytes from " + std::to_string(offset) + " on";
}

}  // namespace

/// A region and the descriptor of its object.
struct shared_slice::open_region {
  open_region(shared_region region, int file) : what(std::move(region)), descriptor(file) {}
  ~open_region() { close(descriptor); }

  open_region(const open_region&) = delete;
  open_region& operator=(const open_region&) = delete;

  const shared_region what;
  const int descriptor;
};

namespace {

using open_region = shared_slice::open_region;

expected<std::shared_ptr<const open_region>> open(shared_region region) {
  const auto object = object_name(region.key);
  if (!object)
    return object.error();
  // Not blocking: somebody may have put a pipe there.
  const int descriptor = shm_open(object->c_str(), O_RDWR | O_NONBLOCK, 0);
  if (descriptor < 0)
    return not_opened(region.key, errno);
  auto opened = std::make_shared<const open_region>(std::move(region), descriptor);
  const auto& what = opened->what;
  const auto size = size_of(descriptor, what.key);
  if (!size)
    return size.error();
  if (!within(what.offset, what.byte_size, *size))
    return make_error(status_code::invalid_argument,
                      "region '" + what.name + "' would be " + bytes_from(what.offset, what.byte_size) +
                          " in shared memory '" + what.key + "', which has " + std::to_string(*size));
  return opened;
}

error no_region(const std::string& name) {
  return make_error(status_code::not_found, "there is no shared memory region '" + name + "'",
                    "register it first; SystemSharedMemoryStatus lists the regions");
}

}  // namespace

const std::string& shared_slice::region() const noexcept {
  return region_->what.name;
}

expected<void> shared_slice::check() const {
  const auto& what = region_->what;
  const auto size = size_of(region_->descriptor, what.key);
  if (!size)
    return size.error();
  if (!within(what.offset + offset_, size_, *size))
    return make_error(status_code::failed_precondition,
                      "shared memory '" + what.key + "' of region '" + what.name + "' has become smaller: it has " +
                          std::to_string(*size) + " bytes, without " + bytes_from(what.offset + offset_, size_),
                      "leave its size alone while it is registered; unregister it, and register it anew");
  return {};
}

expected<buffer> shared_slice::read() const {
  if (const auto checked = check(); !checked)
    return checked.error();
  // Not zeroed first: this is the way of large tensors.
  const std::shared_ptr<std::byte[]> bytes{new std::byte[size_]};
  for (std::uint64_t done = 0; done != size_;) {
    const auto from = static_cast<off_t>(region_->what.offset + offset_ + done);
    const auto count = pread(region_->descriptor, bytes.get() + done, size_ - done, from);
    if (count < 0 && errno != EINTR)
      return make_error(status_code::internal,
                        "shared memory '" + region_->what.key + "' can't be read: " + reason_of(errno));
    if (count == 0) {
      // It shrank since the first look, and may have grown again by now.
      const auto shrunk = check();
      return shrunk ? make_error(status_code::failed_precondition,
                                 "shared memory '" + region_->what.key + "' became smaller while it was read")
                    : shrunk.error();
    }
    done += count > 0 ? static_cast<std::uint64_t>(count) : 0;
  }
  return buffer{{bytes.get(), size_}, bytes};
}

expected<void> shared_slice::write(std::span<const std::byte> bytes) const {
  if (const auto checked = check(); !checked)
    return checked.error();
  for (std::size_t done = 0; done != bytes.size();) {
    const auto to = static_cast<off_t>(region_->what.offset + offset_ + done);
    const auto count = pwrite(region_->descriptor, bytes.data() + done, bytes.size() - done, to);
    if (count < 0 && errno != EINTR)
      return make_error(errno == ENOSPC || errno == EDQUOT ? status_code::resource_exhausted : status_code::internal,
                        "shared memory '" + region_->what.key + "' can't be written: " + reason_of(errno));
    done += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  return {};
}

expected<void> shared_memory::add(shared_region region) {
  if (region.name.empty() || region.name.size() > longest_name)
    return make_error(status_code::invalid_argument,
                      "the name of a shared memory region has " + std::to_string(region.name.size()) + " bytes",
                      "give it 1 to " + std::to_string(longest_name));
  if (region.byte_size == 0)
    return make_error(status_code::invalid_argument, "shared memory region '" + region.name + "' has no bytes");
  auto opened = open(std::move(region));
  if (!opened)
    return opened.error();
  const auto& what = (*opened)->what;
  {
    const std::scoped_lock lock{mutex_};
    if (regions_.contains(what.name))
      return make_error(status_code::already_exists, "there is a shared memory region '" + what.name + "' already",
                        "unregister it first, or give the new one another name");
    if (regions_.size() == most_regions)
      return make_error(status_code::resource_exhausted,
                        "there are " + std::to_string(most_regions) + " shared memory regions already",
                        "unregister what is not used any more, or put more tensors into a region");
    regions_.emplace(what.name, *opened);
  }
  log_event(spdlog::level::info, "shared memory registered",
            {{"region", what.name}, {"key", what.key}, {"offset", what.offset}, {"bytes", what.byte_size}});
  return {};
}

void shared_memory::remove(const std::string& name) {
  decltype(regions_)::node_type removed;
  {
    const std::scoped_lock lock{mutex_};
    removed = regions_.extract(name);
  }
  if (removed)
    log_event(spdlog::level::info, "shared memory unregistered", {{"region", name}});
}

void shared_memory::remove_all() {
  decltype(regions_) removed;
  {
    const std::scoped_lock lock{mutex_};
    removed.swap(regions_);
  }
  for (const auto& [name, region] : removed)
    log_event(spdlog::level::info, "shared memory unregistered", {{"region", name}});
}

expected<shared_slice> shared_memory::find(const std::string& name, std::uint64_t offset, std::uint64_t size) const {
  std::shared_ptr<const open_region> region;
  {
    const std::scoped_lock lock{mutex_};
    if (const auto found = regions_.find(name); found != regions_.end())
      region = found->second;
  }
  if (!region)
    return no_region(name);
  if (!within(offset, size, region->what.byte_size))
    return make_error(status_code::invalid_argument, "shared memory region '" + name + "' of " +
                                                         std::to_string(region->what.byte_size) + " bytes has no " +
                                                         bytes_from(offset, size));
  return shared_slice{std::move(region), offset, size};
}

expected<std::vector<shared_region>> shared_memory::describe(const std::string& name) const {
  std::vector<shared_region> result;
  const std::scoped_lock lock{mutex_};
  for (const auto& [known, region] : regions_)
    if (name.empty() || name == known)
      result.push_back(region->what);
  if (result.empty() && !name.empty())
    return no_region(name);
  return result;
}

}  // namespace troupe
