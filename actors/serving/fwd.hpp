#pragma once

namespace troupe {

class inference_call;
class instance_runner;
class model_repository;
class router;
class sequence_owner;
class sequence_table;
class served_model;
class settings_reader;
class skillset_catalog;
struct model_context;
struct model_folder;
struct model_limits;
struct node_parts;
struct sequence_settings;
struct sequence_step;

}  // namespace troupe
