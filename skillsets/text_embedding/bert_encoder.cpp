#include "skillsets/text_embedding/bert_encoder.hpp"

#include "skillsets/sdk/tensor.hpp"

#include <openvino/core/model.hpp>
#include <openvino/opsets/opset13.hpp>
#include <optional>

namespace troupe {
namespace {

namespace op = ov::opset13;
using node = ov::Output<ov::Node>;
using constant_map = std::map<std::string, node, std::less<>>;
using extents = std::vector<std::int64_t>;

/// What padding adds to an attention score: enough that its share underflows to nothing in every precision, and small
/// enough to stay finite in bf16.
constexpr float padding_score = -1e9F;

/// Every weight the encoder has, without the prefix.
std::map<std::string, extents> required_weights(const bert_config& config) {
  const auto hidden = config.hidden_size;
  std::map<std::string, extents> required{
      {"embeddings.word_embeddings.weight", {config.vocab_size, hidden}},
      {"embeddings.position_embeddings.weight", {config.max_position_embeddings, hidden}},
      {"embeddings.token_type_embeddings.weight", {config.type_vocab_size, hidden}}};
  const auto norm = [&](const std::string& name) { required[name + ".weight"] = required[name + ".bias"] = {hidden}; };
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    required[name + ".weight"] = {out, in};
    required[name + ".bias"] = {out};
  };
  norm("embeddings.LayerNorm");
  for (std::int64_t i = 0; i != config.num_hidden_layers; ++i) {
    const auto layer = "encoder.layer." + std::to_string(i) + ".";
    for (const auto* part : {"self.query", "self.key", "self.value", "output.dense"})
      linear(layer + "attention." + part, hidden, hidden);
    norm(layer + "attention.output.LayerNorm");
    linear(layer + "intermediate.dense", config.intermediate_size, hidden);
    linear(layer + "output.dense", hidden, config.intermediate_size);
    norm(layer + "output.LayerNorm");
  }
  return required;
}

/// The tensor of this name, or under the name that checkpoints converted from TensorFlow give it.
const safetensor* find(const safetensors_file& weights, std::string name) {
  if (const auto* tensor = weights.find(name))
    return tensor;
  for (const auto& [ours, theirs] : {std::pair{"LayerNorm.weight", "gamma"}, std::pair{"LayerNorm.bias", "beta"}}) {
    if (!name.ends_with(ours))
      continue;
    name.replace(name.rfind('.') + 1, std::string::npos, theirs);
    return weights.find(name);
  }
  return nullptr;
}

std::optional<ov::element::Type> element_type(std::string_view type) {
  if (type == "F32")
    return ov::element::f32;
  if (type == "F16")
    return ov::element::f16;
  if (type == "BF16")
    return ov::element::bf16;
  return std::nullopt;
}

/// The tensor as float32, where it lies if it can be used there.
node to_constant(const safetensor& tensor, ov::element::Type type, const std::shared_ptr<const void>& mapping) {
  const ov::Shape shape(tensor.shape.begin(), tensor.shape.end());
  const auto aligned = reinterpret_cast<std::uintptr_t>(tensor.data.data()) % type.size() == 0;
  const auto constant =
      aligned ? std::make_shared<op::Constant>(type, shape, tensor.data.data(), std::const_pointer_cast<void>(mapping))
              : std::make_shared<op::Constant>(type, shape, tensor.data.data());  // copies
  if (type == ov::element::f32)
    return constant;
  return std::make_shared<op::Convert>(constant, ov::element::f32);
}

expected<constant_map> load_constants(const bert_config& config, const safetensors_file& weights) {
  const std::string prefix = weights.find("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  constant_map constants;
  for (const auto& [name, shape] : required_weights(config)) {
    const auto wrong = [full = prefix + name](const std::string& what) {
      return make_error(status_code::invalid_argument, "tensor '" + full + "' " + what,
                        "give the weights that belong to the config, in the names of transformers' BertModel");
    };
    const auto* const tensor = find(weights, prefix + name);
    if (!tensor)
      return wrong("is missing");
    if (tensor->shape != shape)
      return wrong("has the shape " + shape_to_string(tensor->shape) + " where the config wants " +
                   shape_to_string(shape));
    const auto type = element_type(tensor->type);
    if (!type)
      return wrong("has the type " + tensor->type + " where F32, F16 or BF16 is wanted");
    constants[name] = to_constant(*tensor, *type, weights.mapping());
  }
  return constants;
}

/// Puts the graph together, from the inputs to the last layer.
class bert_builder {
 public:
  bert_builder(const bert_config& config, constant_map constants) : config_(config), constants_(std::move(constants)) {}

  std::shared_ptr<ov::Model> build() {
    const auto ids = input("input_ids");
    const auto mask = input("attention_mask");
    const auto types = input("token_type_ids");
    auto hidden = embed(ids, types);
    const auto scores = padding_scores(mask);
    for (std::int64_t i = 0; i != config_.num_hidden_layers; ++i)
      hidden = layer("encoder.layer." + std::to_string(i) + ".", hidden, scores);
    hidden.get_tensor().set_names({"last_hidden_state"});
    const auto result = std::make_shared<op::Result>(hidden);
    return std::make_shared<ov::Model>(ov::ResultVector{result}, ov::ParameterVector{ids, mask, types}, "bert");
  }

 private:
  static std::shared_ptr<op::Parameter> input(const std::string& name) {
    auto parameter = std::make_shared<op::Parameter>(ov::element::i64, ov::PartialShape{-1, -1});
    parameter->set_friendly_name(name);
    parameter->get_output_tensor(0).set_names({name});
    return parameter;
  }

  static node integers(const std::vector<std::int64_t>& values) {
    return op::Constant::create(ov::element::i64, {values.size()}, values);
  }

  static node scalar(float value) { return op::Constant::create(ov::element::f32, {}, {value}); }

  node rows(const std::string& table, const node& indices) const {
    return std::make_shared<op::Gather>(constants_.at(table), indices, op::Constant::create(ov::element::i64, {}, {0}));
  }

  node normalize(const std::string& name, const node& x) const {
    const auto scaled = std::make_shared<op::MVN>(x, integers({-1}), true, static_cast<float>(config_.layer_norm_eps),
                                                  ov::op::MVNEpsMode::INSIDE_SQRT);
    const auto weighted = std::make_shared<op::Multiply>(scaled, constants_.at(name + ".weight"));
    return std::make_shared<op::Add>(weighted, constants_.at(name + ".bias"));
  }

  node linear(const std::string& name, const node& x) const {
    const auto product = std::make_shared<op::MatMul>(x, constants_.at(name + ".weight"), false, true);
    return std::make_shared<op::Add>(product, constants_.at(name + ".bias"));
  }

  node embed(const node& ids, const node& types) const {
    const auto tokens = std::make_shared<op::Gather>(std::make_shared<op::ShapeOf>(ids), integers({1}), integers({0}));
    const auto positions = std::make_shared<op::Slice>(constants_.at("embeddings.position_embeddings.weight"),
                                                       integers({0}), tokens, integers({1}), integers({0}));
    const auto words = std::make_shared<op::Add>(rows("embeddings.word_embeddings.weight", ids),
                                                 rows("embeddings.token_type_embeddings.weight", types));
    return normalize("embeddings.LayerNorm", std::make_shared<op::Add>(words, positions));
  }

  /// 0 for tokens and `padding_score` for padding, as [batch, 1, 1, tokens].
  static node padding_scores(const node& mask) {
    const auto numbers = std::make_shared<op::Convert>(mask, ov::element::f32);
    const auto padding = std::make_shared<op::Subtract>(scalar(1), numbers);
    const auto scores = std::make_shared<op::Multiply>(padding, scalar(padding_score));
    return std::make_shared<op::Unsqueeze>(scores, integers({1, 2}));
  }

  /// [batch, tokens, hidden] to [batch, heads, tokens, hidden / heads].
  node split_heads(const node& x) const {
    const auto heads = config_.num_attention_heads;
    const auto split = std::make_shared<op::Reshape>(x, integers({0, 0, heads, config_.hidden_size / heads}), true);
    return std::make_shared<op::Transpose>(split, integers({0, 2, 1, 3}));
  }

  node attend(const std::string& name, const node& x, const node& scores) const {
    const auto context = std::make_shared<op::ScaledDotProductAttention>(
        split_heads(linear(name + "self.query", x)), split_heads(linear(name + "self.key", x)),
        split_heads(linear(name + "self.value", x)), scores, false);
    const auto merged = std::make_shared<op::Reshape>(std::make_shared<op::Transpose>(context, integers({0, 2, 1, 3})),
                                                      integers({0, 0, config_.hidden_size}), true);
    const auto out = std::make_shared<op::Add>(linear(name + "output.dense", merged), x);
    return normalize(name + "output.LayerNorm", out);
  }

  node layer(const std::string& name, const node& x, const node& scores) const {
    const auto attended = attend(name + "attention.", x, scores);
    const auto wide =
        std::make_shared<op::Gelu>(linear(name + "intermediate.dense", attended), ov::op::GeluApproximationMode::ERF);
    const auto out = std::make_shared<op::Add>(linear(name + "output.dense", wide), attended);
    return normalize(name + "output.LayerNorm", out);
  }

  const bert_config& config_;
  constant_map constants_;
};

}  // namespace

expected<std::shared_ptr<ov::Model>> build_bert(const bert_config& config, const safetensors_file& weights) {
  auto constants = load_constants(config, weights);
  if (!constants)
    return constants.error();
  return bert_builder{config, *std::move(constants)}.build();
}

}  // namespace troupe
