#include "actors/serving/hosts/hosted_catalog.hpp"

#include "actors/serving/file_identity.hpp"
#include "actors/serving/hosts/hosted_skillset.hpp"
#include "actors/serving/hosts/program_manifest.hpp"
#include "skillsets/sdk/plugin.hpp"

#include <condition_variable>
#include <functional>
#include <optional>
#include <string>
#include <utility>

namespace troupe {

/// One state of one file, and what a host said of it.
class hosted_catalog::entry {
 public:
  using answer = expected<std::shared_ptr<skillset>>;

  explicit entry(file_identity of) : of_(of) {}

  const file_identity& of() const noexcept { return of_; }

  /// The skillset, where there is one; null otherwise.
  std::shared_ptr<skillset> known() {
    const std::lock_guard lock{mutex_};
    return answer_ && *answer_ ? **answer_ : nullptr;
  }

  /// The answer that there is, or what `ask` says, of which one runs at a time. Those who come meanwhile get its
  /// answer, too, unless it was given up.
  answer get(bool refusals_too, const cancel_token& token, const std::function<answer()>& ask) {
    std::unique_lock lock{mutex_};
    const bool waited = asking_;
    if (!changed_.wait(lock, token.stop(), [this] { return !asking_; }))
      return token.reason();
    if (answer_ && (*answer_ || refusals_too || waited))
      return *answer_;
    asking_ = true;
    answer_.reset();
    lock.unlock();
    auto found = contained(ask);
    lock.lock();
    asking_ = false;
    if (found || !token.cancelled())
      answer_ = found;
    lock.unlock();
    changed_.notify_all();
    return found;
  }

 private:
  static answer contained(const std::function<answer()>& ask) try { return ask(); } catch (const std::exception& e) {
    return make_error(status_code::internal, "asking for the skillset failed: " + std::string{e.what()});
  }

  const file_identity of_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool asking_ = false;           // guarded by mutex_
  std::optional<answer> answer_;  // guarded by mutex_
};

hosted_catalog::hosted_catalog(std::filesystem::path host) : host_(std::move(host)) {}

hosted_catalog::~hosted_catalog() = default;

expected<std::shared_ptr<skillset>> hosted_catalog::find(const skillset_file& what, const cancel_token& token) {
  auto place = entry_of(what);
  if (!place)
    return place.error();
  return (*place)->get(false, token, [&] { return ask(what, token); });
}

expected<std::shared_ptr<skillset>> hosted_catalog::describe(const skillset_file& what, const cancel_token& token) {
  auto place = entry_of(what);
  if (!place)
    return place.error();
  return (*place)->get(true, token, [&] { return ask(what, token); });
}

std::vector<std::shared_ptr<skillset>> hosted_catalog::known() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::shared_ptr<skillset>> found;
  for (const auto& [place, one] : entries_)
    if (auto skills = one->known())
      found.push_back(std::move(skills));
  return found;
}

/// That of the file as it is now. What was known of it before goes.
expected<std::shared_ptr<hosted_catalog::entry>> hosted_catalog::entry_of(const skillset_file& what) {
  const bool built_in = what.kind == skillset_kind::built_in;
  const auto now = built_in ? file_identity{} : identity_of(what.path);
  if (!now)
    return make_error(status_code::not_found, "'" + what.path.string() + "' is not there any more");
  const std::lock_guard lock{mutex_};
  auto& place = entries_[built_in ? what.name : what.path.string()];
  if (!place || place->of() != *now)
    place = std::make_shared<entry>(*now);
  return place;
}

expected<host_command> hosted_catalog::command_of(const skillset_file& what) const {
  if (what.kind == skillset_kind::built_in)
    return host_command{host_, {"--builtin=" + what.name}};
  if (what.kind == skillset_kind::shared_object) {
    // The host looks, too; but what it would say is the end of a process.
    if (const auto fits = check_plugin(what.path); !fits)
      return fits.error();
    return host_command{host_, {"--plugin=" + what.path.string()}};
  }
  const auto manifest = read_program_manifest(what.path);
  if (!manifest)
    return manifest.error();
  host_command command{host_, {"--directory=" + manifest->folder.string(), "--exec", manifest->program.string()}};
  command.arguments.insert(command.arguments.end(), manifest->arguments.begin(), manifest->arguments.end());
  return command;
}

expected<std::shared_ptr<skillset>> hosted_catalog::ask(const skillset_file& what, const cancel_token& token) const {
  auto command = command_of(what);
  if (!command)
    return command.error();
  auto hosted = hosted_skillset::open(*std::move(command), what.name, token);
  if (!hosted)
    return hosted.error();
  if ((*hosted)->name() != what.name)
    return make_error(status_code::failed_precondition,
                      "'" + what.path.string() + "' holds skillset '" + std::string{(*hosted)->name()} + "'",
                      "name the file as its skillset");
  return std::shared_ptr<skillset>{*std::move(hosted)};
}

}  // namespace troupe
