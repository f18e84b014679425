#!/usr/bin/env bash
# Runs targets of the Makefile side by side, and shows what each has said once it has ended.
#
#   side-by-side.sh [--jobs NUMBER] LANE...
#
# A lane is one target, or several with commas between them, which run one after the other. At most NUMBER lanes run at a
# time (2), in the order in which they are named. A lane that fails ends none of the others: at the end, those that failed
# are named again with the last lines of what they said, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

readonly POLL_SECONDS=0.5
readonly NEWS_SECONDS=120 # between two lines about a lane that goes on
readonly LAST_LINES=20

jobs=2
if [ "${1:-}" = --jobs ]; then
  jobs=$2
  shift 2
fi
readonly lanes=("$@")
logs=$(mktemp -d)
readonly logs

log_of() { printf '%s/%s.log\n' "$logs" "$1"; }

# Process groups of their own: Ctrl-C reaches a whole lane, and none ignores it, as a shell's background jobs would.
set -m

pids=() # of each lane, empty before it has begun and after it has ended
failed=()
begun=()
told=()
running=0
for lane in "${lanes[@]}"; do
  pids+=("") begun+=(0) told+=(0)
done

interrupt() {
  local pid
  for pid in "${pids[@]}"; do
    [ -z "$pid" ] || kill -INT -- "-$pid" 2>/dev/null || true
  done
  # Each takes down what it has started.
  wait || true
  rm -rf "$logs"
  exit 130
}
trap interrupt INT TERM HUP

start() {
  local number=$1
  say "${lanes[number]} begins"
  # shellcheck disable=SC2086 # a lane's targets are words
  "${MAKE:-make}" --no-print-directory ${lanes[number]//,/ } >"$(log_of "$number")" 2>&1 </dev/null &
  pids[number]=$!
  begun[number]=$SECONDS
  told[number]=$SECONDS
  running=$((running + 1))
}

# Shows a lane that has ended, or once in a while the last line of one that goes on.
look_at() {
  local number=$1 code=0
  if kill -0 "${pids[number]}" 2>/dev/null; then
    if [ $((SECONDS - told[number])) -ge "$NEWS_SECONDS" ]; then
      say "${lanes[number]} goes on: $(tail -n 1 "$(log_of "$number")")"
      told[number]=$SECONDS
    fi
    return
  fi
  wait "${pids[number]}" || code=$?
  pids[number]=
  running=$((running - 1))
  cat "$(log_of "$number")"
  say "${lanes[number]} $([ "$code" = 0 ] && echo passed || echo FAILED) after $((SECONDS - begun[number])) s"
  [ "$code" = 0 ] || failed+=("$number")
}

next=0
while [ "$running" -gt 0 ] || [ "$next" -lt "${#lanes[@]}" ]; do
  while [ "$running" -lt "$jobs" ] && [ "$next" -lt "${#lanes[@]}" ]; do
    start "$next"
    next=$((next + 1))
  done
  sleep "$POLL_SECONDS"
  for number in "${!lanes[@]}"; do
    [ -z "${pids[number]}" ] || look_at "$number"
  done
done

for number in ${failed[@]+"${failed[@]}"}; do
  say "${lanes[number]} failed; its last lines:"
  tail -n "$LAST_LINES" "$(log_of "$number")"
done
rm -rf "$logs"
[ "${#failed[@]}" = 0 ]
