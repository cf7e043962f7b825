#include "skillsets/sdk/host/segments.hpp"

#include "skillsets/sdk/host/attachments.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <string>

namespace troupe {
namespace {

constexpr std::size_t page = 4096;
constexpr int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

/// Some more than needed, a quarter at most, so that tensors of about the same size have the same segments.
std::size_t rounded(std::size_t size) {
  const auto step = std::max(page, std::bit_floor(size) / 4);
  return (size + step - 1) / step * step;
}

error broken(std::uint32_t number, const std::string& why) {
  return make_error(status_code::data_loss, "segment " + std::to_string(number) + " of the other process " + why);
}

struct made_segment {
  int file;
  std::shared_ptr<const mapping> memory;
};

/// A new one with these bytes.
std::optional<made_segment> make(std::span<const std::byte> bytes, std::size_t size) {
  const auto file = make_memory_file(bytes);
  if (!file)
    return std::nullopt;
  if (ftruncate(*file, static_cast<off_t>(size)) == 0)
    // Mapped before it is sealed: then it can't be mapped to be written any more.
    if (auto memory = mapping::make(*file, size, mapping::kind::writable);
        memory && fcntl(*file, F_ADD_SEALS, sealed) == 0)
      return made_segment{*file, *std::move(memory)};
  close(*file);
  return std::nullopt;
}

}  // namespace

// -- one's own --------------------------------------------------------------------------------------------------------

segment_pool::loan::~loan() {
  if (file_ >= 0)
    close(file_);
  if (from_)
    from_->put_back(number_);
}

void segment_pool::loan::sent() noexcept {
  std::exchange(from_, nullptr)->make_known(number_);
}

std::optional<segment_pool::loan> segment_pool::lend(std::span<const std::byte> bytes) {
  if (auto again = refill(bytes))
    return again;
  const auto size = rounded(bytes.size());
  if (!make_room(size))
    return std::nullopt;
  auto made = make(bytes, size);
  const std::lock_guard lock{mutex_};
  --coming_;
  if (!made) {
    bytes_ -= size;
    return std::nullopt;
  }
  segments_.push_back({++last_number_, std::move(made->memory), true, false});
  return loan{*this, last_number_, made->file};
}

/// Takes the smallest that is free and large enough, and not much larger, or all would become as large as the largest.
std::optional<segment_pool::loan> segment_pool::refill(std::span<const std::byte> bytes) {
  std::uint32_t number = 0;
  std::byte* to = nullptr;
  {
    const std::lock_guard lock{mutex_};
    segment* best = nullptr;
    for (auto& each : segments_) {
      const auto size = each.memory->bytes().size();
      if (!each.lent && size >= bytes.size() && size <= 2 * rounded(bytes.size()) &&
          (!best || size < best->memory->bytes().size()))
        best = &each;
    }
    if (!best)
      return std::nullopt;
    best->lent = true;
    number = best->number;
    to = best->memory->begin();
  }
  std::memcpy(to, bytes.data(), bytes.size());
  return loan{*this, number, -1};
}

/// Counts one more of that size, for which some that are free may have to go; false when that would not be enough.
bool segment_pool::make_room(std::size_t size) {
  const std::lock_guard lock{mutex_};
  std::size_t lent = coming_, lent_bytes = bytes_;
  for (const auto& each : segments_)
    if (each.lent)
      ++lent;
    else
      lent_bytes -= each.memory->bytes().size();
  if (lent >= most_segments || size > most_segment_bytes || lent_bytes > most_segment_bytes - size)
    return false;
  while (segments_.size() + coming_ >= most_segments || bytes_ > most_segment_bytes - size)
    drop(std::find_if(segments_.begin(), segments_.end(), [](const auto& each) { return !each.lent; }));
  bytes_ += size;
  ++coming_;
  return true;
}

void segment_pool::drop(std::vector<segment>::iterator which) {
  if (which->known)
    dropped_.push_back(which->number);
  bytes_ -= which->memory->bytes().size();
  segments_.erase(which);
}

std::vector<segment_pool::segment>::iterator segment_pool::find(std::uint32_t number) {
  return std::find_if(segments_.begin(), segments_.end(), [&](const auto& each) { return each.number == number; });
}

void segment_pool::put_back(std::uint32_t number) noexcept {
  const std::lock_guard lock{mutex_};
  const auto which = find(number);
  which->lent = false;
  if (!which->known)
    drop(which);
}

void segment_pool::make_known(std::uint32_t number) noexcept {
  const std::lock_guard lock{mutex_};
  find(number)->known = true;
}

expected<void> segment_pool::release(std::uint32_t number) {
  const std::lock_guard lock{mutex_};
  const auto which = find(number);
  if (which == segments_.end() || !which->lent || !which->known)
    return make_error(status_code::data_loss,
                      "the other process lets go of segment " + std::to_string(number) + ", which it doesn't have");
  which->lent = false;
  std::rotate(which, which + 1, segments_.end());
  return {};
}

expected<void> segment_pool::take_back(std::uint32_t number) {
  const std::lock_guard lock{mutex_};
  const auto which = find(number);
  if (which == segments_.end() || which->lent)
    return make_error(status_code::data_loss,
                      "the other process returns segment " + std::to_string(number) + ", which it can't");
  which->known = false;
  drop(which);
  return {};
}

bool segment_pool::drop_one() {
  const std::lock_guard lock{mutex_};
  const auto which = std::find_if(segments_.begin(), segments_.end(), [](const auto& each) { return !each.lent; });
  if (which == segments_.end())
    return false;
  drop(which);
  return true;
}

void segment_pool::tell(segment_notes& notes) {
  const std::lock_guard lock{mutex_};
  notes.dropped.insert(notes.dropped.end(), dropped_.begin(), dropped_.end());
  dropped_.clear();
}

std::size_t segment_pool::size() const {
  const std::lock_guard lock{mutex_};
  return segments_.size();
}

// -- the other side's -------------------------------------------------------------------------------------------------

/// What buffers refer to, which may be there for longer than the conversation.
class segment_views::table {
 public:
  enum class state {
    free,       // to be filled by the other side
    looked_at,  // by a buffer
    let_go      // which the other side doesn't know yet
  };
  struct segment {
    std::shared_ptr<const mapping> memory;
    std::size_t populated = 0;  // bytes whose pages are in the mapping
    state now = state::free;
  };

