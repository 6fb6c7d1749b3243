# The shell that a document's blocks run in. The test tells it on its standard input what to do, a line each:
#
#   block N              runs the file N.sh of the work folder here and now, its output in N.out
#   terminal NAME N      starts the file N.sh beside it, in a process group of its own
#   interrupt NAME       sends that group what Ctrl-C sends, and waits until it has ended
#
# and hears of each on standard output: "done STATUS". A block that fails ends the shell as `set -e` does: "ended STATUS".
set -eEo pipefail

exercise_work=$1
exercise_net=$2
declare -A exercise_terminals

# What a block prints goes elsewhere; these two are for the test alone.
exec 8<&0 9>&1 </dev/null

exercise_end() {
  local status=$? pid
  trap - EXIT ERR
  for pid in "${exercise_terminals[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
  echo "ended $status" >&9
}
trap exercise_end EXIT
trap 'exit 143' TERM
trap 'echo "line $LINENO failed with $?: $BASH_COMMAND" >&2' ERR

exercise_runs() { # exercise_runs NAME
  [ -n "${exercise_terminals[$1]:-}" ] && kill -0 -- "-${exercise_terminals[$1]}" 2>/dev/null
}

exercise_ended() { # exercise_ended NAME TENTHS_OF_A_SECOND
  local attempt
  for ((attempt = 0; attempt < $2; attempt++)); do
    exercise_runs "$1" || return 0
    sleep 0.1
  done
  return 1
}

exercise_start() { # exercise_start NAME N
  # One that was killed a moment ago is on its way out.
  if ! exercise_ended "$1" 20; then
    echo "terminal '$1' is busy: its last command has not ended" >"$exercise_work/$2.out"
    return 1
  fi
  # Job control gives it a group of its own, in which Ctrl-C is not ignored.
  set -m
  bash -eo pipefail "$exercise_work/$2.sh" >"$exercise_work/$2.out" 2>&1 </dev/null 8<&- 9>&- &
  exercise_terminals[$1]=$!
  set +m
}

exercise_interrupt() { # exercise_interrupt NAME
  exercise_runs "$1" || { echo "nothing runs in terminal '$1'" >&2; return 1; }
  kill -INT -- "-${exercise_terminals[$1]}"
  exercise_ended "$1" 600 && return 0
  echo "terminal '$1' does not end" >&2
  return 1
}

# A network namespace begins with its loopback down.
if [ "$exercise_net" = own ]; then ip link set lo up; fi
echo "done 0" >&9

while read -r exercise_verb exercise_name exercise_number <&8; do
  case $exercise_verb in
    block)
      # shellcheck disable=SC1090
      source "$exercise_work/$exercise_name.sh" >"$exercise_work/$exercise_name.out" 2>&1 8<&- 9>&-
      ;;
    terminal) exercise_start "$exercise_name" "$exercise_number" ;;
    interrupt) exercise_interrupt "$exercise_name" ;;
    *) exit 2 ;;
  esac
  echo "done $?" >&9
done
