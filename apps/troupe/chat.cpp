#include "apps/troupe/chat.hpp"

#include "apps/troupe/client.hpp"
#include "apps/troupe/conversation.hpp"
#include "apps/troupe/format.hpp"
#include "apps/troupe/interrupt.hpp"
#include "apps/troupe/line_editor.hpp"
#include "apps/troupe/line_reader.hpp"
#include "apps/troupe/output.hpp"
#include "apps/troupe/session.hpp"
#include "apps/troupe/task.hpp"
#include "apps/troupe/text_printer.hpp"
#include "inference/grpc_service.pb.h"

#include <unistd.h>

namespace troupe::cli {
namespace {

constexpr const char* prompt = "> ";
constexpr std::string_view help =
    "/clear forgets the conversation, /exit or Ctrl-D ends it; Ctrl-C ends an answer.\n"
    "The arrow keys bring earlier messages back.\n";

/// Has the model answer the last message, prints that, and adds it to the conversation as far as it came.
expected<void> answer(session& with, conversation& talk, const std::string& model, const chat_options& options,
                      const cancel_token& token) {
  const auto request = generation_request(model, talk.json(), prompt_format::chat, options.generation);
  generated said;
  text_printer print{with};
  const auto done = request ? generate(with.node, *request, token, said, print.sink()) : request.error();
  print.end(said);
  talk.answer(said.text);
  return done;
}

/// Answers a line that was typed; what goes wrong with it is told.
void reply(session& with, conversation& talk, const std::string& model, const chat_options& options,
           const std::string& line, const cancel_token& token) {
  auto done = talk.ask(line);
  if (done)
    done = answer(with, talk, model, options, token);
  if (!done && !token.cancelled())
    fail(done.error());
}

/// False ends the conversation.
bool obey(session& with, conversation& talk, chat_command command) {
  if (command == chat_command::clear)
    talk.clear();
  else if (command == chat_command::help)
    with.out.print(help);
  else if (command == chat_command::unknown)
    complain("there is no such command; /help lists them");
  return command != chat_command::leave && with.out.flush();
}

expected<void> converse(session& with, conversation& talk, const std::string& model, const chat_options& options) {
  line_editor editor;
  for (bool more = true; more;) {
    interruption part{with.signals};
    const auto line = editor.next(prompt, part.descriptor());
    if (with.signals.token().cancelled())
      return with.signals.token().reason();
    if (!line && line.error().code != status_code::cancelled)
      return line.error();
    if (!line || !*line)
      with.out.print("\n");
    if (line && !*line)
      break;
    if (!line) {
      complain("/exit or Ctrl-D ends the conversation");
      more = with.out.flush();
    } else if (const auto command = parse_chat_command(**line); command != chat_command::none) {
      more = obey(with, talk, command);
    } else if ((*line)->find_first_not_of(" \t\r") != std::string::npos) {
      reply(with, talk, model, options, **line, part.token());
      more = with.out.flush();
    }
    if (with.signals.token().cancelled())
      return with.signals.token().reason();
  }
  return {};
}

/// The one message of whoever doesn't talk at a terminal; the newline at its end is the shell's.
expected<std::string> only_message(session& with, const chat_options& options) {
  auto message = options.message.empty() ? line_reader{STDIN_FILENO, with.signals.descriptor()}.rest()
                                         : expected<std::string>{options.message};
  if (message && message->ends_with('\n'))
    message->pop_back();
  if (message && message->empty())
    return make_error(status_code::invalid_argument, "there is no message", "give one, or type it at a terminal");
  return message;
}

}  // namespace

expected<void> chat(session& with, const chat_options& options) {
  const auto model =
      options.model.empty() ? find_model(with.node, text_generation) : expected<std::string>{options.model};
  if (!model)
    return model.error();
  conversation talk{options.system};
  if (options.message.empty() && ::isatty(STDIN_FILENO) == 1)
    return converse(with, talk, *model, options);
  const auto message = only_message(with, options);
  if (!message)
    return message.error();
  if (auto asked = talk.ask(*message); !asked)
    return asked;
  return answer(with, talk, *model, options, with.signals.token());
}

}  // namespace troupe::cli