  /// Takes one out. Its memory is for the caller to give up, which takes a while, when it holds no lock any more.
  std::shared_ptr<const mapping> take(std::map<std::uint32_t, segment>::iterator which) {
    auto memory = std::move(which->second.memory);
    bytes -= memory->bytes().size();
    segments.erase(which);
    return memory;
  }

  /// Nobody looks at it any more. Takes no memory: `add` has seen to that.
  void let_go(std::uint32_t number) noexcept {
    const std::lock_guard lock{mutex};
    if (const auto which = segments.find(number); which != segments.end()) {
      which->second.now = state::let_go;
      released.push_back(number);
    }
  }

  void let_go_of_file(std::uint64_t size) noexcept {
    const std::lock_guard lock{mutex};
    file_bytes -= size;
  }

  mutable std::mutex mutex;
  std::map<std::uint32_t, segment> segments;  // guarded by mutex, as are the next
  std::size_t bytes = 0;                      // of all of them
  std::vector<std::uint32_t> released;        // that the other side doesn't know of yet
  std::vector<std::uint32_t> returned;        // the same
  std::uint64_t file_bytes = 0;               // of files that are no segments
  std::uint64_t most_file_bytes = ~std::uint64_t{0};
};

/// What keeps a segment from being released.
class segment_views::use {
 public:
  use(std::shared_ptr<table> of, std::uint32_t number, std::shared_ptr<const mapping> memory)
      : table_(std::move(of)), number_(number), memory_(std::move(memory)) {}
  ~use() { table_->let_go(number_); }
  use(const use&) = delete;
  use& operator=(const use&) = delete;

 private:
  const std::shared_ptr<table> table_;
  const std::uint32_t number_;
  const std::shared_ptr<const mapping> memory_;
};

/// What counts a file for as long as it is looked at.
class segment_views::file_use {
 public:
  file_use(std::shared_ptr<table> of, std::uint64_t size) : table_(std::move(of)), size_(size) {}
  ~file_use() { table_->let_go_of_file(size_); }
  file_use(const file_use&) = delete;
  file_use& operator=(const file_use&) = delete;

  buffer file;

