#!/usr/bin/env bash
# Stands for cargo while a document runs: starts what the tests were built with in place of building it once more.
set -euo pipefail

refuse() {
  echo "the exercises' cargo does not know '$1': it runs 'cargo run --release [-p PACKAGE --example NAME] [-- ARGUMENTS]'" >&2
  exit 2
}

[ "${1:-}" = run ] || refuse "${1:-}"
shift
release= example=
while [ $# -gt 0 ]; do
  case $1 in
    --release) release=yes ;;
    -p | --package) shift ;;
    --example) shift; example=${1:-} ;;
    --) shift; break ;;
    *) refuse "$1" ;;
  esac
  shift
done
[ -n "$release" ] || refuse "run without --release"
if [ -n "$example" ]; then exec "$EXERCISE_EXAMPLES/$example" "$@"; fi
exec "$EXERCISE_ORDERFLOW" "$@"
