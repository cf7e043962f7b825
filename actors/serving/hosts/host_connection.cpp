#include "actors/serving/hosts/host_connection.hpp"

#include "actors/concurrency/clock.hpp"
#include "skillsets/sdk/host/messages.hpp"
#include "skillsets/sdk/validate.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>
#include <stop_token>
#include <utility>

namespace troupe {
namespace {

namespace wire = host::v1;
using std::chrono::milliseconds;

/// How long a host does steps on its own account: long enough that asking for more costs nothing, short enough that
/// another model gets its turn.
constexpr milliseconds steps_at_once{20};

/// So many messages are heard before it is seen whether somebody was cancelled, or the host is late.
constexpr int most_at_once = 64;

/// Gives an answer of the host to the item that it is for. True when that was its last word, which is ours where the
/// outputs are wrong, or too much.
expected<bool> pass_on(const wire::Answer& answer, work_item& item, const signature& what,
                       const std::shared_ptr<const void>& owner, const attachments& files, segment_views& segments) {
  if (answer.has_failure()) {
    item.respond(host::from_wire(answer.failure()));
    return true;
  }
  if (!answer.has_response()) {
    item.complete();
    return true;
  }
  auto response = host::from_wire(answer.response(), owner, files, &segments);
  if (!response && response.error().code != status_code::resource_exhausted)
    return response.error();
  if (!response) {
    item.respond(response.error());
    return true;
  }
  if (auto right = validate_outputs(response->outputs, what); !right) {
    item.respond(right.error());
    return true;
  }
  answer.last() ? item.respond(*std::move(response)) : item.send(*std::move(response));
  return answer.last();
}

/// Reads an answer that nobody wants, so that the segments that it is in are free again.
expected<bool> drop(const wire::Answer& answer, const std::shared_ptr<const void>& owner, const attachments& files,
                    segment_views& segments) {
  const auto response = host::from_wire(answer.response(), owner, files, &segments);
  const bool fine = response || response.error().code == status_code::resource_exhausted;
  return fine ? expected<bool>{false} : response.error();
}

error out_of_order() {
  return make_error(status_code::data_loss, "the host process answers what it was not asked");
}

}  // namespace

/// One question to the host and what comes back: sends what there is to be sent, hears what comes, and tells the host
/// of what is cancelled, all at the same time, until the answer is complete.
class host_connection::conversation {
 public:
  conversation(host_connection& with, cancel_token token) : with_(with), token_(std::move(token)) {
    drain_wake();
    on_cancel_.emplace_back(token_.stop(), [this] { with_.wake(); });
  }

  /// The request of that number is told to the host when it is cancelled.
  void watch(const cancel_token& item, std::uint32_t number) {
    items_.push_back({item, number});
    on_cancel_.emplace_back(item.stop(), [this] { with_.wake(); });
  }

  /// The host is told to end early when it is interrupted, or one of its requests is cancelled.
  void pause_when_interrupted() { pausable_ = true; }

  /// The host has nothing under way that it could end in order.
  void leave_when_cancelled() { patience_ = milliseconds{0}; }

  /// The request of that number is not wanted any more.
  void take_back(std::uint32_t number) {
    wire::ToHost one;
    one.mutable_cancel()->set_item(number);
    static_cast<void>(say(one));
  }

  /// Something is to be said. RESOURCE_EXHAUSTED when it is too long.
  expected<void> say(wire::ToHost& what, attachments files = {}) { return with_.append(what, std::move(files)); }

  /// Talks until `hear` returns true for what came, or an error. The host may be silent for as long as `most`, which is
  /// for ever when it is 0; once it is cancelled, the patience with that instead. A message counts when it is complete
  /// and heard: one that never gets there is none, and who is slow to take what was heard is not the host. An error
  /// means that the host can't be used any more.
  expected<void> talk(const std::function<expected<bool>(const std::shared_ptr<wire::FromHost>&)>& hear,
                      milliseconds most) {
    auto last = steady_clock::now();
    for (;;) {
      tell_cancellations();
      const auto deadline = cancelled_at_ ? *cancelled_at_ + patience_ : most.count() != 0 ? last + most : no_deadline;
      if (steady_clock::now() >= deadline)
        return too_late(most);
      if (auto sent = with_.outgoing_.send_some(with_.process_->socket()); !sent)
        return sent;
      for (int heard = 0; heard != most_at_once; ++heard) {
        auto message = std::make_shared<wire::FromHost>();
        const auto complete = with_.reader_.try_read(*message);
        if (!complete)
          return complete.error();
        if (!*complete) {
          wait(deadline);
          break;
        }
        if (message->has_segments())
          if (auto heeded = with_.segments_.heed(host::from_wire(message->segments())); !heeded)
            return heeded;
        if (message->what_case() == wire::FromHost::WHAT_NOT_SET && message->has_segments())
          continue;
        const auto over = hear(message);
        if (!over)
          return over.error();
        if (*over)
          return {};
        last = steady_clock::now();
      }
    }
  }

