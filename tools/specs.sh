#!/bin/sh
# specs.sh BUILD [busted arguments]
# Runs the specs against the module in BUILD with the interpreter $LUA, for at
# most $LIMIT seconds (540; 1800 with a sanitizer), and ends with the line "N passed, N failed". A run that
# hangs, crashes or exits half-way fails, and names the spec it was in.
# With SANITIZER=asan or tsan, each of the sanitizer's reports, from the specs or
# from a program they start, is shown and counts as a failure.
set -u

build=$1
shift
LUA=${LUA:-lua5.4}
limit=${LIMIT:-${SANITIZER:+1800}}
limit=${limit:-540}

TMPDIR=$(mktemp -d)                   # for the specs' own files too
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
trap 'exit 130' INT TERM
ISOLATE_PROGRESS=$TMPDIR/progress     # written by spec/support/output.lua
export ISOLATE_PROGRESS
report=$TMPDIR/report

preload=
start=
# LD_PRELOAD also reaches the shell and its tools, whose leaks are none of ours: only
# reports of a program called lua, or that name our files, count; and a leak changes
# nobody's exit status.
options=log_path=$report:log_exe_name=1
case ${SANITIZER:-} in
  asan)
    preload="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    export ASAN_OPTIONS="$options:abort_on_error=1:exitcode=0"
    export UBSAN_OPTIONS="abort_on_error=1:print_stacktrace=1"   # has no log; see spec/helper.lua
    ;;
  tsan)
    export TSAN_OPTIONS="$options:second_deadlock_stack=1:suppressions=$(pwd)/tools/tsan.supp"
    ;;
esac
if [ -n "${SANITIZER:-}" ]; then
  export ISOLATE_SLOW="${ISOLATE_SLOW:-8}"
  # Their memory maps need addresses that a strongly random layout may take.
  if setarch -R true 2>/dev/null; then start="setarch -R"; fi
fi

timeout --foreground -k 5 "$limit" $start env ${preload:+"LD_PRELOAD=$preload"} \
  "$LUA" "$(command -v busted)" "$@" </dev/null
status=$?

passed=0 failed=0 running="(nothing)"
if [ -f "$ISOLATE_PROGRESS" ]; then
  { read -r passed failed; read -r running; } <"$ISOLATE_PROGRESS"
fi

extra=0
if [ "$running" != "done" ]; then
  case $status in
    124|137) echo "stopped after $limit seconds, in: $running" ;;
    *) echo "ended early with status $status, in: $running" ;;
  esac
  extra=1
elif [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
  echo "all specs passed, but the end of the program failed with status $status"
  extra=1
fi
for file in "$report".*; do
  case $file in
    "$report".lua*) ;;
    *) grep -qE 'core\.so|src/[a-z]+\.c' "$file" 2>/dev/null || continue ;;
  esac
  cat "$file"
  extra=$((extra + 1))
done

[ "$extra" -eq 0 ] || echo "$passed passed, $((failed + extra)) failed"
[ $((failed + extra)) -eq 0 ]
