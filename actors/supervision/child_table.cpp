#include "actors/supervision/child_table.hpp"

namespace troupe {
namespace {

template <class Map, class Key>
child* find_in(Map& map, const Key& key) {
  const auto i = map.find(key);
  return i == map.end() ? nullptr : i->second;
}

}  // namespace

child& child_table::add(std::shared_ptr<const child_spec> spec, std::any arguments) {
  const auto number = ++last_;
  auto& c = children_[number];
  c.serial = c.order = number;
  c.spec = std::move(spec);
  c.arguments = std::move(arguments);
  by_order_.emplace(number, &c);
  if (named_)
    by_id_.emplace(c.spec->id, &c);
  return c;
}

void child_table::drop(child& c) {
  set_phase(c, child_phase::stopped);
  by_order_.erase(c.order);
  if (named_)
    by_id_.erase(c.spec->id);
  if (find(c.address) == &c)
    by_address_.erase(c.address);
  children_.erase(c.serial);
}

child* child_table::find(std::uint64_t serial) {
  const auto i = children_.find(serial);
  return i == children_.end() ? nullptr : &i->second;
}

child* child_table::find(const std::string& id) {
  return find_in(by_id_, id);
}

const child* child_table::find(const std::string& id) const {
  return find_in(by_id_, id);
}

child* child_table::find(const caf::actor_addr& address) {
  return address ? find_in(by_address_, address) : nullptr;
}

child* child_table::at_or_after(std::uint64_t order) {
  const auto i = by_order_.lower_bound(order);
  return i == by_order_.end() ? nullptr : i->second;
}

child* child_table::before(std::uint64_t order) {
  const auto i = by_order_.lower_bound(order);
  return i == by_order_.begin() ? nullptr : std::prev(i)->second;
}

bool child_table::attach(child& c, caf::actor instance) {
  const auto address = instance.address();
  const auto* owner = find(address);
  if (owner && owner->instance)
    return false;
  if (find(c.address) == &c)
    by_address_.erase(c.address);
  c.instance = std::move(instance);
  c.address = address;
  by_address_[address] = &c;
  return true;
}

void child_table::set_phase(child& c, child_phase phase) {
  significant_alive_ -= counts(c) ? 1 : 0;
  c.phase = phase;
  significant_alive_ += counts(c) ? 1 : 0;
}

void child_table::set_spec(child& c, std::shared_ptr<const child_spec> spec) {
  significant_alive_ -= counts(c) ? 1 : 0;
  c.spec = std::move(spec);
  significant_alive_ += counts(c) ? 1 : 0;
}

void child_table::move_to_end(const std::vector<child*>& children) {
  for (auto* c : children) {
    by_order_.erase(c->order);
    c->order = ++last_;
    by_order_.emplace(c->order, c);
  }
}

}  // namespace troupe