 private:
  struct watched {
    cancel_token token;
    std::uint32_t number;
    bool told = false;
  };

  void drain_wake() const noexcept {
    std::uint64_t count = 0;
    static_cast<void>(::read(with_.wake_, &count, sizeof count));
  }

  void tell_cancellations() {
    if (token_.cancelled() && !cancelled_at_) {
      cancelled_at_ = steady_clock::now();
      wire::ToHost all;
      all.mutable_cancel();
      static_cast<void>(say(all));
    }
    bool to_pause = pausable_ && with_.interrupted_.exchange(false);
    for (auto& item : items_)
      if (!item.told && item.token.cancelled()) {
        item.told = true;
        take_back(item.number);
        if (pausable_ && !cancelled_at_)
          cancelled_at_ = steady_clock::now();
        to_pause |= pausable_;
      }
    if (!to_pause || std::exchange(paused_, true))
      return;
    wire::ToHost pause;
    pause.mutable_pause();
    static_cast<void>(say(pause));
  }

  error too_late(milliseconds most) const {
    if (cancelled_at_)
      return make_error(status_code::deadline_exceeded, "the host process ignored for " +
                                                            std::to_string(with_.limits_.cancel.count()) +
                                                            " ms that its work was cancelled");
    return make_error(status_code::deadline_exceeded,
                      "the host process did not answer within " + std::to_string(most.count()) + " ms");
  }

