# Starts a node for a script and stops it in order: trap abandon_node EXIT; start_node COMMAND…; use $node_address;
# stop_node.
# shellcheck shell=bash disable=SC2034

node_pid=''
node_files=''

# start_node COMMAND…: runs it with a free port and a ready file added, and returns when the node is ready.
start_node() {
  node_files=$(mktemp -d)
  "$@" --listen 127.0.0.1:0 --http-listen 127.0.0.1:0 --ready-file "$node_files/ready" >"$node_files/out" 2>"$node_files/log" &
  node_pid=$!
  local tries
  for ((tries = 0; tries < 1200; ++tries)); do
    if [[ -f $node_files/ready ]]; then
      node_address=$(sed 's/.*"grpc": *"\([^"]*\)".*/\1/' "$node_files/ready")
      return
    fi
    kill -0 "$node_pid" 2>/dev/null || break
    sleep 0.05
  done
  tail -n 20 "$node_files/log" "$node_files/out" >&2
  echo "the node did not become ready: $*" >&2
  exit 1
}

# stop_node: asks it to stop and sees that it ended in order.
stop_node() {
  local code=0
  kill -TERM "$node_pid"
  wait "$node_pid" || code=$?
  node_pid=''
  ((code == 0)) && return
  tail -n 20 "$node_files/log" >&2
  echo "the node was asked to stop and ended with exit code $code" >&2
  exit 1
}

# Whatever ends the script, no node stays behind.
abandon_node() {
  [[ ! $node_pid ]] || kill -KILL "$node_pid" 2>/dev/null || true
  [[ ! $node_files ]] || rm -rf "$node_files"
}