 private:
  const std::shared_ptr<table> table_;
  const std::uint64_t size_;
};

segment_views::segment_views() : table_(std::make_shared<table>()) {}

segment_views::~segment_views() {
  const std::lock_guard lock{table_->mutex};
  table_->segments.clear();
}

expected<void> segment_views::add(std::uint32_t number, int file) {
  const int seals = fcntl(file, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || (seals & F_SEAL_FUTURE_WRITE) == 0)
    return broken(number, "isn't sealed against shrinking and new writers");
  struct stat what {};
  if (fstat(file, &what) != 0 || what.st_size <= 0)
    return broken(number, "is empty");
  const auto size = static_cast<std::uint64_t>(what.st_size);
  const std::lock_guard lock{table_->mutex};
  if (table_->segments.contains(number))
    return broken(number, "is there already");
  if (table_->segments.size() >= most_segments || size > most_segment_bytes - table_->bytes)
    return broken(number, "is one more, or larger, than it may have");
  auto memory = mapping::make(file, size, mapping::kind::read);
  if (!memory)
    return memory.error();
  table_->segments.emplace(number, table::segment{*std::move(memory)});
  table_->bytes += size;
  // Each is in it once at most, until it is told.
  table_->released.reserve(table_->released.size() + table_->segments.size());
  return {};
}

expected<buffer> segment_views::view(std::uint32_t number, std::uint64_t size) {
  const std::lock_guard lock{table_->mutex};
  const auto which = table_->segments.find(number);
  if (which == table_->segments.end())
    return broken(number, "is not there");
  auto& segment = which->second;
  if (segment.now != table::state::free)
    return broken(number, "was not released");
  const auto bytes = segment.memory->bytes();
  if (size > bytes.size())
    return broken(number, "has " + std::to_string(bytes.size()) + " bytes and not " + std::to_string(size));
  if (size > segment.populated) {
    // All at once, where the system can (Linux 5.14); otherwise each page when it is looked at.
    static_cast<void>(madvise(const_cast<std::byte*>(bytes.data()), size, MADV_POPULATE_READ));
    segment.populated = size;
  }
  const auto owner = std::make_shared<use>(table_, number, segment.memory);
  segment.now = table::state::looked_at;
  return buffer{bytes.first(size), owner};
}

void segment_views::bound_files(std::size_t most) {
  const std::lock_guard lock{table_->mutex};
  table_->most_file_bytes = most;
}

expected<buffer> segment_views::view(const attachments& files, std::uint32_t number, std::uint64_t size) {
  {
    const std::lock_guard lock{table_->mutex};
    const auto most = table_->most_file_bytes;
    if (size > most || table_->file_bytes > most - size)
      return make_error(status_code::resource_exhausted,
                        "with " + std::to_string(size) + " bytes more than the " + std::to_string(most) +
                            " of the other process's would be in use that it may have",
                        "ask for less at once, or let the model's process have more memory");
    table_->file_bytes += size;
  }
  // Counted first: to map it may be what takes the memory.
  const auto used = std::make_shared<file_use>(table_, size);
  auto viewed = files.view(number, size);
  if (!viewed)
    return viewed;
  used->file = *std::move(viewed);
  return buffer{used->file.bytes(), used};
}

expected<void> segment_views::drop(std::uint32_t number) {
  std::shared_ptr<const mapping> gone;
  const std::lock_guard lock{table_->mutex};
  const auto which = table_->segments.find(number);
  if (which == table_->segments.end())
    return broken(number, "is not there");
  if (which->second.now != table::state::free)
    return broken(number, "was not released");
  gone = table_->take(which);
  return {};
}

bool segment_views::return_one() {
  std::shared_ptr<const mapping> gone;
  const std::lock_guard lock{table_->mutex};
  auto& segments = table_->segments;
  const auto which = std::find_if(segments.begin(), segments.end(),
                                  [](const auto& each) { return each.second.now != table::state::looked_at; });
  if (which == segments.end())
    return false;
  table_->returned.push_back(which->first);
  gone = table_->take(which);
  return true;
}

void segment_views::tell(segment_notes& notes) {
  const std::lock_guard lock{table_->mutex};
  for (const auto number : table_->released)
    if (const auto which = table_->segments.find(number); which != table_->segments.end())
      which->second.now = table::state::free;
  notes.released.insert(notes.released.end(), table_->released.begin(), table_->released.end());
  notes.returned.insert(notes.returned.end(), table_->returned.begin(), table_->returned.end());
  table_->released.clear();
  table_->returned.clear();
}

std::size_t segment_views::size() const {
  const std::lock_guard lock{table_->mutex};
  return table_->segments.size();
}

// -- both -------------------------------------------------------------------------------------------------------------

expected<void> shared_segments::heed(const segment_notes& notes) {
  for (const auto number : notes.released)
    if (auto released = own.release(number); !released)
      return released;
  for (const auto number : notes.returned)
    if (auto returned = own.take_back(number); !returned)
      return returned;
  for (const auto number : notes.dropped)
    if (auto dropped = others.drop(number); !dropped)
      return dropped;
  return {};
}

segment_notes shared_segments::tell() {
  segment_notes notes;
  own.tell(notes);
  others.tell(notes);
  return notes;
}

bool shared_segments::give_up_one() {
  const bool dropped = own.drop_one();
  return others.return_one() || dropped;
}

}  // namespace troupe
