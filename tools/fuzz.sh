#!/bin/sh
# fuzz.sh DIR run SECONDS    looks for inputs that the decoder cannot take
# fuzz.sh DIR corpus         puts what was found in DIR/found, and new seeds, into
#                            spec/fuzz/corpus, and only what is needed of it
# Builds the fuzzer of spec/fuzz in DIR: with libFuzzer, the address and undefined
# behaviour sanitizers, and a Lua that checks how it is used. `run` ends with the
# line "N passed, N failed": the inputs of old crashes, and the search.
set -eu

dir=$1 what=$2 seconds=${3:-30}
corpus=spec/fuzz/corpus
fuzzer=$dir/decoder
sanitize="-O1 -g -fno-omit-frame-pointer -fsanitize=address"
mkdir -p "$dir/found" "$dir/lua"

tools/lua-source.sh "$dir"
lua=$(echo "$dir"/source/lua5.4-*/src)
if [ ! -f "$dir/lua/liblua.a" ]; then
  echo "compiling Lua"
  for file in "$lua"/*.c; do
    case $file in */lua.c|*/luac.c) continue ;; esac
    clang -std=gnu99 -w $sanitize -DLUA_USE_LINUX -DLUA_COMPAT_5_3 -DLUAI_ASSERT \
      -c "$file" -o "$dir/lua/$(basename "$file" .c).o"
  done
  ar rcs "$dir/lua/liblua.a" "$dir"/lua/*.o
fi

# sealed.c has the decoder in it. Chains of 16 slots are long here.
build() {
  clang -std=gnu11 $sanitize,undefined -fno-sanitize-recover=undefined -DSPINE_WINDOW=16 "$@" \
    "-I$lua" spec/fuzz/*.c $(ls src/*.c | grep -v '/decode') "$dir/lua/liblua.a" -pthread -lm -ldl
}
echo "compiling the fuzzer"
build -fsanitize=fuzzer -o "$fuzzer"

# The sanitizers' memory maps need addresses that a strongly random layout may take.
start=
if setarch -R true 2>/dev/null; then start="setarch -R"; fi
unset ASAN_OPTIONS UBSAN_OPTIONS

passed=0 failed=0
count() {
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

case $what in
  run)
    for file in spec/fuzz/crashes/*; do
      count $start "$fuzzer" -timeout=20 "$file"
    done
    count $start "$fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=1024 \
      -print_final_stats=1 -artifact_prefix="$dir/" "$dir/found" "$corpus"
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    ;;
  corpus)
    rm -rf "$dir/seeds" "$dir/minimal"
    mkdir -p "$dir/seeds" "$dir/minimal"
    build -DREPLAY -o "$dir/seeder"
    $start "$dir/seeder" -seeds "$dir/seeds"
    $start "$fuzzer" -merge=1 -max_len=4096 "$dir/minimal" "$dir/seeds" "$corpus" "$dir/found"
    rm -rf "$corpus"
    mv "$dir/minimal" "$corpus"
    ;;
esac
