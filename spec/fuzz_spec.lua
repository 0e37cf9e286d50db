-- What the fuzzer of the decoder found once, and the inputs from which it goes
-- on, in the sanitizers' care: each ends in values or in an error (see
-- spec/fuzz/decoder.c). `make fuzz` looks for more.

local helper = require "spec.helper"

local GUARD = 60 * helper.slow -- seconds

-- All that a command writes, and true if it succeeded. What preloads or directs a
-- sanitizer for the specs is not for it.
local function run(command)
  local pipe <close> = assert(io.popen("exec 2>&1; unset LD_PRELOAD ASAN_OPTIONS UBSAN_OPTIONS; " .. command))
  local said = pipe:read "a"
  return said, pipe:close() == true
end

local function flags()
  local said, ok = run "pkg-config --cflags --libs lua5.4 || pkg-config --cflags --libs lua-5.4"
  return ok and said:gsub("\n", " ") or "-I/usr/include/lua5.4 -llua5.4"
end

-- Sanitizers' memory maps need addresses that a strongly random layout may take.
local start = select(2, run "setarch -R true") and "setarch -R " or ""

describe("the decoder #host", function()
  local program = helper.tempdir() .. "/decoder"

  setup(function()
    local said, ok = run(([[
      cc -std=gnu11 -g -DREPLAY -DSPINE_WINDOW=16 -fsanitize=address,undefined -fno-sanitize-recover=undefined \
        -o %s spec/fuzz/*.c $(ls src/*.c | grep -v '/decode') %s -pthread -lm -ldl]]):format(program, flags()))
    assert(ok, said)
  end)

  for _, dir in ipairs { "crashes", "corpus" } do
    it("takes every input in spec/fuzz/" .. dir, function()
      local _, count = run("ls spec/fuzz/" .. dir):gsub("\n", "")
      assert.is_true(count > 0)
      local said, ok = run(("%stimeout -s KILL %d %s spec/fuzz/%s/*"):format(start, GUARD, program, dir))
      assert.is_true(ok, said)
      assert.equal(count, select(2, said:gsub("\n", "")), said)  -- it names each, and nothing else
    end)
  end
end)
