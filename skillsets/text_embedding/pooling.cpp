#include "skillsets/text_embedding/pooling.hpp"

#include <openvino/core/model.hpp>
#include <openvino/op/constant.hpp>
#include <openvino/op/convert.hpp>
#include <openvino/op/divide.hpp>
#include <openvino/op/gather.hpp>
#include <openvino/op/maximum.hpp>
#include <openvino/op/multiply.hpp>
#include <openvino/op/reduce_l2.hpp>
#include <openvino/op/reduce_sum.hpp>
#include <openvino/op/result.hpp>
#include <openvino/op/unsqueeze.hpp>
#include <sstream>

namespace troupe {
namespace {

namespace op = ov::op;
using node = ov::Output<ov::Node>;

/// What sentence-transformers puts under the mean's and torch.nn.functional.normalize under the norm's division.
constexpr float least_count = 1e-9F;
constexpr float least_norm = 1e-12F;

node integer(std::int64_t value) {
  return op::v0::Constant::create(ov::element::i64, {}, {value});
}

node at_least(const node& x, float least) {
  return std::make_shared<op::v1::Maximum>(x, op::v0::Constant::create(ov::element::f32, {}, {least}));
}

/// [batch, tokens, d] to [batch, d].
node pool(const node& hidden, const node& mask, pooling_mode mode) {
  if (mode == pooling_mode::cls)
    return std::make_shared<op::v8::Gather>(hidden, integer(0), integer(1));
  const auto weights =
      std::make_shared<op::v0::Unsqueeze>(std::make_shared<op::v0::Convert>(mask, ov::element::f32), integer(2));
  const auto sum = std::make_shared<op::v1::ReduceSum>(std::make_shared<op::v1::Multiply>(hidden, weights), integer(1));
  const auto count = std::make_shared<op::v1::ReduceSum>(weights, integer(1));
  return std::make_shared<op::v1::Divide>(sum, at_least(count, least_count));
}

node normalize(const node& x) {
  const auto norm = std::make_shared<op::v4::ReduceL2>(x, integer(1), true);
  return std::make_shared<op::v1::Divide>(x, at_least(norm, least_norm));
}

}  // namespace

expected<embedding_graph> add_pooling(const std::shared_ptr<ov::Model>& encoder, pooling_mode mode,
                                      bool normalize_length) {
  const auto result = encoder->get_results().front();
  auto value = result->input_value(0);
  const auto shape = value.get_partial_shape();
  const auto rank = shape.rank().is_static() ? shape.rank().get_length() : 0;
  if ((rank != 2 && rank != 3) || shape[rank - 1].is_dynamic()) {
    std::ostringstream text;
    text << shape;
    return make_error(status_code::invalid_argument, "the encoder's output has the shape " + text.str(),
                      "export it with an output [batch, tokens, d] or [batch, d] of a known d");
  }
  if (rank == 3)
    value = pool(value, encoder->input("attention_mask"), mode);
  if (normalize_length)
    value = normalize(value);
  value.get_tensor().set_names({"embedding"});
  return embedding_graph{std::make_shared<ov::Model>(ov::ResultVector{std::make_shared<op::v0::Result>(value)},
                                                     encoder->get_parameters(), encoder->get_friendly_name()),
                         shape[rank - 1].get_length()};
}

}  // namespace troupe
