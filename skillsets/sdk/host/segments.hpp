#pragma once

#include "actors/concurrency/error.hpp"
#include "skillsets/sdk/host/memory_file.hpp"
#include "skillsets/sdk/tensor.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

/// Files in memory that large tensors cross from one process to the other in, and that are used again, because making a
/// file's pages costs more than filling them. host.proto, at `Segments`, has the rules.
namespace troupe {

class attachments;

/// The most that one side has at once, and that the other side lets it have.
inline constexpr std::size_t most_segments = 64;
inline constexpr std::size_t most_segment_bytes = std::size_t{64} << 20;

/// What one side tells the other of segments.
struct segment_notes {
  std::vector<std::uint32_t> released = {};  ///< of the other side's: they may be written into again
  std::vector<std::uint32_t> returned = {};  ///< of the other side's: they are not kept here
  std::vector<std::uint32_t> dropped = {};   ///< of one's own: they are gone

  bool empty() const noexcept { return released.empty() && returned.empty() && dropped.empty(); }
};

/// The segments that one side has made, and fills for the other one: no byte of one changes from when it is lent until
/// it is released. Thread-safe.
class segment_pool {
 public:
  /// A segment that was filled for a message. Put back when that isn't sent. Move-only; the pool outlives it.
  class loan {
   public:
    loan(segment_pool& from, std::uint32_t number, int file) noexcept : from_(&from), number_(number), file_(file) {}
    loan(loan&& other) noexcept
        : from_(std::exchange(other.from_, nullptr)), number_(other.number_), file_(std::exchange(other.file_, -1)) {}
    loan& operator=(loan&&) = delete;
    ~loan();

    std::uint32_t number() const noexcept { return number_; }

    /// The descriptor of one that the other side has not seen yet, which is the caller's now; -1 otherwise.
    int take_file() noexcept { return std::exchange(file_, -1); }

    /// The message is on its way.
    void sent() noexcept;

   private:
    segment_pool* from_;
    const std::uint32_t number_;
    int file_;
  };

  /// Copies bytes, 1 at least, into a segment that is free or new. None when all that there may be are lent, or the
  /// system has no more.
  std::optional<loan> lend(std::span<const std::byte> bytes);

  /// The other side has let go of one; doesn't keep one that is free. DATA_LOSS where it has no such one.
  expected<void> release(std::uint32_t number);
  expected<void> take_back(std::uint32_t number);

  /// Gives up the one that has been free for longest; false when all are lent.
  bool drop_one();

  /// Adds what the other side is to know, and forgets that.
  void tell(segment_notes& notes);

  std::size_t size() const;

 private:
  struct segment {
    std::uint32_t number;
    std::shared_ptr<const mapping> memory;
    bool lent;
    bool known;  ///< to the other side
  };

  std::optional<loan> refill(std::span<const std::byte> bytes);
  bool make_room(std::size_t size);
  void drop(std::vector<segment>::iterator which);
  void put_back(std::uint32_t number) noexcept;
  void make_known(std::uint32_t number) noexcept;
  std::vector<segment>::iterator find(std::uint32_t number);

  mutable std::mutex mutex_;
  std::vector<segment> segments_;       // guarded by mutex_, as are the next; the free ones by when they were released
  std::size_t bytes_ = 0;               // of all of them
  std::size_t coming_ = 0;              // those that are being made
  std::uint32_t last_number_ = 0;       // that was given to one
  std::vector<std::uint32_t> dropped_;  // that the other side doesn't know of yet
};

/// The other side's segments, mapped once, and the buffers that view them. When the last reference to such a buffer is
/// gone, wherever that is, its segment is to be released. What is in one the other side could change all the same, if
/// it broke the rules: so nothing may be read from it that has to be right, or the same when it is read again.
/// Thread-safe; buffers may outlive it.
class segment_views {
 public:
  segment_views();

  /// Lets buffers keep what they view, and nothing else.
  ~segment_views();
  segment_views(const segment_views&) = delete;
  segment_views& operator=(const segment_views&) = delete;

  /// Maps a segment that is new; the descriptor stays the caller's. DATA_LOSS when the number was there before, there
  /// are too many or too large ones, or the file isn't sealed as it must be.
  expected<void> add(std::uint32_t number, int file);

  /// The first bytes of one. DATA_LOSS when there is no such one, it is shorter, or it has not been released since.
  expected<buffer> view(std::uint32_t number, std::uint64_t size);

  /// How many bytes of the other side's files may be looked at at once, those in segments left out.
  void bound_files(std::size_t most);

  /// Of a file that is no segment: as `attachments::view`, and RESOURCE_EXHAUSTED beyond the bound.
  expected<buffer> view(const attachments& files, std::uint32_t number, std::uint64_t size);

  /// The other side has given one up. DATA_LOSS when there is no such one, or somebody still looks at it.
  expected<void> drop(std::uint32_t number);

  /// Gives one back that nobody looks at; false when there is none.
  bool return_one();

  /// Adds what the other side is to know, and forgets that.
  void tell(segment_notes& notes);

  std::size_t size() const;

 private:
  class table;
  class use;
  class file_use;

  const std::shared_ptr<table> table_;
};

/// What one side of a conversation has of segments.
struct shared_segments {
  segment_pool own;
  segment_views others;

  /// Does what the other side says. DATA_LOSS where that can't be.
  expected<void> heed(const segment_notes& notes);

  /// What the other side is to know.
  segment_notes tell();

  bool empty() const { return own.size() == 0 && others.size() == 0; }

  /// Gives up one of each that nobody uses; false when there is none.
  bool give_up_one();
};

}  // namespace troupe
