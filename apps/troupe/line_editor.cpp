#include "apps/troupe/line_editor.hpp"

#include <histedit.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwchar>
#include <string_view>
#include <system_error>

#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr int remembered_lines = 1000;

/// How the terminal was before; a program that ends on the spot leaves it like that, too.
std::optional<termios> terminal_before;

void restore_terminal() noexcept {
  if (terminal_before)
    ::tcsetattr(STDIN_FILENO, TCSADRAIN, &*terminal_before);
  terminal_before.reset();
}

/// Has what is typed while nobody reads wait for the next line: neither does it show between the letters of an answer,
/// nor does the terminal make lines of it, by which Ctrl-D would be lost.
void keep_typed() {
  termios now{};
  if (::tcgetattr(STDIN_FILENO, &now) != 0)
    return;
  std::at_quick_exit(restore_terminal);
  terminal_before = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  ::tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
}

/// Why libedit got no character.
enum class gap { none, stopped, end, broken };

/// Waits for a byte; false where there is none, and `why` tells it.
bool read_byte(char& byte, int stop, gap& why) noexcept {
  std::array<pollfd, 2> either{{{STDIN_FILENO, POLLIN, 0}, {stop, POLLIN, 0}}};
  ssize_t size = -1;
  do {
    if (::poll(either.data(), either.size(), -1) < 0)
      continue;
    if (either[1].revents != 0) {
      why = gap::stopped;
      return false;
    }
    size = ::read(STDIN_FILENO, &byte, 1);
  } while (size < 0 && (errno == EINTR || errno == EAGAIN));
  why = size > 0 ? gap::none : size == 0 ? gap::end : gap::broken;
  return size > 0;
}

}  // namespace

struct line_editor::state {
  EditLine* line = nullptr;
  History* history = nullptr;
  std::string prompt;
  int stop = -1;
  gap why = gap::none;

  static state& of(EditLine* line) {
    void* data = nullptr;
    el_get(line, EL_CLIENTDATA, &data);
    return *static_cast<state*>(data);
  }

  static char* show_prompt(EditLine* line) { return of(line).prompt.data(); }

  /// The next character; libedit's own reader could not be stopped.
  static int read_character(EditLine* line, wchar_t* to) {
    auto& self = of(line);
    std::mbstate_t progress{};
    for (;;) {
      char byte = 0;
      if (!read_byte(byte, self.stop, self.why))
        return self.why == gap::end ? 0 : -1;
      const auto used = std::mbrtowc(to, &byte, 1, &progress);
      if (used == static_cast<std::size_t>(-1)) {
        progress = {};  // not a character of this locale: as if it had not been typed
        continue;
      }
      if (used != static_cast<std::size_t>(-2))
        return 1;
    }
  }
};

line_editor::line_editor() : state_(std::make_unique<state>()) {
  // Whatever the language, texts are UTF-8; without a locale every letter beyond ASCII would be dropped.
  if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
    std::setlocale(LC_CTYPE, "C.UTF-8");
  keep_typed();
  state_->history = history_init();
  state_->line = el_init("troupe", stdin, stderr, stderr);
  if (!state_->history || !state_->line)
    throw std::system_error{errno, std::generic_category(), "preparing the terminal"};
  HistEvent event;
  history(state_->history, &event, H_SETSIZE, remembered_lines);
  history(state_->history, &event, H_SETUNIQUE, 1);
  el_set(state_->line, EL_CLIENTDATA, state_.get());
  el_set(state_->line, EL_PROMPT, &state::show_prompt);
  el_set(state_->line, EL_EDITOR, "emacs");
  el_set(state_->line, EL_HIST, history, state_->history);
  el_set(state_->line, EL_GETCFN, &state::read_character);
  // Between two lines libedit would give the terminal back with lines of its own making.
  el_set(state_->line, EL_SETTY, "-x", "-icanon", "-echo", nullptr);
}

line_editor::~line_editor() {
  el_end(state_->line);
  history_end(state_->history);
  restore_terminal();
}

expected<std::optional<std::string>> line_editor::next(const std::string& prompt, int stop) {
  state_->prompt = prompt;
  state_->stop = stop;
  state_->why = gap::none;
  int size = 0;
  const auto* typed = el_gets(state_->line, &size);
  if (state_->why == gap::stopped)
    return make_error(status_code::cancelled, "interrupted");
  if (state_->why == gap::broken)
    return make_error(status_code::internal, "standard input can't be read: " + std::generic_category().message(errno));
  if (!typed || size <= 0)
    return std::optional<std::string>{};
  std::string_view line{typed, static_cast<std::size_t>(size)};
  if (line.ends_with('\n'))
    line.remove_suffix(1);
  std::string result{line};
  HistEvent event;
  if (!result.empty())
    history(state_->history, &event, H_ENTER, result.c_str());
  return std::optional{std::move(result)};
}

}  // namespace troupe::cli
