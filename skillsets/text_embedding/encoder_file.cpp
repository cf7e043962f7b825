#include "skillsets/text_embedding/encoder_file.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <openvino/core/model.hpp>
#include <openvino/core/preprocess/pre_post_process.hpp>
#include <openvino/frontend/manager.hpp>
#include <openvino/op/result.hpp>
#include <optional>
#include <string_view>

namespace troupe {
namespace {

constexpr std::array<std::string_view, 3> known_inputs{"input_ids", "attention_mask", "token_type_ids"};
constexpr std::size_t required_inputs = 2;

/// The names of inputs or outputs, for an error.
std::string names_of(const std::vector<ov::Output<ov::Node>>& ports) {
  std::string text;
  for (const auto& port : ports)
    text += (text.empty() ? "'" : ", '") + (port.get_names().empty() ? "" : port.get_any_name()) + "'";
  return text.empty() ? "none" : text;
}

bool has_name(const ov::Output<ov::Node>& port, std::string_view name) {
  return port.get_names().count(std::string{name}) != 0;
}

bool has_inputs(ov::Model& model) {
  const auto inputs = model.inputs();
  const auto known = [](const auto& port) {
    return std::any_of(known_inputs.begin(), known_inputs.end(), [&](auto name) { return has_name(port, name); });
  };
  const auto there = [&](auto name) {
    return std::any_of(inputs.begin(), inputs.end(), [&](const auto& port) { return has_name(port, name); });
  };
  return std::all_of(inputs.begin(), inputs.end(), known) &&
         std::all_of(known_inputs.begin(), known_inputs.begin() + required_inputs, there);
}

std::optional<ov::Output<ov::Node>> find_output(ov::Model& model) {
  const auto outputs = model.outputs();
  for (const std::string_view name : {"last_hidden_state", "sentence_embedding"})
    for (const auto& port : outputs)
      if (has_name(port, name))
        return port;
  return outputs.size() == 1 ? std::optional{outputs.front()} : std::nullopt;
}

/// Makes every input int64 [-1, -1], and the output at `port` float32 and the only one.
std::shared_ptr<ov::Model> unify(const std::shared_ptr<ov::Model>& model, const ov::Output<ov::Node>& port) {
  std::map<ov::Output<ov::Node>, ov::PartialShape> shapes;
  for (const auto& input : model->inputs())
    shapes[input] = ov::PartialShape{-1, -1};
  model->reshape(shapes);
  const auto value = port.get_node_shared_ptr()->input_value(0);
  const auto one = std::make_shared<ov::Model>(ov::ResultVector{std::make_shared<ov::op::v0::Result>(value)},
                                               model->get_parameters(), model->get_friendly_name());
  ov::preprocess::PrePostProcessor types{one};
  for (std::size_t i = 0; i != one->inputs().size(); ++i)
    types.input(i).tensor().set_element_type(ov::element::i64);
  types.output().tensor().set_element_type(ov::element::f32);
  return types.build();
}

/// Reads a file as what its name says. `ov::Core::read_model` would let the readers of all formats try to parse it.
std::shared_ptr<ov::Model> read_model(const std::filesystem::path& path, const std::filesystem::path& weights) {
  ov::frontend::FrontEndManager readers;
  const auto reader = readers.load_by_framework(path.extension() == ".onnx" ? "onnx" : "ir");
  const auto file = weights.empty() ? reader->load(path.string()) : reader->load(path.string(), weights.string());
  return reader->convert(file);
}

}  // namespace

std::string one_line(const std::exception& e) {
  std::string text = e.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

expected<std::shared_ptr<ov::Model>> read_encoder(const std::filesystem::path& path,
                                                  const std::filesystem::path& weights) {
  const auto wrong = [&](const std::string& what, const std::string& remedy) {
    return make_error(status_code::invalid_argument, "model '" + path.string() + "' " + what, remedy);
  };
  if (path.extension() != ".onnx" && path.extension() != ".xml")
    return wrong("has the unknown extension '" + path.extension().string() + "'", "give an .onnx or .xml file");
  try {
    const auto model = read_model(path, weights);
    if (!has_inputs(*model))
      return wrong("has the inputs " + names_of(model->inputs()),
                   "export it with input_ids, attention_mask and, if need be, token_type_ids");
    const auto output = find_output(*model);
    if (!output)
      return wrong("has the outputs " + names_of(model->outputs()), "export it with last_hidden_state");
    return unify(model, *output);
  } catch (const std::exception& e) {
    return wrong("can't be read: " + one_line(e), "fetch the file again and compare its sha256");
  }
}

}  // namespace troupe