  void wait(steady_clock::time_point deadline) const {
    int timeout = -1;
    if (deadline != no_deadline)
      timeout = static_cast<int>(
          std::clamp<std::int64_t>(std::chrono::ceil<milliseconds>(deadline - steady_clock::now()).count(), 0, 60'000));
    const short to_send = with_.outgoing_.empty() ? 0 : POLLOUT;
    std::array<pollfd, 2> what{pollfd{with_.process_->socket(), static_cast<short>(POLLIN | to_send), 0},
                               pollfd{with_.wake_, POLLIN, 0}};
    if (poll(what.data(), what.size(), timeout) > 0 && what[1].revents)
      drain_wake();
  }

  host_connection& with_;
  const cancel_token token_;
  std::vector<watched> items_;
  milliseconds patience_ = with_.limits_.cancel;  // with what was cancelled
  bool pausable_ = false;
  bool paused_ = false;
  std::optional<steady_clock::time_point> cancelled_at_;
  std::list<std::stop_callback<std::function<void()>>> on_cancel_;
};

/// While it lasts nobody else talks with the host. Afterwards segments are kept for a while, for the next time.
class host_connection::turn {
 public:
  explicit turn(host_connection& with) : with_(with), lock_(with.mutex_) {}
  ~turn() {
    if (!with_.segments_.empty())
      with_.clock_.arm(with_.idle_, with_.clock_.now() + with_.limits_.keep);
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

 private:
  host_connection& with_;
  const std::lock_guard<std::mutex> lock_;
};

host_connection::host_connection(std::unique_ptr<host_process> process, const patience& limits, troupe::clock& time)
    : limits_(limits),
      clock_(time),
      process_(std::move(process)),
      reader_(process_->socket()),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

host_connection::~host_connection() {
  clock_.disarm(idle_);
  process_.reset();
  close(wake_);
}

void host_connection::wake() const noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_, &one, sizeof one));
}

/// What the host is told, with what it is to know of segments.
expected<void> host_connection::append(wire::ToHost& what, attachments files) {
  host::tell(segments_, what);
  auto appended = outgoing_.append(what, std::move(files));
  if (!appended && what.has_segments()) {
    // What it says of segments is true all the same.
    wire::ToHost alone;
    alone.mutable_segments()->Swap(what.mutable_segments());
    static_cast<void>(outgoing_.append(alone));
  }
  return appended;
}

/// One at a time, because it takes the clock's thread some milliseconds; those that are in use when they no longer are.
void host_connection::give_up_segments() noexcept {
  const std::unique_lock lock{mutex_, std::try_to_lock};
  if (!lock || !usable())
    return;
  const bool gave_up = segments_.give_up_one();
  wire::ToHost message;
  static_cast<void>(append(message));
  static_cast<void>(outgoing_.send_some(process_->socket()));
  if (!segments_.empty())
    clock_.arm(idle_, clock_.now() + (gave_up ? milliseconds{0} : limits_.keep));
}

/// The host is of no use any more, and is ended. One that was too late may still do so itself, and one that has closed
/// its socket is probably about to: what is killed doesn't tell how it would have ended.
error host_connection::give_up(const error& why) {
  broken_.store(true, std::memory_order_release);
  if (why.code == status_code::deadline_exceeded)
    process_->ask_to_end();
  if (why.code == status_code::deadline_exceeded || why.code == status_code::unavailable)
    process_->wait(limits_.end);
  const auto ended = process_->end();
  // That the other end is gone says less than how it went.
  return why.code == status_code::unavailable
             ? ended
             : make_error(status_code::unavailable, why.cause + ", and was killed", ended.remedy);
}

expected<std::unique_ptr<host_connection>> host_connection::start(const host_command& command, const std::string& whose,
                                                                  const patience& limits, const cancel_token& token) {
  auto process = host_process::start(command, whose);
  if (!process)
    return process.error();
  std::unique_ptr<host_connection> made{new host_connection{*std::move(process), limits, token.clock()}};
  conversation talk{*made, token};
  talk.leave_when_cancelled();
  const auto heard = talk.talk(
      [&](const std::shared_ptr<wire::FromHost>& said) -> expected<bool> {
        if (!said->has_hello())
          return out_of_order();
        made->hello_ = said->hello();
        return true;
      },
      limits.hello);
  if (!heard)
    return token.cancelled() ? token.reason() : made->give_up(heard.error());
  if (made->hello_.contract() != host::contract)
    return make_error(status_code::failed_precondition,
                      "'" + command.program.string() + "' speaks contract " + std::to_string(made->hello_.contract()) +
                          " and not " + std::to_string(host::contract),
                      "build the plug-in and its host for this version of the node");
  return made;
}

expected<wire::Loaded> host_connection::load(const model_settings& settings, const cancel_token& token) {
  const turn mine{*this};
  if (settings.host.memory_mib > 0)
    segments_.others.bound_files(settings.host.memory_mib << 20);
  wire::ToHost question;
  host::to_wire(settings, *question.mutable_load());
  question.mutable_load()->set_attachments(true);
  question.mutable_load()->set_segments(true);
  conversation talk{*this, token};
  if (auto said = talk.say(question); !said)
    return said.error();
  std::optional<error> refused;
  wire::Loaded loaded;
  const auto heard = talk.talk(
      [&](const std::shared_ptr<wire::FromHost>& said) -> expected<bool> {
        if (said->has_load_failed())
          refused = host::from_wire(said->load_failed());
        else if (said->has_loaded())
          loaded = std::move(*said->mutable_loaded());
        else
          return out_of_order();
        return true;
      },
      limits_.load);
  if (!heard) {
    const auto why = give_up(heard.error());
    return token.cancelled() ? token.reason() : why;
  }
  if (refused)
    return token.cancelled() ? token.reason() : *refused;
  measured_.resize(static_cast<std::size_t>(loaded.metrics_size()));
  return loaded;
}

expected<void> host_connection::run(std::span<work_item* const> batch, const signature& what,
                                    const cancel_token& token) {
  const turn mine{*this};
  wire::ToHost question;
  auto files = this->files();
  conversation talk{*this, token};
  for (std::uint32_t i = 0; i != batch.size(); ++i) {
    host::to_wire(batch[i]->request(), *question.mutable_run()->add_items(), hello_.attachments() ? &files : nullptr);
    if (batch.size() > 1)
      talk.watch(batch[i]->token(), i);
  }
  if (auto said = talk.say(question, std::move(files)); !said)
    return said;
  std::vector<bool> ended(batch.size());
  std::optional<error> failure;
  const auto hear = [&](const std::shared_ptr<wire::FromHost>& said) -> expected<bool> {
    if (said->has_done())
      return take_done(said->done(), failure);
    if (!said->has_answer() || said->answer().item() >= batch.size() || ended[said->answer().item()])
      return out_of_order();
    const auto& answer = said->answer();
    auto& item = *batch[answer.item()];
    ended[answer.item()] = answer.last() || answer.has_failure();
    const auto passed = pass_on(answer, item, what, said, reader_.take_files(), segments_.others);
    return passed ? expected<bool>{false} : passed;
  };
  if (const auto heard = talk.talk(hear, limits_.silence); !heard)
    return give_up(heard.error());
  if (!failure)
    return {};
  return token.cancelled() ? token.reason() : *failure;
}

expected<void> host_connection::admit(work_item& item) {
  const turn mine{*this};
  wire::ToHost admission;
  auto& what = *admission.mutable_admit();
  what.set_item(++last_number_);
  auto files = this->files();
  host::to_wire(item.request(), *what.mutable_request(), hello_.attachments() ? &files : nullptr);
  if (auto said = append(admission, std::move(files)); !said)
    return said;
  admitted_.push_back({last_number_, &item});
  return {};
}

expected<void> host_connection::step(const signature& what) {
  const turn mine{*this};
  conversation talk{*this, {}};
  talk.pause_when_interrupted();
  for (const auto& each : admitted_)
    talk.watch(each.item->token(), each.number);
  wire::ToHost work;
  work.mutable_work()->set_most_ms(steps_at_once.count());
  if (auto said = talk.say(work); !said)
    return said;
  std::optional<error> failure;
  const auto hear = [&](const std::shared_ptr<wire::FromHost>& said) -> expected<bool> {
    if (said->has_done()) {
      std::erase_if(admitted_, [](const auto& each) { return !each.item; });
      return take_done(said->done(), failure);
    }
    const auto& answer = said->answer();
    const auto who = std::find_if(admitted_.begin(), admitted_.end(),
                                  [&](const auto& each) { return each.number == answer.item(); });
    if (!said->has_answer() || who == admitted_.end())
      return out_of_order();
    if (!who->item)
      return drop(answer, said, reader_.take_files(), segments_.others);
    const auto over = pass_on(answer, *who->item, what, said, reader_.take_files(), segments_.others);
    if (!over || !*over)
      return over;
    who->item = nullptr;
    if (!answer.last() && !answer.has_failure())
      talk.take_back(who->number);
    return false;
  };
  if (const auto heard = talk.talk(hear, limits_.silence); !heard)
    return give_up(heard.error());
  return failure ? expected<void>{*failure} : expected<void>{};
}

/// The work under way is over; `failure` becomes why it failed, if it did.
expected<bool> host_connection::take_done(const wire::Done& done, std::optional<error>& failure) {
  if (done.has_failure())
    failure = host::from_wire(done.failure());
  const auto& metrics = done.metrics();
  if (metrics.empty())
    return true;
  if (static_cast<std::size_t>(metrics.size()) != measured_.size())
    return make_error(status_code::data_loss, "the host process measures " + std::to_string(metrics.size()) +
                                                  " things and not " + std::to_string(measured_.size()));
  std::copy(metrics.begin(), metrics.end(), measured_.begin());
  return true;
}

void host_connection::measure(std::span<double> values) const noexcept {
  std::copy_n(measured_.begin(), std::min(measured_.size(), values.size()), values.begin());
}

void host_connection::evict(work_item& item) noexcept {
  const turn mine{*this};
  const auto who =
      std::find_if(admitted_.begin(), admitted_.end(), [&](const auto& each) { return each.item == &item; });
  if (who == admitted_.end())
    return;
  wire::ToHost cancellation;
  cancellation.mutable_cancel()->set_item(who->number);
  admitted_.erase(who);
  // At once: there may be no other step for long. That the host is gone is for the next one to find out.
  static_cast<void>(append(cancellation));
  static_cast<void>(outgoing_.send_some(process_->socket()));
}

void host_connection::interrupt() noexcept {
  interrupted_ = true;
  wake();
}

void host_connection::watch(std::function<void(error)> on_broken) {
  process_->watch([this, tell = std::move(on_broken)](const error& how) {
    broken_.store(true, std::memory_order_release);
    tell(how);
  });
}

}  // namespace troupe
